// The sums of grad_weight and grad_bias over blocks: each block stores what it has for its group of
// channels, the last one of a group to arrive adds in the order of the blocks.
#pragma once

#include "depthwise_conv_backward_parameters.cuh"
#include "device/shared_memory.cuh"
#include "device/warp.cuh"

#include <cuda_runtime.h>

namespace cudet::device {

/// A block works for one group of channels, and for one of `splits` shares of the images.
struct WeightReduction {
  float* partials;    ///< [splits, groups, kernel_h kernel_w + 1, group_channels]
  unsigned* arrived;  ///< [groups] blocks that have stored theirs; not used with one split
  void* grad_weight;  ///< null: not wanted
  void* grad_bias;    ///< null: not wanted
  DataType weight_type, bias_type;
  unsigned groups, splits;
  unsigned group_channels;
};

struct GradWeightParameters {
  DepthwiseGeometry geometry;
  GradientSource gradient;
  const void* x;
  WeightReduction reduction;
  long long share;  ///< pieces of all images, or rows of outputs, that a split has
  int strip_rows, strips, column_groups;  ///< of the window kernels
  int places;    ///< pieces that a block works on at a time, where channels lie side by side
  bool vectors;  ///< rows begin at multiples of four elements, and so does the padded window
};

/// Where the block's sums go: those of tap t and the group's channel k to [t group_channels + k].
__device__ __forceinline__ float* block_partials(const GradWeightParameters& parameters) {
  const DepthwiseGeometry& geometry = parameters.geometry;
  const unsigned sums = (static_cast<unsigned>(geometry.kernel_h * geometry.kernel_w) + 1) *
                        parameters.reduction.group_channels;
  return parameters.reduction.partials + static_cast<std::size_t>(blockIdx.x) * sums;
}

/// Run by all threads of a block after it has stored its sums.
__device__ __forceinline__ void finish_weights(const GradWeightParameters& parameters) {
  const WeightReduction& reduction = parameters.reduction;
  const DepthwiseGeometry& geometry = parameters.geometry;
  const unsigned group = blockIdx.x % reduction.groups;
  CUDET_SHARED(bool, is_last);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    is_last =
        reduction.splits == 1 || atomicAdd(reduction.arrived + group, 1u) == reduction.splits - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  const auto taps = static_cast<unsigned>(geometry.kernel_h * geometry.kernel_w);
  const unsigned channels = reduction.group_channels;
  const unsigned sums = (taps + 1) * channels;
  const std::size_t step = static_cast<std::size_t>(reduction.groups) * sums;
  for (unsigned i = threadIdx.x; i < sums; i += blockDim.x) {
    const unsigned tap = i / channels;
    const unsigned channel = group * channels + i % channels;
    if (channel >= static_cast<unsigned>(geometry.out_channels)) continue;
    // Past the first-level cache, which does not see what other blocks have written.
    const float* partial = reduction.partials + static_cast<std::size_t>(group) * sums + i;
    double sum = 0.0;
#pragma unroll 4
    for (unsigned split = 0; split < reduction.splits; ++split) {
      sum += static_cast<double>(__ldcg(partial));
      partial += step;
    }
    if (tap < taps) {
      if (reduction.grad_weight == nullptr) continue;
      const long long index = static_cast<long long>(channel) * geometry.weight_channel +
                              static_cast<long long>(tap) * geometry.weight_tap;
      store_real(reduction.grad_weight, reduction.weight_type, index, static_cast<float>(sum));
    } else if (reduction.grad_bias != nullptr) {
      store_real(reduction.grad_bias, reduction.bias_type, channel, static_cast<float>(sum));
    }
  }
}

}  // namespace cudet::device
