// Focal loss and its relatives: classification losses of dense detectors, forward and backward in
// one pass over the logits.
#pragma once

#include <cudet/execution.h>
#include <cudet/export.h>
#include <cudet/loss_reduction.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// What input.targets of sigmoid_focal_loss() holds.
enum class FocalTargets : std::int32_t {
  class_index,  ///< one integer a row: the class whose element is positive
  binary,       ///< one integer an element: 1 positive; 0 and -1 negative
  dense         ///< one real number an element, in [0, 1]
};

/// How the cross-entropy of an element with logit x, p = sigmoid(x) and target t is weighted.
///   focal      (1 - p_t)^gamma alpha_t BCE(x, t), p_t = p t + (1 - p) (1 - t), with
///              alpha_t = alpha t + (1 - alpha) (1 - t)          Lin et al. 2017, arXiv:1708.02002
///   quality    |t - p|^gamma BCE(x, t)                          Li et al. 2020, arXiv:2006.04388
///   varifocal  t BCE(x, t) where t > 0, alpha p^gamma BCE(x, 0) elsewhere
///                                                               Zhang et al. 2021,
///                                                               arXiv:2008.13367
/// BCE(x, t) = -t log p - (1 - t) log(1 - p).
enum class FocalKind : std::int32_t { focal, quality, varifocal };

/// Where an element's class stands in the shape of the logits.
enum class FocalLayout : std::int32_t {
  rows,  ///< [..., C]: the classes of a row lie together
  head   ///< [B, A C, H, W], as a convolution writes them: channel a C + c is class c of anchor a
};

CUDET_API const char* to_string(FocalTargets targets) noexcept;
CUDET_API const char* to_string(FocalKind kind) noexcept;
CUDET_API const char* to_string(FocalLayout layout) noexcept;

struct SigmoidFocalLossOptions {
  FocalKind kind = FocalKind::focal;
  FocalTargets targets = FocalTargets::class_index;
  FocalLayout layout = FocalLayout::rows;

  /// Weight of the positives, 1 - alpha that of the negatives; in [0, 1], or kNoAlpha: all weigh 1.
  /// quality does not use it.
  static constexpr float kNoAlpha = -1.0f;
  float alpha = 0.25f;

  /// Exponent of the weighting, finite and >= 0; 0 makes it binary cross-entropy. Values 0, 1 and 2
  /// cost least. With quality it is 0, or 1 or more: between them the gradient has a pole.
  float gamma = 2.0f;

  /// s in [0, 1]: the cross-entropy, but neither the weighting nor alpha, takes the target
  /// t (1 - s) + s / 2. With focal alone.
  float label_smoothing = 0.0f;

  /// class_index: rows with this target have negative elements only. So has every row whose target
  /// is no class; this one may also be one.
  std::int64_t background_index = -1;

  /// class_index and binary: the row, or the element, takes no part: loss and gradient 0.
  std::int64_t ignore_index = -2;

  LossReduction reduction = LossReduction::sum;

  /// Factor of the gradient alone, finite; for example the scale of mixed-precision training.
  float grad_scale = 1.0f;
};

/// One tensor per pyramid level, all of the same types and number of classes; a level is a tensor
/// of its own shape. The positions from `levels` on are not looked at.
struct SigmoidFocalLossInput {
  static constexpr int kMaxLevels = 8;
  int levels = 1;

  /// rows: [rows, C] or [B, N, C], without class_index also [n]; head: [B, A C, H, W]. float32,
  /// float16 or bfloat16.
  Tensor logits[kMaxLevels];

  /// class_index, rows: [rows] or [B, N]; class_index, head: [B, A, H, W]; int32 or int64.
  /// binary: the shape of the logits; int32, int64 or (0 and 1) uint8.
  /// dense: the shape of the logits; float32, float16 or bfloat16.
  Tensor targets[kMaxLevels];

  /// Optional factors >= 0 of whole rows, for all levels or none; shape as class_index targets
  /// have it; float32.
  Tensor row_weights[kMaxLevels];

  Tensor class_alpha;  ///< optional [C], float32: alpha by class, in place of options.alpha
  Tensor normaliser;   ///< [1], float32, with LossReduction::normalised; NaN counts as 1

  /// Optional gradient of what the loss is used in with respect to the loss: float32 [1] in
  /// grad_output[0], or with LossReduction::none the shape of each level's logits in any of the
  /// three types.
  Tensor grad_output[kMaxLevels];
};

