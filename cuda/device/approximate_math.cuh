// The special functions of the hardware, for results that are promised to a tolerance and not to
// the bit. Accuracies are those of the PTX ISA; subnormal arguments and results count as 0.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

namespace cudet::device {

#if defined(__CUDACC__)

/// 2^x; relative error 2^-22.5, 0 and infinity outside the range.
__device__ __forceinline__ float approximate_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// log2(x); absolute error 2^-22.6 for x in [1/2, 2], relative error 2^-22.6 elsewhere.
__device__ __forceinline__ float approximate_log2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 1 / x; relative error 2^-23.
__device__ __forceinline__ float approximate_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#else  // the emulated device

inline float approximate_exp2(float x) {
  return std::exp2(x);
}
inline float approximate_log2(float x) {
  return std::log2(x);
}
inline float approximate_reciprocal(float x) {
  return __fdiv_rn(1.0f, x);
}

#endif

}  // namespace cudet::device
