// What the kernels of the depthwise convolution are given, and what follows the sum of products.
#pragma once

#include <cudet/depthwise_conv.h>

#include "depthwise_conv_index.h"
#include "device/activation.cuh"
#include "device/image_element.cuh"
#include "device/keep.cuh"
#include "device/shared_memory.cuh"
#include "device/warp.cuh"

#include <cuda_runtime.h>

#include <cstddef>
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
  int tile_pitch;   ///< floats of a row in shared memory
  int plane_lanes;  ///< of a row of a narrow plane
  unsigned planes;  ///< n c
  int slice_lanes;  ///< nhwc: see DepthwiseSlices
  int slices;
  int places;
  bool weight_vectors;  ///< nhwc: every group of four channels of the weight is aligned
  bool x_vectors;       ///< every group of four elements of a row, or of channels, is aligned;
                        ///< for narrow planes, of two
  bool y_vectors;       ///< likewise, of all tensors of y's shape
  bool y_pairs;         ///< for narrow planes, of two of y alone
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

/// An array whose size is a template's parameter.
template <int kCount>
using Floats = float[static_cast<std::size_t>(kCount)];

/// The elements first ... end - 1 of a few neighbours are those that exist.
struct Part {
  int first, end;
  __device__ __forceinline__ bool has(int k) const { return k >= first && k < end; }
};

/// What follows the sums of kCount neighbouring elements of y: activation, residual, and the stores
/// of what is wanted. `part` and the call decide once for all elements of a thread whether there is
/// only one whole vector of y to store.
template <int kCount>
class Finish {
 public:
  __device__ __forceinline__ Finish(const DepthwiseConvParameters& p, Part part)
      : p_(p),
        part_(part),
        vectors_(kCount == 4 && p.y_vectors && part.first <= 0 && part.end >= kCount),
        only_y_(p.y != nullptr && p.pre_activation == nullptr && p.residual == nullptr),
        only_vectors_(keep(vectors_ && only_y_)),
        saves_(keep(p.pre_activation != nullptr)),
        activates_(keep(p.activation.kind != Activation::none)) {}

  /// All three steps; `index` is that of the first element. `v` goes into the activation and comes
  /// out as the elements of y, before they are rounded.
  template <class T>
  __device__ __forceinline__ void store(std::int64_t index, Floats<kCount>& v) const {
    if (saves_) save<T>(index, v);
    activate(v);
    add_and_store<T>(index, v);
  }

  __device__ __forceinline__ bool saves() const { return saves_; }

  /// There is nothing to do but to store y, and but to store whole vectors of it.
  __device__ __forceinline__ bool stores_plainly() const { return only_y_ && !activates_; }
  __device__ __forceinline__ bool stores_plain_vectors() const {
    return only_vectors_ && !activates_;
  }

  /// Of element `index` of y.
  template <class T>
  __device__ __forceinline__ T* address(std::int64_t index) const {
    return static_cast<T*>(p_.y) + index;
  }

  /// Stores what goes into the activation, where saves().
  template <class T>
  __device__ __forceinline__ void save(std::int64_t index, const Floats<kCount>& v) const {
    if constexpr (sizeof(T) > 1) store_part(static_cast<T*>(p_.pre_activation) + index, v);
  }

  template <std::size_t kValues>
  __device__ __forceinline__ void activate(float (&v)[kValues]) const {
    if (activates_) device::activate(p_.activation, v);
  }

  /// Adds the residual and stores y.
  template <class T>
  __device__ __forceinline__ void add_and_store(std::int64_t index, Floats<kCount>& v) const {
    if (!only_vectors_) {
      if (p_.residual != nullptr) {
        if constexpr (sizeof(T) > 1) add_part(static_cast<const T*>(p_.residual) + index, v);
      }
      if (p_.y == nullptr) return;
    }
    if constexpr (sizeof(T) > 1) {
      store_part(static_cast<T*>(p_.y) + index, v);
    } else {
      store_quantised(index, v);
    }
  }

  /// Sum of the elements that exist.
  __device__ __forceinline__ float sum_of(const Floats<kCount>& v) const {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      sum += part_.has(k) ? v[k] : 0.0f;
    return sum;
  }

 private:
  template <class T>
  __device__ __forceinline__ void store_part(T* address, const Floats<kCount>& v) const {
    if constexpr (kCount == 4) {
      if (vectors_) {
        store_four(address, v);
        return;
      }
    }
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      if (part_.has(k)) address[k] = from_float<T>(v[k]);
    }
  }

  template <class T>
  __device__ __forceinline__ void add_part(const T* address, Floats<kCount>& v) const {
    Floats<kCount> other;
    if constexpr (kCount == 4) {
      if (vectors_) load_four(address, other);
    }
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      if (!vectors_) other[k] = part_.has(k) ? to_float(address[k]) : 0.0f;
      v[k] += other[k];
    }
  }

  __device__ __forceinline__ void store_quantised(std::int64_t index,
                                                  const Floats<kCount>& v) const {
    if (p_.float_y) {
      store_part(static_cast<float*>(p_.y) + index, v);
      return;
    }
    Floats<kCount> scaled;
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      scaled[k] = v[k] * p_.output_factor;
    store_part(static_cast<std::int8_t*>(p_.y) + index, scaled);
  }

  const DepthwiseConvParameters& p_;
  Part part_;
  bool vectors_;
  bool only_y_;
  bool only_vectors_;
  bool saves_;
  bool activates_;
};

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