/// All optional, but at least one; loss and gradient are computed in one pass over the logits.
struct SigmoidFocalLossOutput {
  /// float32 [1] in loss[0], or with LossReduction::none the shape of each level's logits, float32
  /// or the type of the logits; for all levels or none.
  Tensor loss[SigmoidFocalLossInput::kMaxLevels];

  /// Shape and type of each level's logits; for all levels or none.
  Tensor grad_logits[SigmoidFocalLossInput::kMaxLevels];

  /// [1], int32 or int64: class_index: rows whose target is a class; otherwise elements with a
  /// target above 0. Ignored ones do not count.
  Tensor positives;
};

/// Bytes of device workspace that sigmoid_focal_loss() needs: about 8 for 1024 logits. Reads
/// options and the shapes and types of logits and targets only. Pure host arithmetic, monotone in
/// every size. Errors as sigmoid_focal_loss(), for these.
CUDET_API Status sigmoid_focal_loss_workspace_size(const SigmoidFocalLossOptions& options,
                                                   const SigmoidFocalLossInput& input,
                                                   std::size_t* bytes) noexcept;

/// Focal loss of independent classes, over all elements of all levels:
///   loss         reduction of w l(x, t), with l as FocalKind has it and w the row's weight
///   grad_logits  grad_scale * grad_output * d loss / d x
/// Which of them are computed follows from the outputs that are present. Binary cross-entropy is
/// gamma = 0, alpha = kNoAlpha.
///
/// Arithmetic    float32 from log-sigmoid forms, never from log(p): finite loss and gradient for
///               every finite logit of every type, as long as no factor or sum leaves the range.
///               Reductions add in a tree that shape and targets fix, the upper levels in double.
/// Accuracy      Against double, for an element: 1e-6 + 1e-5 of the value, of a gradient in units
///               of grad_scale and grad_output; easy elements keep their relative accuracy down to
///               the range of float32 (log1p). One rounding more into a 16-bit type. Sums from
///               1e-25 on: relative 1e-6 for float32 logits that differ; where they are few or all
///               alike, errors do not average out: 4e-6, below -20 6e-6. 1e-5 for 16-bit ones.
/// Special       NaN logits, weights and dense targets make loss and gradient of their elements
///   values      NaN. An infinite logit is right (loss and gradient 0) or wrong (loss not finite,
///               gradient NaN). Dense targets outside [0, 1] extrapolate the formula where it is
///               defined. Any integer is a valid class target, see background_index; of binary
///               ones, everything but 1 and ignore_index is negative.
/// Determinism   Same input, same bits, in every run on one kind of device.
/// Empty input   Without elements the loss is 0 (also the mean), positives 0.
/// Workspace     sigmoid_focal_loss_workspace_size(); contents are neither read before nor needed
///               after the call.
/// Stream        Work is only enqueued: one kernel, and before it the clearing of four bytes where
///               something is summed. Captured graphs may be replayed on changed inputs.
/// Threads       Safe to call from any number of host threads, each with its own workspace.
/// Limits        On a device: elements of a level and rows below 2^31.
/// Errors        invalid_argument: an option is out of range, a tensor is absent or has the wrong
///               shape, type or alignment, an output is read-only or overlaps another tensor, no
///               output is given, the workspace is too small. unsupported: a tensor is not
///               contiguous, a limit is exceeded, or the device call is not in this build.
///               cuda_error: a launch failed. out_of_memory: the host's, on the CPU.
CUDET_API Status sigmoid_focal_loss(const SigmoidFocalLossOptions& options,
                                    const SigmoidFocalLossInput& input,
                                    const SigmoidFocalLossOutput& output,
                                    const Execution& execution) noexcept;

struct SoftmaxFocalLossOptions {
  float gamma = 2.0f;            ///< As above; 0 makes it cross-entropy.
  float label_smoothing = 0.0f;  ///< s in [0, 1]: q_c = (1 - s) [c = y] + s / C
  std::int64_t ignore_index = -100;
  LossReduction reduction = LossReduction::sum;
  float grad_scale = 1.0f;  ///< As above.
};

