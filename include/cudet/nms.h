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

/// What is compared with the threshold. With I the area of the intersection, A1 and A2 the areas of
/// the boxes, U = A1 + A2 - I, and the smallest box that encloses both having the area C and the
/// squared diagonal c2:
///   iou       I / U
///   min_area  I / min(A1, A2), the mode 'Min' of MTCNN
///   giou      I / U - (C - U) / C
///   diou      I / U - d2 / c2, d2 the squared distance of the centres (Zheng et al. 2020,
///             arXiv:1911.08287, which proposes it for suppression)
///   ciou      DIoU - alpha v, v = 4 / pi^2 (atan(w2 / h2) - atan(w1 / h1))^2,
///             alpha = v / (1 - IoU + v)
/// A quotient whose denominator is 0 counts as 0. Rotated boxes know iou and min_area, with I
/// within 2^-21 of the larger area of the exact one, between 0 and the smaller area, and symmetric.
enum class OverlapMetric : std::int32_t { iou, min_area, giou, diou, ciou };

/// Name of the metric as it is spelled in the enumeration, for example "min_area".
CUDET_API const char* to_string(OverlapMetric metric) noexcept;

/// What happens to boxes that overlap a kept one. Below, v is the metric of two boxes, and f(v) is
/// 1 - v, but not below 0, for the linear and exp(-v^2 / sigma) for the gaussian methods.
///
/// Soft-NMS (Bodla et al. 2017, arXiv:1704.04503): the box with the highest score is kept, of equal
/// scores the lower index, and all other scores are multiplied with f(v); by soft_linear only where
/// v is greater than iou_threshold. Then the next one, until no score is left that is not below
/// decayed_score_threshold.
///
/// Matrix NMS (Wang et al. 2020, arXiv:2003.10152): the score of box j is multiplied with the
/// minimum of f(v_ij) / f(m_i) over the boxes i before it, where m_i is the largest metric of i
/// with a box before it, 0 where there is none; boxes i with f(m_i) = 0 do not count. Boxes are
/// then kept in the order of their new scores, equal ones in the order before, down to
/// decayed_score_threshold.
///
/// Box voting (Gidaris and Komodakis 2015, arXiv:1505.01749): greedy, but output.boxes are means,
/// weighted with the scores, of a kept box and of those that it is the first one to suppress. Sums
/// are in double, in the order of scores. Where they are not finite or the sum of the weights is
/// not positive, the box stays as it is. Not for rotated boxes, whose angles have no mean.
enum class NmsMethod : std::int32_t {
  greedy,           ///< they are dropped
  soft_linear,      ///< their scores decay
  soft_gaussian,    ///< their scores decay
  matrix_linear,    ///< their scores decay, all at once
  matrix_gaussian,  ///< their scores decay, all at once
  weighted          ///< they are dropped, and the kept box becomes a mean
};

/// Name of the method as it is spelled in the enumeration, for example "soft_linear".
CUDET_API const char* to_string(NmsMethod method) noexcept;

enum class ScoreActivation : std::int32_t {
  none,    ///< scores are used as they are
  sigmoid  ///< scores are logits x, their boxes have the score 1 / (1 + exp(-x))
};

/// Order of the dimensions of dense scores.
enum class ScoreLayout : std::int32_t { box_class, class_box };

struct NmsOptions {
  /// Stands for "no limit" in the counts below.
  static constexpr std::int64_t kNoLimit = -1;
  /// Stands for "no class".
  static constexpr std::int64_t kNoClass = std::numeric_limits<std::int64_t>::min();

  NmsMethod method = NmsMethod::greedy;

  /// Soft and matrix methods know iou and min_area only.
  OverlapMetric metric = OverlapMetric::iou;

  /// A box is dropped where its metric with a kept box is greater than this; in [0, 1], and in
  /// [-1, 1] for giou, diou and ciou. soft_gaussian and the matrix methods make no use of it.
  float iou_threshold = 0.5f;

  /// True: also where the metric equals the threshold, as TensorRT's EfficientNMS has it.
  bool suppress_equal = false;

  float sigma = 0.5f;  ///< Of the gaussian methods, positive and finite.

  /// Soft and matrix methods keep no box whose decayed score is below this; not NaN.
  float decayed_score_threshold = 0.001f;

