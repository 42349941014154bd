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

/// Threads of a block of every kernel but those for pooling.
constexpr unsigned kDepthwiseThreads = 128;

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
  int column_shift;      ///< the first group's first column is -column_shift
  int column_groups;     ///< of a row
  unsigned pool_pieces;  ///< of a plane
};

__device__ __forceinline__ float bias_of(const DepthwiseConvParameters& p, int channel) {
  return p.bias == nullptr ? 0.0f : load_real(p.bias, p.bias_type, channel);
}

/// Of int8, what an exact sum of products is multiplied with.
template <class T>
__device__ __forceinline__ float scale_of(const DepthwiseConvParameters& p, int channel) {
  return sizeof(T) == 1 ? p.scales[channel] : 1.0f;
}

/// The elements first ... end - 1 of a few neighbours are those that exist.
struct Part {
  int first, end;
  template <unsigned kCount>
  __device__ __forceinline__ bool is_whole() const {
    return first <= 0 && end >= static_cast<int>(kCount);
  }
  __device__ __forceinline__ bool has(unsigned k) const {
    return static_cast<int>(k) >= first && static_cast<int>(k) < end;
  }
};

template <class T, unsigned kCount>
__device__ __forceinline__ void load_part(const T* address, bool vectors, Part part,
                                          float (&v)[kCount]) {
  if constexpr (kCount == 4) {
    if (vectors && part.is_whole<4>()) {
      load_four(address, v);
      return;
    }
  }
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k)
    v[k] = part.has(k) ? to_float(address[k]) : 0.0f;
}

template <class T, unsigned kCount>
__device__ __forceinline__ void store_part(T* address, bool vectors, Part part,
                                           const float (&v)[kCount]) {
  if constexpr (kCount == 4) {
    if (vectors && part.is_whole<4>()) {
      store_four(address, v);
      return;
    }
  }
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k) {
    if (part.has(k)) address[k] = from_float<T>(v[k]);
  }
}

/// int8 by a runtime choice of two types of y.
template <unsigned kCount>
__device__ __forceinline__ void store_quantised(const DepthwiseConvParameters& p,
                                                std::int64_t index, Part part,
                                                const float (&v)[kCount]) {
  if (p.float_y) {
    store_part(static_cast<float*>(p.y) + index, p.y_vectors, part, v);
    return;
  }
  float scaled[kCount];
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k)
    scaled[k] = v[k] * p.output_factor;
  store_part(static_cast<std::int8_t*>(p.y) + index, p.y_vectors, part, scaled);
}

/// What follows the sums: activation, residual, and the stores of what is wanted of a few
/// neighbouring elements of y, the first at `index`. `v` comes out as the elements of y, before
/// they are rounded.
template <class T, unsigned kCount>
__device__ __forceinline__ void finish(const DepthwiseConvParameters& p, std::int64_t index,
                                       Part part, float (&v)[kCount]) {
  constexpr bool kIsInt8 = sizeof(T) == 1;
  if constexpr (!kIsInt8) {
    if (p.pre_activation != nullptr) {
      store_part(static_cast<T*>(p.pre_activation) + index, p.y_vectors, part, v);
    }
  }
  activate(p.activation, v);
  if constexpr (!kIsInt8) {
    if (p.residual != nullptr) {
      float residual[kCount];
      load_part(static_cast<const T*>(p.residual) + index, p.y_vectors, part, residual);
#pragma unroll
      for (unsigned k = 0; k < kCount; ++k)
        v[k] += residual[k];
    }
  }
  if (p.y == nullptr) return;
  if constexpr (kIsInt8) {
    store_quantised(p, index, part, v);
  } else {
    store_part(static_cast<T*>(p.y) + index, p.y_vectors, part, v);
  }
}

/// Sum of the elements that exist.
template <unsigned kCount>
__device__ __forceinline__ float sum_of(Part part, const float (&v)[kCount]) {
  float sum = 0.0f;
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k)
    sum += part.has(k) ? v[k] : 0.0f;
  return sum;
}

/// Stores the sum of piece `piece` of a plane, as the kernels for pooling read it.
__device__ __forceinline__ void store_pool_partial(const DepthwiseConvParameters& p,
                                                   ImageLayout layout, unsigned b, int channel,
                                                   int piece, float sum) {
  const auto channels = static_cast<std::int64_t>(p.out_channels);
  const std::int64_t pieces = p.pool_pieces;
  const std::int64_t index = layout == ImageLayout::nchw
                                 ? (b * channels + channel) * pieces + piece
                                 : (b * pieces + piece) * channels + channel;
  p.pool_partials[index] = sum;
}

using DepthwiseConvKernelFunction = void (*)(DepthwiseConvParameters);

}  // namespace cudet::device