struct SoftmaxFocalLossInput {
  Tensor logits;         ///< [rows, C], float32, float16 or bfloat16
  Tensor targets;        ///< [rows], int32 or int64
  Tensor class_weights;  ///< optional [C], float32: alpha by class
  Tensor row_weights;    ///< optional [rows], float32
  Tensor normaliser;     ///< [1], float32, with LossReduction::normalised; NaN counts as 1
  Tensor grad_output;    ///< optional float32: [1], or with LossReduction::none [rows]
};

/// All optional, but at least one.
struct SoftmaxFocalLossOutput {
  Tensor loss;         ///< float32: [1], or with LossReduction::none [rows]
  Tensor grad_logits;  ///< shape and type of the logits
  Tensor valid_rows;   ///< [1], int32 or int64: rows that are not ignored
};

/// As sigmoid_focal_loss_workspace_size(): at most 9 bytes a row + 4 kB.
CUDET_API Status softmax_focal_loss_workspace_size(const SoftmaxFocalLossOptions& options,
                                                   const SoftmaxFocalLossInput& input,
                                                   std::size_t* bytes) noexcept;

/// Focal loss of exclusive classes. With p = softmax(x) of a row, its target y and weight v:
///   loss of the row  v sum over c of q_c w_c (1 - p_c)^gamma (-log p_c),
/// w the class weights, q_c = [c = y] without smoothing. Everything else is as for
/// sigmoid_focal_loss(). A row whose target is no class, or ignore_index, is ignored: loss and
/// gradient 0. The mean divides by all rows; for others use the normaliser.
///
/// Special       A row with a NaN logit has a loss and a gradient of NaN. Infinite logits: minus
///   values      infinity is a class of probability 0; other cases are not finite.
/// Limits        On a device: rows and C below 2^31.
/// Passes        Rows of up to 1056 classes, with smoothing of up to 6 kB, are read once, longer
///               ones three times.
CUDET_API Status softmax_focal_loss(const SoftmaxFocalLossOptions& options,
                                    const SoftmaxFocalLossInput& input,
                                    const SoftmaxFocalLossOutput& output,
                                    const Execution& execution) noexcept;

struct DistributionFocalLossOptions {
  LossReduction reduction = LossReduction::sum;
  float grad_scale = 1.0f;  ///< As above.
};

struct DistributionFocalLossInput {
  Tensor logits;   ///< [rows, bins], bins >= 2, float32, float16 or bfloat16
  Tensor targets;  ///< [rows], float32: a place between bin 0 and bin bins - 1; others are clamped
  Tensor row_weights;  ///< optional [rows], float32
  Tensor normaliser;   ///< as above
  Tensor grad_output;  ///< as above
};

struct DistributionFocalLossOutput {
  Tensor loss;         ///< as above
  Tensor grad_logits;  ///< shape and type of the logits
};

/// As softmax_focal_loss_workspace_size().
CUDET_API Status distribution_focal_loss_workspace_size(const DistributionFocalLossOptions& options,
                                                        const DistributionFocalLossInput& input,
                                                        std::size_t* bytes) noexcept;

/// Distribution focal loss (Li et al. 2020, arXiv:2006.04388, equation 6). A side of a box is a
/// distribution p = softmax(x) over bins; with the target y between the bins l and l + 1:
///   loss of the row  -v ((l + 1 - y) log p_l + (y - l) log p_(l+1))
/// A NaN target makes loss and gradient of its row NaN. Everything else is as for
/// softmax_focal_loss().
CUDET_API Status distribution_focal_loss(const DistributionFocalLossOptions& options,
                                         const DistributionFocalLossInput& input,
                                         const DistributionFocalLossOutput& output,
                                         const Execution& execution) noexcept;

namespace reference {

/// The same from the definitions, in double, on host pointers.
CUDET_API Status sigmoid_focal_loss(const SigmoidFocalLossOptions& options,
                                    const SigmoidFocalLossInput& input,
                                    const SigmoidFocalLossOutput& output) noexcept;
CUDET_API Status softmax_focal_loss(const SoftmaxFocalLossOptions& options,
                                    const SoftmaxFocalLossInput& input,
                                    const SoftmaxFocalLossOutput& output) noexcept;
CUDET_API Status distribution_focal_loss(const DistributionFocalLossOptions& options,
                                         const DistributionFocalLossInput& input,
                                         const DistributionFocalLossOutput& output) noexcept;

}  // namespace reference
}  // namespace cudet