  /// Boxes whose score is not greater than this take no part; not NaN. The default lets every score
  /// pass except NaN and minus infinity.
  float score_threshold = -std::numeric_limits<float>::infinity();

  /// True: a score that equals the threshold passes.
  bool score_threshold_inclusive = false;

  /// With sigmoid the threshold means the activated score, and so does output.scores. Order and
  /// threshold are decided on the logits: exactly, and where the sigmoid is saturated too.
  ScoreActivation score_activation = ScoreActivation::none;

  /// Only the best so many boxes of an image that pass the score threshold, in the order in which
  /// boxes are visited, take part; with dense scores, so many pairs of box and class.
  std::int64_t pre_nms_top_k = kNoLimit;

  /// Slots per image of the padded outputs, K below, and so the most boxes that an image keeps.
  /// kNoLimit stands for the number of scores an image has.
  std::int64_t max_outputs = kNoLimit;

  /// The most boxes of one class that an image keeps. Without classes, and with class_agnostic, all
  /// boxes are of one class.
  std::int64_t max_outputs_per_class = kNoLimit;

  /// True: boxes suppress each other whatever their classes. False: only within their class.
  bool class_agnostic = false;

  /// Boxes of this class take no part.
  std::int64_t background_class = kNoClass;

  ScoreLayout score_layout = ScoreLayout::box_class;  ///< Of dense scores.

  BoxFormat format = BoxFormat::xyxy;  ///< See box.h.
  bool legacy_offset = false;          ///< Width and height count one more; see box.h.

  /// True: corners are put in order first, x1 <= x2 and y1 <= y2, so that no box is inverted.
  bool reorder_corners = false;

  AngleUnit angle_unit = AngleUnit::degrees;                           ///< Of rotated boxes.
  AngleDirection angle_direction = AngleDirection::counter_clockwise;  ///< Likewise.
};

/// Boxes and scores come in one of two forms, which the rank of the scores tells apart.
///   flat    A box has one score, and optionally a class.
///   dense   A box has a score for each of the classes 0 ... C-1 and takes part with each of them
///           on its own; C >= 1. Below, "box" then means such a pair. Pairs are numbered box after
///           box, i * C + c, whatever the layout of the scores; that number decides between equal
///           scores.
/// Rotated boxes have five numbers, so that their tensors end in 5 instead of 4. Batches are of
/// equal images, [batch, n, ...], or ragged: [total, ...] with all boxes of the first image, then
/// all of the second and so on.
struct NmsInput {
  Tensor boxes;    ///< [batch, n, 4] or, if dense, [batch, n, C, 4] for boxes of each class; ragged
                   ///< [total, 4] or [total, C, 4]; float32, float16 or bfloat16
  Tensor scores;   ///< flat [batch, n], dense [batch, n, C], or [batch, C, n] with the layout
                   ///< class_box; ragged [total] or [total, C]; float32, float16 or bfloat16;
                   ///< higher is better
  Tensor classes;  ///< flat only, optional [batch, n] or [total], int32 or int64, any values;
                   ///< absent: one class
  Tensor counts;   ///< optional [batch], int32: only the first counts[b] boxes of image b exist.
                   ///< A count below 0 is taken as 0, one above n as n. Not with offsets.
  Tensor offsets;  ///< [batch + 1], int32 or int64, for ragged batches: image b has the boxes
                   ///< offsets[b] ... offsets[b + 1] - 1. Beyond [0, total] they are clamped. They
                   ///< must not fall, or keep and suppressed_by are undefined.
  /// Ragged batches: no image has more boxes; n in what follows. Boxes beyond take no part.
  /// kNoLimit stands for total. A workspace grows with batch times this.
  std::int64_t max_image_boxes = NmsOptions::kNoLimit;
  Tensor iou_thresholds;  ///< optional [T], float32: of boxes of class c in [0, T), instead of
                          ///< options.iou_threshold; NaN suppresses nothing. For dense scores T is
                          ///< C. Not with class_agnostic, nor for flat boxes without classes.
};

