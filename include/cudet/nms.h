// Non-maximum suppression: of boxes that overlap too much, the one with the highest score stays.
#pragma once

#include <cudet/box.h>
#include <cudet/execution.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>
#include <limits>

namespace cudet {

struct NmsOptions {
  /// A box is dropped where its IoU with a kept box is greater than this; in [0, 1].
  float iou_threshold = 0.5f;

  /// Boxes whose score is not greater than this take no part; not NaN. The default lets every score
  /// pass except NaN and minus infinity.
  float score_threshold = -std::numeric_limits<float>::infinity();

  /// Slots per image of the padded outputs, K below, and so the most boxes that an image keeps.
  /// kNoLimit stands for n, the number of boxes an image has.
  static constexpr std::int64_t kNoLimit = -1;
  std::int64_t max_outputs = kNoLimit;

  /// True: boxes suppress each other whatever their classes. False: only within their class.
  bool class_agnostic = false;

  BoxFormat format = BoxFormat::xyxy;  ///< See box.h.
  bool legacy_offset = false;          ///< Width and height count one more; see box.h.
};

struct NmsInput {
  Tensor boxes;    ///< [batch, n, 4], float32, float16 or bfloat16
  Tensor scores;   ///< [batch, n], float32, float16 or bfloat16; higher is better
  Tensor classes;  ///< optional [batch, n], int32 or int64, any values; absent: one class
  Tensor counts;   ///< optional [batch], int32: only the first counts[b] boxes of image b exist.
                   ///< A count below 0 is taken as 0, one above n as n.
};

/// Fixed-capacity results, each of them optional. Image b keeps count[b] <= K boxes, in slots
/// 0 ... count[b] - 1 in order of their scores; the slots after them hold the padding.
struct NmsOutput {
  Tensor count;    ///< [batch], int32
  Tensor indices;  ///< [batch, K], int32 or int64: position of the box in its image; padding -1
  Tensor boxes;    ///< [batch, K, 4], type of input.boxes: the input's four numbers; padding 0
  Tensor scores;   ///< [batch, K], type of input.scores; padding 0
  Tensor classes;  ///< [batch, K], type of input.classes, which must be given; padding -1
};

/// Bytes of device workspace that nms() needs. Reads options and the shapes and types of the input
/// only. Pure host arithmetic, monotone in batch and n: room for the largest shape serves all
/// smaller ones. At most 64 bytes a box + 1.1 MB an image. Errors as nms(), for options and input.
CUDET_API Status nms_workspace_size(const NmsOptions& options, const NmsInput& input,
                                    std::size_t* bytes) noexcept;

/// Exact greedy non-maximum suppression of every image by itself. Boxes are visited by decreasing
/// score, equal scores by increasing index; a box is kept unless its IoU with a box kept before it,
/// of the same class or of any with class_agnostic, is greater than iou_threshold. An image stops
/// when K boxes are kept.
///
/// Arithmetic    The decision is that of I / (A1 + A2 - I) > iou_threshold, every operation
/// correctly
///               rounded in float32, on corners as box.h makes them: the same on CPU and GPU, also
///               where an IoU meets the threshold exactly. 16-bit inputs are widened first.
/// Special       A NaN score is never selected; an infinite one counts as such. -0 equals 0.
///   values      An invalid box (box.h) neither suppresses nor is suppressed.
/// Determinism   Same input, same bits, on every device and in every run.
/// Empty input   n = 0 or K = 0 writes counts of 0 and the padding; batch = 0 writes nothing.
/// Workspace     nms_workspace_size(); contents are neither read before nor needed after the call.
/// Stream        Work is only enqueued: no allocation, no synchronisation, no read-back. Captured
///               graphs may be replayed on changed inputs.
/// Threads       Safe to call from any number of host threads, each with its own workspace.
/// Limits        n <= 2^31 - 65, batch * n < 2^31 on a device.
/// Errors        invalid_argument: a threshold or max_outputs is out of range, a tensor is absent
/// or
///               has the wrong shape, type or alignment, an output is read-only or overlaps another
///               tensor, the workspace is too small. unsupported: a tensor is not contiguous, a
///               limit is exceeded, or the device call is not in this build. cuda_error: a launch
///               failed.
CUDET_API Status nms(const NmsOptions& options, const NmsInput& input, const NmsOutput& output,
                     const Execution& execution) noexcept;

namespace reference {

/// The same from the definition, on host pointers.
CUDET_API Status nms(const NmsOptions& options, const NmsInput& input,
                     const NmsOutput& output) noexcept;

}  // namespace reference
}  // namespace cudet
