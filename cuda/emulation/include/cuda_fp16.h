// Twin of CUDA's cuda_fp16.h: IEEE binary16 as storage, with conversions only. Kernels compute in
// float.
#pragma once

#include <cudet_emulation/intrinsics.h>
#include <cudet_emulation/keywords.h>
#include <cudet_emulation/vector_types.h>

struct alignas(2) __half {
  unsigned short bits;
};

struct alignas(4) __half2 {
  __half x, y;
};

typedef __half half;
typedef __half2 half2;

inline unsigned short __half_as_ushort(__half value) {
  return value.bits;
}
inline __half __ushort_as_half(unsigned short bits) {
  return {bits};
}

inline float __half2float(__half value) {
  const unsigned int sign = (value.bits & 0x8000u) << 16;
  const unsigned int exponent = value.bits >> 10 & 0x1Fu;
  const unsigned int fraction = value.bits & 0x3FFu;
  if (exponent == 0) {  // zero or subnormal: a multiple of 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return __uint_as_float(__float_as_uint(magnitude) | sign);
  }
  if (exponent == 0x1F) {  // infinity, or the NaN that CUDA returns
    return __uint_as_float(fraction == 0 ? sign | 0x7F800000u : 0x7FFFFFFFu);
  }
  return __uint_as_float(sign | (exponent + (127 - 15)) << 23 | fraction << 13);
}

// Rounds to nearest, ties to even. NaN becomes 0x7FFF.
inline __half __float2half_rn(float value) {
  const unsigned int bits = __float_as_uint(value);
  const unsigned int sign = bits >> 16 & 0x8000u;
  const unsigned int magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return {0x7FFF};
  unsigned int result;
  if (magnitude >= 0x47800000u) {  // 2^16 and more
    result = 0x7C00;
  } else if (magnitude < 0x38800000u) {  // below the smallest normal, 2^-14
    // A sum at 0.5 has a last place of 2^-24, half's smallest subnormal: the addition rounds to it.
    const float aligned = __uint_as_float(magnitude) + 0.5f;
    result = __float_as_uint(aligned) - 0x3F000000u;
  } else {
    const unsigned int rebiased = magnitude - ((127u - 15u) << 23);
    result = (rebiased + 0xFFFu + (rebiased >> 13 & 1u)) >> 13;  // may carry into infinity
  }
  return {static_cast<unsigned short>(sign | result)};
}

inline __half __float2half(float value) {
  return __float2half_rn(value);
}

inline float2 __half22float2(__half2 value) {
  return {__half2float(value.x), __half2float(value.y)};
}

inline __half2 __floats2half2_rn(float x, float y) {
  return {__float2half_rn(x), __float2half_rn(y)};
}
