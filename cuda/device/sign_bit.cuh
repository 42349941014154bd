// Signs of floats as the bits that they are.
#pragma once

#include <cuda_runtime.h>

namespace cudet::device {

#if defined(__CUDACC__)

/// |x| where `other` is negative, else x. Logic on the registers of floats: written in C++ the
/// numbers would first be renamed integers, three times.
__device__ __forceinline__ float without_common_sign(float x, float other) {
  float y;
  asm("lop3.b32 %0, %1, %2, 0x80000000, 0x70;" : "=f"(y) : "f"(x), "f"(other));  // x & ~(other & c)
  return y;
}

/// `bits` moved up by one, with the sign bit of `value` in the lowest place: one operation, without
/// the renaming of __funnelshift_l().
__device__ __forceinline__ unsigned push_sign(unsigned bits, float value) {
  unsigned pushed;
  asm("shf.l.wrap.b32 %0, %1, %2, 1;" : "=r"(pushed) : "f"(value), "r"(bits));
  return pushed;
}

#else  // the emulated device

inline float without_common_sign(float x, float other) {
  const unsigned sign = __float_as_uint(other) & 0x80000000u;
  return __uint_as_float(__float_as_uint(x) & ~sign);
}

inline unsigned push_sign(unsigned bits, float value) {
  return __funnelshift_l(__float_as_uint(value), bits, 1);
}

#endif

}  // namespace cudet::device
