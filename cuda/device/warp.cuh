// Operations of the 32 threads of a warp.
#pragma once

#include <cuda_runtime.h>

namespace cudet::device {

constexpr unsigned kFullWarp = 0xffffffffu;
constexpr int kWarpSize = 32;

/// Bitwise or over all lanes, in every lane.
__device__ __forceinline__ unsigned warp_or(unsigned value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    value |= __shfl_xor_sync(kFullWarp, value, offset);
  }
  return value;
#else
  return __reduce_or_sync(kFullWarp, value);
#endif
}

/// Maximum over all lanes, in every lane.
template <class T>
__device__ __forceinline__ T warp_max(T value) {
  static_assert(sizeof(T) == 4, "int or unsigned");
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    const T other = __shfl_xor_sync(kFullWarp, value, offset);
    value = other > value ? other : value;
  }
  return value;
#else
  return __reduce_max_sync(kFullWarp, value);
#endif
}

}  // namespace cudet::device