/// Fixed-capacity results, each of them optional. Of ragged batches, keep and suppressed_by have no
/// entry written for a box that is in no image or beyond max_image_boxes. Image b keeps count[b] <=
/// K boxes, in slots 0 ... count[b] - 1 in order of their scores; the slots after them hold the
/// padding.
struct NmsOutput {
  Tensor count;    ///< [batch], int32
  Tensor indices;  ///< [batch, K], int32 or int64: position of the box in its image; padding -1
  Tensor boxes;    ///< [batch, K, 4], type of input.boxes: the input's numbers; padding 0
  Tensor scores;   ///< [batch, K], type of input.scores; decayed by soft and matrix methods;
                   ///< padding 0
  Tensor classes;  ///< [batch, K]; flat: type of input.classes, which must be given; dense: int32
                   ///< or int64; padding -1
  Tensor keep;     ///< shape of input.scores, uint8: 1 where kept, 0 elsewhere
  Tensor suppressed_by;  ///< shape of input.scores, int32 or int64: for a box that takes part and
                         ///< is not kept, position in its image of the first kept box, in order,
                         ///< that suppresses it; -1 where there is none, and for all others.
                         ///< Not for soft and matrix methods, which suppress nothing.
};

/// Bytes of device workspace that nms() needs. Reads options and the shapes and types of the input
/// only. Pure host arithmetic, monotone in batch and n: room for the largest shape serves all
/// smaller ones. 0 for the greedy method on images of up to 256 scores (rotated boxes: 64); at most
/// 64 bytes for each of the min(n * C, pre_nms_top_k) boxes an image that can take part + 1.1 MB an
/// image. Errors as nms(), for options and input.
CUDET_API Status nms_workspace_size(const NmsOptions& options, const NmsInput& input,
                                    std::size_t* bytes) noexcept;

/// Non-maximum suppression of every image by itself, exactly as the method defines it. Greedy:
/// boxes are visited by decreasing score, equal scores by increasing index; a box is kept unless
/// its metric with a box kept before it, of the same class or of any with class_agnostic, is
/// greater than iou_threshold, or its class has max_outputs_per_class kept boxes. An image stops
/// when K boxes are kept.
///
/// Arithmetic    The decision is that of the formula in OverlapMetric, every operation correctly
///               rounded in float32, on corners as box.h makes them: the same on CPU and GPU, also
///               where a metric meets the threshold exactly. 16-bit inputs are widened first. In
///               sums of squares the last product is fused with the sum, d2 is formed from half the
///               sums of the differences of corners, and the arctangent is a polynomial within
///               2 units in the last place. The area that two rotated boxes share is formed in a
///               fixed order of float32 operations, with pairs of them for the place of one box in
///               the system of the other.
/// Decay         Soft and matrix methods compute in float32, one rounding an operation, and the
///               exponential within 1 unit in the last place: the same bits on CPU and GPU.
///               exp(-v_ij^2 / sigma) / exp(-m_i^2 / sigma) is formed as one exponential.
/// Sigmoid       Activated scores are within 3 units in the last place of float32, and rounded once
///               more to 16-bit outputs; the same bits on CPU and GPU.
/// Special       A NaN score is never selected; an infinite one counts as such. -0 equals 0.
///   values      An invalid box (box.h) neither suppresses nor is suppressed, whatever the
///               threshold.
/// Determinism   Same input, same bits, on every device and in every run.
/// Empty input   n = 0 or K = 0 writes counts of 0 and the padding; batch = 0 writes nothing.
/// Workspace     nms_workspace_size(); contents are neither read before nor needed after the call.
/// Stream        Work is only enqueued: no allocation, no synchronisation, no read-back. Captured
///               graphs may be replayed on changed inputs.
/// Threads       Safe to call from any number of host threads, each with its own workspace.
/// Limits        n * C <= 2^31 - 65, batch * n * C < 2^31 and batch * K < 2^31 on a device.
/// Errors        invalid_argument: a threshold or limit is out of range, a tensor is absent or has
///               the wrong shape, type or alignment, is given together with one that excludes it,
///               an output is read-only or overlaps another tensor, the workspace is too small.
///               unsupported: a tensor is not contiguous, a limit is exceeded, ragged scores are
///               class_box, or the device call is not in this build. cuda_error: a launch failed.
///               out_of_memory: the host's, on the CPU.
CUDET_API Status nms(const NmsOptions& options, const NmsInput& input, const NmsOutput& output,
                     const Execution& execution) noexcept;

namespace reference {

/// The same from the definition, on host pointers.
CUDET_API Status nms(const NmsOptions& options, const NmsInput& input,
                     const NmsOutput& output) noexcept;

}  // namespace reference
}  // namespace cudet
