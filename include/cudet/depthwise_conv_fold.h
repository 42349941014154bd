// Folding of what surrounds a depthwise convolution at inference into its weight and bias: batch
// normalisation, and parallel branches that were only needed for training. On the host.
#pragma once

#include <cudet/depthwise_conv.h>
#include <cudet/export.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

namespace cudet {

/// Batch normalisation of channel o at inference:
/// gamma (v - mean) / sqrt(variance + epsilon) + beta. All are [channels], float32, on the host.
struct BatchNorm {
  Tensor mean;
  Tensor variance;
  Tensor gamma;  ///< absent: 1
  Tensor beta;   ///< absent: 0
  float epsilon = 1e-5f;
};

/// A convolution with the given weight and bias, and then the batch normalisation, is one
/// convolution with folded_weight and folded_bias:
///   folded_weight = weight gamma / sqrt(variance + epsilon)
///   folded_bias   = (bias - mean) gamma / sqrt(variance + epsilon) + beta
///
/// weight        float32, as in depthwise_conv(): nchw [c m, kh, kw] or [c m, 1, kh, kw], nhwc
///               [kh, kw, c m] or [kh, kw, c, m]
/// bias          absent: 0; [c m], float32
/// folded        the same shapes, float32; folded_weight may be weight, folded_bias may be bias,
///               otherwise outputs must not overlap inputs
/// Arithmetic    double, rounded once.
/// Errors        invalid_argument: a tensor has the wrong shape or type, epsilon is negative or not
///               finite, variance + epsilon is not above 0. unsupported: a tensor is not
///               contiguous.
CUDET_API Status fold_batch_norm(ImageLayout layout, const Tensor& weight, const Tensor& bias,
                                 const BatchNorm& norm, const Tensor& folded_weight,
                                 const Tensor& folded_bias) noexcept;

/// One of several parallel branches whose results are added: a depthwise convolution, or without a
/// weight the identity, and then perhaps a batch normalisation.
struct DepthwiseBranch {
  Tensor weight;   ///< absent: the identity: stride and channel multiplier are 1
  Tensor bias;     ///< absent: 0; [c m], float32
  BatchNorm norm;  ///< without a mean there is none
};

/// Folds the branches of a block (RepVGG, Ding et al. 2021, arXiv:2101.03697; MobileOne, Vasu et
/// al. 2022, arXiv:2206.04040; RepLKNet, Ding et al. 2022, arXiv:2203.06717) into one kernel and
/// bias: each branch's batch normalisation is folded, its kernel is put into the middle of the
/// largest one, and kernels and biases are added.
///
/// Kernels have the layout and type of fold_batch_norm(), odd sides, and at most those of `weight`.
/// They all have the same stride and a dilation of 1, and each is padded by half of its side, so
/// that all outputs have the same size; then so is the folded one, padded by half of its side.
/// weight, bias  outputs, float32: the shape of a weight with the largest sides, and [c m]; they
///               must not overlap inputs
/// Errors        invalid_argument: count is not 1 to 32, a tensor has the wrong shape or type, and
///               as for fold_batch_norm(). unsupported: a tensor is not contiguous.
CUDET_API Status reparameterize(ImageLayout layout, const DepthwiseBranch* branches, int count,
                                const Tensor& weight, const Tensor& bias) noexcept;

}  // namespace cudet
