// What the kernels of the depthwise convolution are given, and what follows the sum of products.
#pragma once

#include <cudet/depthwise_conv.h>

#include "device/activation.cuh"
#include "device/image_element.cuh"
#include "device/shared_memory.cuh"
#include "device/warp.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

/// Sizes are below 2^31, in an image of x or y also all offsets.
struct DepthwiseConvParameters {
  const void* x;
  const void* weight;
  const void* bias;  ///< null: 0
  DataType bias_type;
  const float* scales;   ///< with int8 alone
  const void* residual;  ///< null where there is none
  void* y;               ///< null where it is not wanted, as the two that follow
  void* pre_activation;
  float* pool_partials;  ///< sums of pieces of planes; see the pool kernels
  bool float_y;          ///< with int8: y is float32
  float output_factor;   ///< with int8: 1 / output_scale
  ActivationParameters activation;
  int c, multiplier, out_channels;
  int h, w, oh, ow;
  int kernel_h, kernel_w;
  int stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  bool x_vectors;  ///< every group of four elements of a row, or of channels, is aligned
  bool y_vectors;  ///< likewise, of all tensors of y's shape
  unsigned blocks_per_image;
  unsigned items;        ///< of an image: what a thread works on
  int strip_rows;        ///< output rows of an item
  int strips;            ///< of a plane
  int column_groups;     ///< of a row
  unsigned pool_pieces;  ///< of a plane
};

__device__ __forceinline__ float bias_of(const DepthwiseConvParameters& p, int channel) {
  return p.bias == nullptr ? 0.0f : load_real(p.bias, p.bias_type, channel);
}

/// An exact sum of int8 products becomes a number.
__device__ __forceinline__ float scaled_sum(const DepthwiseConvParameters& p, int channel,
                                            float sum, float bias) {
  return fmaf(sum, p.scales[channel], bias);
}

template <class T, unsigned kCount>
__device__ __forceinline__ void store_part(T* address, bool vectors, unsigned count,
                                           const float (&v)[kCount]) {
  if constexpr (kCount == 4) {
    if (vectors && count == 4) {
      store_four(address, v);
      return;
    }
  }
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k) {
    if (k < count) address[k] = from_float<T>(v[k]);
  }
}

/// Adds the residual and stores what is wanted of `count` neighbouring elements of y, the first at
/// `index`. `v` goes in as what the activation takes and comes out as the elements of y, before
/// rounding.
template <class T, unsigned kCount>
__device__ __forceinline__ void finish(const DepthwiseConvParameters& p, std::int64_t index,
                                       unsigned count, float (&v)[kCount]) {
  if (p.pre_activation != nullptr) {
    store_part(static_cast<T*>(p.pre_activation) + index, p.y_vectors, count, v);
  }
  activate(p.activation, v);
  if (p.residual != nullptr) {
    const T* const residual = static_cast<const T*>(p.residual) + index;
#pragma unroll
    for (unsigned k = 0; k < kCount; ++k) {
      if (k < count) v[k] += to_float(residual[k]);
    }
  }
  if (p.y != nullptr) store_part(static_cast<T*>(p.y) + index, p.y_vectors, count, v);
}

/// int8: no residual, no pre-activation, and one of two types of y.
template <unsigned kCount>
__device__ __forceinline__ void finish_int8(const DepthwiseConvParameters& p, std::int64_t index,
                                            unsigned count, float (&v)[kCount]) {
  activate(p.activation, v);
  if (p.y == nullptr) return;
  if (p.float_y) {
    store_part(static_cast<float*>(p.y) + index, p.y_vectors, count, v);
    return;
  }
  std::int8_t* const y = static_cast<std::int8_t*>(p.y) + index;
  std::int8_t quantised[kCount];
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k)
    quantised[k] = to_int8(v[k] * p.output_factor);
  if constexpr (kCount == 4) {
    if (p.y_vectors && count == 4) {
      *reinterpret_cast<char4*>(y) =
          make_char4(quantised[0], quantised[1], quantised[2], quantised[3]);
      return;
    }
  }
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k) {
    if (k < count) y[k] = quantised[k];
  }
}
template <>
__device__ __forceinline__ void finish<std::int8_t, 1>(const DepthwiseConvParameters& p,
                                                       std::int64_t index, unsigned count,
                                                       float (&v)[1]) {
  finish_int8(p, index, count, v);
}
template <>
__device__ __forceinline__ void finish<std::int8_t, 4>(const DepthwiseConvParameters& p,
                                                       std::int64_t index, unsigned count,
                                                       float (&v)[4]) {
  finish_int8(p, index, count, v);
}

using DepthwiseConvKernelFunction = void (*)(DepthwiseConvParameters);

}  // namespace cudet::device
