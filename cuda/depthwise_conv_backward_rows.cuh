// Loading and storing pieces of rows for the kernels whose window slides down in registers.
#pragma once

#include "depthwise_conv_backward_parameters.cuh"
#include "device/real_vector.cuh"

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

namespace cudet::device {

/// An array whose size comes from arithmetic on int.
template <int kCount>
using Floats = float[static_cast<std::size_t>(kCount)];

/// Four elements at a multiple of four elements.
__device__ __forceinline__ void load_quad(const float* address, float (&x)[4]) {
  const float4 v = __ldg(reinterpret_cast<const float4*>(address));
  x[0] = v.x;
  x[1] = v.y;
  x[2] = v.z;
  x[3] = v.w;
}
template <class T>
__device__ __forceinline__ void load_quad(const T* address, float (&x)[4]) {
  const uint2 words = __ldg(reinterpret_cast<const uint2*>(address));
  unpack(words.x, x[0], x[1], T());
  unpack(words.y, x[2], x[3], T());
}
__device__ __forceinline__ void store_quad(float* address, const float (&x)[4]) {
  *reinterpret_cast<float4*>(address) = make_float4(x[0], x[1], x[2], x[3]);
}
template <class T>
__device__ __forceinline__ void store_quad(T* address, const float (&x)[4]) {
  *reinterpret_cast<uint2*>(address) = {pack(x[0], x[1], T()), pack(x[2], x[3], T())};
}

/// How a kernel walks along rows.
struct RowAccess {
  int width;
  int column;    ///< distance between columns; 1 unless channels are the neighbours in memory
  bool vectors;  ///< rows, their width and `first` of every call are multiples of four elements
};

/// x = elements first - kLeft to first + kMiddle + kRight - 1 of a row, 0 outside of it. A piece of
/// kMiddle is this thread's, the others are its neighbours': they come from the first-level cache.
template <int kLeft, int kMiddle, int kRight, bool kChannelsLast, class T>
__device__ __forceinline__ void load_piece(const T* row, int first, const RowAccess& access,
                                           Floats<kLeft + kMiddle + kRight>& x) {
  static_assert(kLeft <= 4 && kMiddle % 4 == 0 && kRight <= 4);
#pragma unroll
  for (float& element : x)
    element = 0.0f;
  if (!kChannelsLast && access.vectors) {
    float quad[4];
    if (kLeft > 0 && first > 0) {
      load_quad(row + (first - 4), quad);
#pragma unroll
      for (int k = 0; k < kLeft; ++k)
        x[k] = quad[4 - kLeft + k];
    }
#pragma unroll
    for (int start = 0; start < kMiddle; start += 4) {
      if (first + start >= access.width) continue;
      load_quad(row + (first + start), quad);
#pragma unroll
      for (int k = 0; k < 4; ++k)
        x[kLeft + start + k] = quad[k];
    }
    if (kRight > 0 && first + kMiddle < access.width) {
      load_quad(row + (first + kMiddle), quad);
#pragma unroll
      for (int k = 0; k < kRight; ++k)
        x[kLeft + kMiddle + k] = quad[k];
    }
    return;
  }
#pragma unroll
  for (int k = 0; k < kLeft + kMiddle + kRight; ++k) {
    const int column = first - kLeft + k;
    if (static_cast<unsigned>(column) >= static_cast<unsigned>(access.width)) continue;
    x[k] = to_float(row[kChannelsLast ? static_cast<long long>(column) * access.column : column]);
  }
}

/// The same of g, with `row` the index of the row's first element.
template <int kLeft, int kMiddle, int kRight, bool kChannelsLast, class T>
__device__ __forceinline__ void load_gradient_piece(const GradientSource& source, long long row,
                                                    int first, const RowAccess& access,
                                                    Floats<kLeft + kMiddle + kRight>& g) {
  if (std::is_same_v<T, float> ? source.pre_activation == nullptr : source.is_float32) {
    load_piece<kLeft, kMiddle, kRight, kChannelsLast>(
        static_cast<const float*>(source.grad_output) + row, first, access, g);
    return;
  }
  load_piece<kLeft, kMiddle, kRight, kChannelsLast>(static_cast<const T*>(source.grad_output) + row,
                                                    first, access, g);
  if (source.pre_activation == nullptr) return;
  Floats<kLeft + kMiddle + kRight> v;
  load_piece<kLeft, kMiddle, kRight, kChannelsLast>(
      static_cast<const T*>(source.pre_activation) + row, first, access, v);
#pragma unroll
  for (int k = 0; k < kLeft + kMiddle + kRight; ++k)
    g[k] *= activation_slope(source.activation, source.negative_slope, v[k]);
}

/// Stores elements first to first + kCount - 1 of a row, but for those outside of it.
template <int kCount, bool kChannelsLast, class T>
__device__ __forceinline__ void store_piece(T* row, int first, const RowAccess& access,
                                            const Floats<kCount>& x) {
  static_assert(kCount % 4 == 0);
  if (!kChannelsLast && access.vectors) {
#pragma unroll
    for (int start = 0; start < kCount; start += 4) {
      if (first + start >= access.width) continue;
      store_quad(row + (first + start), {x[start], x[start + 1], x[start + 2], x[start + 3]});
    }
    return;
  }
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const int column = first + k;
    if (static_cast<unsigned>(column) >= static_cast<unsigned>(access.width)) continue;
    row[kChannelsLast ? static_cast<long long>(column) * access.column : column] =
        from_float<T>(x[k]);
  }
}

/// Rounded up and down; kStride is 1 or 2 and `a` may be negative.
template <int kStride>
__device__ __forceinline__ int divide_up(int a) {
  return kStride == 1 ? a : (a + 1) >> 1;
}
template <int kStride>
__device__ __forceinline__ int divide_down(int a) {
  return kStride == 1 ? a : a >> 1;
}

}  // namespace cudet::device
