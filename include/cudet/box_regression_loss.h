// Losses of regressed numbers, one row a box: squared error and smooth L1, with their gradients.
#pragma once

#include <cudet/execution.h>
#include <cudet/loss_reduction.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Of the difference d = prediction - target:
///   l2         d^2                                                       LFFD, PyTorch's mse_loss
///   smooth_l1  d^2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere
///              Girshick 2015, arXiv:1504.08083; beta = 0 is L1
enum class BoxRegressionKind : std::int32_t { l2, smooth_l1 };

/// Name of the kind as it is spelled in the enumeration, for example "smooth_l1".
CUDET_API const char* to_string(BoxRegressionKind kind) noexcept;

struct BoxRegressionLossOptions {
  BoxRegressionKind kind = BoxRegressionKind::smooth_l1;
  float beta = 1.0f;  ///< Of smooth_l1, finite and >= 0.
  LossReduction reduction = LossReduction::sum;
  float grad_scale = 1.0f;  ///< Factor of the gradient alone, finite.
};

struct BoxRegressionLossInput {
  Tensor predictions;  ///< [n, k], float32, float16 or bfloat16; k is 4 for boxes
  Tensor targets;      ///< [n, k], likewise
  Tensor weights;      ///< optional [n], float32: factors of the rows; 0 takes a row out
  Tensor normaliser;   ///< [1], float32, with LossReduction::normalised; NaN counts as 1
  Tensor grad_output;  ///< optional float32: [1], or with LossReduction::none [n, k]
};

/// Both optional, but at least one; what is present is computed.
struct BoxRegressionLossOutput {
  Tensor loss;              ///< float32: [1], or with LossReduction::none [n, k]
  Tensor grad_predictions;  ///< [n, k], float32, float16 or bfloat16
};

/// Bytes of device workspace that box_regression_loss() needs: about 4 for 256 numbers. Reads the
/// options and the shapes and types of predictions and targets only. Pure host arithmetic, monotone
/// in every size. Errors as box_regression_loss(), for these.
CUDET_API Status box_regression_loss_workspace_size(const BoxRegressionLossOptions& options,
                                                    const BoxRegressionLossInput& input,
                                                    std::size_t* bytes) noexcept;

/// loss              reduction over all n k elements of weights[i] loss(d[i, j])
/// grad_predictions  grad_scale * grad_output * d loss / d predictions; that of the targets is its
///                   negative. At d = 0 the gradient of L1 is 0.
///
/// Arithmetic   float32; reductions add in a tree that is fixed by n k alone, its last stage in
///              double.
/// Accuracy     1e-6 of the value, for the loss of an element and its gradient.
/// Special      NaN and infinity give what the formula gives; with a weight of 0, loss and gradient
///   values     of a row are 0 whatever it holds.
/// Determinism, empty input, workspace, stream, threads, errors   As iou_loss(); the limit of a
///              device call is n k < 2^39.
CUDET_API Status box_regression_loss(const BoxRegressionLossOptions& options,
                                     const BoxRegressionLossInput& input,
                                     const BoxRegressionLossOutput& output,
                                     const Execution& execution) noexcept;

namespace reference {

/// The same from the definition, in double, on host pointers.
CUDET_API Status box_regression_loss(const BoxRegressionLossOptions& options,
                                     const BoxRegressionLossInput& input,
                                     const BoxRegressionLossOutput& output) noexcept;

}  // namespace reference
}  // namespace cudet
