// IoU losses of aligned pairs of boxes with their gradients, in one pass.
#pragma once

#include <cudet/box.h>
#include <cudet/execution.h>
#include <cudet/iou.h>
#include <cudet/loss_reduction.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

struct IouLossOptions {
  IouKind kind = IouKind::giou;        ///< iou, giou, diou, ciou or eiou
  BoxFormat format = BoxFormat::xyxy;  ///< Of both sets and of the gradients; see box.h.
  bool legacy_offset = false;          ///< Width and height count one more; see box.h.
  float eps = 1e-7f;        ///< Added to every denominator but alpha's; in [1e-12, 1e12].
  float alpha_eps = 1e-7f;  ///< Added to that of CIoU's alpha; in [1e-12, 1e12].
  LossReduction reduction = LossReduction::sum;
  float grad_scale = 1.0f;  ///< Factor of the gradients alone, finite.
};

struct IouLossInput {
  Tensor boxes1;       ///< [n, 4], float32, float16 or bfloat16
  Tensor boxes2;       ///< [n, 4], likewise
  Tensor weights;      ///< optional [n], float32: factors of the losses
  Tensor normaliser;   ///< [1], float32, with LossReduction::normalised; NaN counts as 1
  Tensor grad_output;  ///< optional float32: [1], or with LossReduction::none [n]
};

/// All optional, but at least one; what is present is computed.
struct IouLossOutput {
  Tensor loss;         ///< float32: [1], or with LossReduction::none [n]
  Tensor grad_boxes1;  ///< [n, 4], float32, float16 or bfloat16
  Tensor grad_boxes2;  ///< likewise
};

/// Bytes of device workspace that iou_loss() needs: about 4 for 256 pairs. Reads the options and
/// the shapes and types of both sets of boxes only. Pure host arithmetic, monotone in n. Errors as
/// iou_loss(), for these.
CUDET_API Status iou_loss_workspace_size(const IouLossOptions& options, const IouLossInput& input,
                                         std::size_t* bytes) noexcept;

/// With I, U, C, c2, d2, v as in iou.h:
///   IoU    I / (U + eps)
///   giou   loss = 1 - IoU + (C - U) / (C + eps)
///   diou   loss = 1 - IoU + d2 / (c2 + eps)
///   ciou   loss = that of diou + alpha v, alpha = v / (1 - IoU + v + alpha_eps)
///   eiou   loss = that of diou + (w1 - w2)^2 / (cw^2 + eps) + (h1 - h2)^2 / (ch^2 + eps)
/// as torchvision defines the losses that it has; the `eps` of its complete_box_iou_loss is
/// alpha_eps here. Then
///   loss         reduction of weights[i] loss[i]
///   grad_boxesK  grad_scale * grad_output * d loss / d boxesK, where alpha counts as a constant
/// in the four numbers of `format`.
///
/// Arithmetic   float32; reductions add in a tree that is fixed by n alone, its last stage in
///              double.
/// Accuracy     Of a loss: 1e-6 + 1e-5 of the value. Of a gradient: 1e-4 of it, plus 1e-6 of its
///              largest term where terms cancel. For boxes that are valid (box.h) and whose sides,
///              and those of the enclosing box, are 0 or at least 2^-50.
/// Special      Boxes that do not overlap, or touch, have no gradient through I. Where two
///   values     coordinates are equal, each is given half of the gradient of their minimum or
///              maximum (PyTorch's convention). atan(0 / 0) = 0, with gradient 0. Inverted boxes
///              overlap nothing, and their sides count with their sign, as in torchvision, so that
///              the gradient can turn them round. Where a number is NaN, infinite or beyond 2^62,
///              or inversion makes U (with giou, also C) lie between -2 eps and 0, the loss is 1
///              (iou) or 2 and the gradient 0. Otherwise
///              loss and gradient are finite in float32, as long as no weight or factor takes them
///              out of its range; a 16-bit gradient is rounded as IEEE 754 says, and may be
///              infinite.
/// Determinism  Same input, same bits, in every run and on every device.
/// Empty input  n = 0: the loss of a reduction is 0.
/// Workspace    iou_loss_workspace_size(); contents are neither read before nor needed after.
/// Stream       One kernel, and before it the clearing of four bytes where more than 256 losses
///              are added. Captured graphs may be replayed on changed inputs.
/// Threads      Safe to call from any number of host threads, each with its own workspace.
/// Errors       invalid_argument: an option is out of range, a tensor is absent or has the wrong
///              shape, type or alignment, an output is read-only or overlaps another tensor, no
///              output is given, the workspace is too small. unsupported: a tensor is not
///              contiguous, n is 2^39 or more in a device call, or the device call is not in this
///              build. cuda_error: a launch failed. out_of_memory: the host's, on the CPU.
CUDET_API Status iou_loss(const IouLossOptions& options, const IouLossInput& input,
                          const IouLossOutput& output, const Execution& execution) noexcept;

namespace reference {

/// The same from the definition, in double, on host pointers.
CUDET_API Status iou_loss(const IouLossOptions& options, const IouLossInput& input,
                          const IouLossOutput& output) noexcept;

}  // namespace reference
}  // namespace cudet
