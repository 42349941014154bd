// What the lanes next to a lane have.
#pragma once

#include "warp.cuh"

#include <cuda_runtime.h>

namespace cudet::device {

/// The value of the lane before or after, where the bits of `mask` are set, otherwise 0. All lanes
/// of the warp call it; the first one's lane before is itself, likewise the last one's lane after.
__device__ __forceinline__ float from_lane_before(float value, unsigned mask) {
#if defined(__CUDACC__)
  float other;
  asm volatile(
      "{ shfl.sync.up.b32 %0, %1, 1, 0, -1;\n"
      "  and.b32 %0, %0, %2; }"
      : "=f"(other)
      : "f"(value), "r"(mask));
  return other;
#else
  return __uint_as_float(__float_as_uint(__shfl_up_sync(kFullWarp, value, 1)) & mask);
#endif
}
__device__ __forceinline__ float from_lane_after(float value, unsigned mask) {
#if defined(__CUDACC__)
  float other;
  asm volatile(
      "{ shfl.sync.down.b32 %0, %1, 1, 31, -1;\n"
      "  and.b32 %0, %0, %2; }"
      : "=f"(other)
      : "f"(value), "r"(mask));
  return other;
#else
  return __uint_as_float(__float_as_uint(__shfl_down_sync(kFullWarp, value, 1)) & mask);
#endif
}

}  // namespace cudet::device
