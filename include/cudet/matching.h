// Assignment of ground-truth boxes to anchors by IoU, without the matrix of all pairs.
#pragma once

#include <cudet/box.h>
#include <cudet/execution.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// What happens to anchors below the high threshold that are the best for a ground truth.
enum class ForcedMatches : std::int32_t {
  none,
  /// Every anchor whose IoU with some ground truth is the largest that this ground truth has with
  /// any anchor (there may be several) keeps its own best ground truth, which may be another one:
  /// allow_low_quality_matches of torchvision's and detectron2's Matcher. A ground truth that
  /// overlaps no anchor so affects every anchor that does not overlap it.
  low_quality,
  /// The best anchor of every ground truth is given this ground truth; where several share one, the
  /// last of them: torchvision's SSDMatcher, Liu et al. 2016, arXiv:1512.02325.
  best_anchor
};

/// Which of several equal IoUs is the best.
enum class MatchTies : std::int32_t {
  lower_index,  ///< the first, as torchvision and detectron2
  later_index   ///< the last, as COCO's evaluation among ground truths
};

CUDET_API const char* to_string(ForcedMatches forced) noexcept;
CUDET_API const char* to_string(MatchTies ties) noexcept;

struct MatchOptions {
  /// match_boxes() gives an anchor whose best IoU is below `low_threshold` kNoMatch, and one
  /// between both thresholds kBetweenThresholds. An IoU that equals a threshold reaches it.
  /// 0 <= low_threshold <= high_threshold, finite.
  float low_threshold = 0.4f;
  float high_threshold = 0.5f;
  ForcedMatches forced = ForcedMatches::none;
  MatchTies ties = MatchTies::lower_index;
  BoxFormat format = BoxFormat::xyxy;  ///< Of anchors and boxes; see box.h.
  bool legacy_offset = false;          ///< Width and height count one more; see box.h.

  /// Factors of the four codes, finite; torchvision's BoxCoder has (10, 10, 5, 5) for RoI heads.
  float code_weights[4] = {1.0f, 1.0f, 1.0f, 1.0f};

  std::int64_t no_match_label = 0;             ///< Label of anchors without a match.
  std::int64_t between_thresholds_label = -1;  ///< Label of anchors between the thresholds.
};

struct MatchInput {
  Tensor anchors;  ///< [a, 4] for all images or [batch, a, 4]; float32, float16 or bfloat16
  Tensor boxes;    ///< [g, 4], ground truth of all images, one image after the other; likewise
  /// [batch + 1], int32 or int64: image b has the boxes offsets[b] to offsets[b + 1] - 1. Read on
  /// the device. An offset out of [0, g] is moved to the nearest end, and where the second is below
  /// the first the image has no boxes; where images share boxes, the outputs by box are
  /// unspecified.
  Tensor offsets;
  Tensor labels;  ///< [g], int32 or int64; given where output.match_labels is wanted
};

/// All optional, but at least one.
struct MatchOutput {
  /// [batch, a], int32 or int64: index of the box within its image, or one of the constants.
  Tensor matches;
  static constexpr std::int64_t kNoMatch = -1;
  static constexpr std::int64_t kBetweenThresholds = -2;

  Tensor ious;          ///< [batch, a], float32: the best IoU, 0 without boxes
  Tensor match_labels;  ///< [batch, a], int32 or int64: label of the match, see options
  Tensor codes;         ///< [batch, a, 4], float32, float16 or bfloat16: encoded match, 0 without

  /// [g], int32 or int64: the anchor with which a box has its largest IoU; -1 without anchors and
  /// for boxes that the offsets leave out.
  Tensor best_anchors;
  Tensor best_anchor_ious;  ///< [g], float32: that IoU; 0 where there is none
};

/// Bytes of device workspace that match_boxes() needs: 0 where only outputs by anchor are wanted
/// and nothing is forced, otherwise 8 g, and with forced low-quality matches 4 g for each 512
/// anchors and 4 for each anchor of each image. Reads options, the shapes of the inputs, and which
/// outputs are given. Pure host arithmetic, monotone in every size.
CUDET_API Status match_boxes_workspace_size(const MatchOptions& options, const MatchInput& input,
                                            const MatchOutput& output, std::size_t* bytes) noexcept;

/// For every anchor of every image the box with which it has the largest IoU, and for every box the
/// best anchor, by the rules above.
///
/// IoU          I / (A1 + A2 - I) in float32, one rounding an operation, as torchvision's box_iou:
///              ties and thresholds are decided on these numbers, on CPU and device alike. 0 with
///              an invalid box (box.h) and for an empty union.
/// Codes        torchvision's BoxCoder.encode: ((x - xa) / wa, (y - ya) / ha, log(w / wa),
///              log(h / ha)) times code_weights, of centres and sides of box and anchor (a).
///              Float32, within 1e-6 + 1e-5 of the value before its weight, and for the first two
///              also 1e-6 of w / wa or h / ha, where sides are 0 or at least 2^-50. 0 with an
///              invalid box or anchor. Infinite or NaN where a side is 0, as IEEE 754 says; such
///              pairs match only where low_threshold or a forced match lets them.
/// Ties         options.ties, among the boxes of an anchor and among the anchors of a box.
/// Determinism  Same input, same bits, in every run; indices and IoUs on every device.
/// Empty input  Without boxes, in an image or at all, no anchor has a match, its IoU is 0.
/// Workspace    match_boxes_workspace_size(); contents are neither read before nor needed after.
/// Memory       No array of all pairs. Reads 16 bytes an anchor and box, and writes the outputs; in
///              between at most 8 bytes for a box and block of 512 anchors, and 4 for an
///              anchor where no matches of int32 are written.
/// Stream       One kernel; where something is forced or outputs by box are wanted, the clearing of
///              8 g bytes before it and a short kernel after it. Captured graphs may be replayed on
///              changed inputs.
/// Threads      Safe to call from any number of host threads, each with its own workspace.
/// Limits       On a device: a and g below 2^31, batch below 65536.
/// Errors       invalid_argument: an option is out of range, a tensor is absent or has the wrong
///              shape, type or alignment, an output is read-only or overlaps another tensor, no
///              output is given, the workspace is too small. unsupported: a tensor is not
///              contiguous, a limit is exceeded, or the device call is not in this build.
///              cuda_error: a launch failed. out_of_memory: the host's, on the CPU.
CUDET_API Status match_boxes(const MatchOptions& options, const MatchInput& input,
                             const MatchOutput& output, const Execution& execution) noexcept;

namespace reference {

/// The same from the definition, on host pointers, with a matrix.
CUDET_API Status match_boxes(const MatchOptions& options, const MatchInput& input,
                             const MatchOutput& output) noexcept;

}  // namespace reference
}  // namespace cudet
