// Decisions that are the sign of a number, collected into words.
#pragma once

#include <cuda_runtime.h>

namespace cudet::device {

/// `bits` moved up by one, with the sign bit of `value` in the lowest place: one operation.
__device__ __forceinline__ unsigned push_sign(unsigned bits, float value) {
#if defined(__CUDA_ARCH__)
  // __funnelshift_l() would first move the number into an integer register.
  unsigned pushed;
  asm("shf.l.wrap.b32 %0, %1, %2, 1;" : "=r"(pushed) : "f"(value), "r"(bits));
  return pushed;
#else
  return __funnelshift_l(__float_as_uint(value), bits, 1);
#endif
}

}  // namespace cudet::device
