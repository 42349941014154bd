// Functions whose bits are the same on the CPU and on every GPU: each operation is rounded once,
// fused multiply-adds stand where they are written and nowhere else. The libraries' own functions
// are rounded differently from device to device.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define CUDET_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define CUDET_HOST_DEVICE inline
#endif

namespace cudet::pinned {

#if defined(__CUDA_ARCH__)
CUDET_HOST_DEVICE float add(float a, float b) {
  return __fadd_rn(a, b);
}
CUDET_HOST_DEVICE float subtract(float a, float b) {
  return __fsub_rn(a, b);
}
CUDET_HOST_DEVICE float multiply(float a, float b) {
  return __fmul_rn(a, b);
}
CUDET_HOST_DEVICE float divide(float a, float b) {
  return __fdiv_rn(a, b);
}
CUDET_HOST_DEVICE float fused(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
CUDET_HOST_DEVICE float square_root(float a) {
  return __fsqrt_rn(a);
}
CUDET_HOST_DEVICE float larger(float a, float b) {
  return fmaxf(a, b);
}
CUDET_HOST_DEVICE float smaller(float a, float b) {
  return fminf(a, b);
}
CUDET_HOST_DEVICE float from_bits(std::uint32_t bits) {
  return __uint_as_float(bits);
}
#else  // the host compiler contracts nothing: the library is built with -ffp-contract=off
CUDET_HOST_DEVICE float add(float a, float b) {
  return a + b;
}
CUDET_HOST_DEVICE float subtract(float a, float b) {
  return a - b;
}
CUDET_HOST_DEVICE float multiply(float a, float b) {
  return a * b;
}
CUDET_HOST_DEVICE float divide(float a, float b) {
  return a / b;
}
CUDET_HOST_DEVICE float fused(float a, float b, float c) {
  return fmaf(a, b, c);
}
CUDET_HOST_DEVICE float square_root(float a) {
  return sqrtf(a);
}
// Of numbers that are not NaN; which of two zeros is given may differ from device to device.
CUDET_HOST_DEVICE float larger(float a, float b) {
  return a > b ? a : b;
}
CUDET_HOST_DEVICE float smaller(float a, float b) {
  return a < b ? a : b;
}
CUDET_HOST_DEVICE float from_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
#endif

/// atan(width / height) for sides >= 0, and 0 for a box without extent. The ratio is formed with
/// the shorter side above, so that the series is used on [0, 1] and no ratio overflows. atan(t) =
/// t + t^3 P(t^2) with P the minimax polynomial of degree 7: relative error 0.3 * 2^-24, plus
/// rounding.
CUDET_HOST_DEVICE float aspect_angle(float width, float height) {
  constexpr float kHalfPi = 1.57079633f;
  const float longer = width > height ? width : height;
  const float shorter = width > height ? height : width;
  if (longer == 0.0f) return 0.0f;
  const float t = divide(shorter, longer);
  const float s = multiply(t, t);
  float p = 0.00292069605f;
  p = fused(p, s, -0.0163679421f);
  p = fused(p, s, 0.0432118811f);
  p = fused(p, s, -0.075522162f);
  p = fused(p, s, 0.106660053f);
  p = fused(p, s, -0.142110556f);
  p = fused(p, s, 0.199937731f);
  p = fused(p, s, -0.333331525f);
  const float angle = fused(multiply(t, s), p, t);
  return width > height ? subtract(kHalfPi, angle) : angle;
}

/// exp(x) for x <= 0: 2^n exp(r) with n the integer nearest to x / log(2) and exp(r) - 1 - r
/// r^2 times a minimax polynomial on [-log(2) / 2, log(2) / 2]. At most 1 unit in the last place
/// off where the result is a normal number; below that 2^n is applied in two steps, with one more
/// rounding.
CUDET_HOST_DEVICE float exp_of_nonpositive(float x) {
  if (!(x > -104.0f)) return x == x ? 0.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float n = subtract(fused(x, 1.44269502f, kRound), kRound);
  float r = fused(n, -0.693145752f, x);
  r = fused(n, -1.42860677e-6f, r);
  float p = 0.00019790298f;
  p = fused(p, r, 0.0013944703f);
  p = fused(p, r, 0.008333498f);
  p = fused(p, r, 0.041666295f);
  p = fused(p, r, 0.16666666f);
  p = fused(p, r, 0.5f);
  p = fused(multiply(p, r), r, r);
  const float value = add(p, 1.0f);
  const auto exponent = static_cast<std::int32_t>(n);
  const std::int32_t half = exponent / 2;
  const auto power = [](std::int32_t e) {
    return from_bits(static_cast<std::uint32_t>(e + 127) << 23);
  };
  return multiply(multiply(value, power(half)), power(exponent - half));
}

/// 1 / (1 + exp(-x)), at most 3 units in the last place off.
CUDET_HOST_DEVICE float sigmoid(float x) {
  const float e = exp_of_nonpositive(x > 0.0f ? -x : x);
  return divide(x > 0.0f ? 1.0f : e, add(1.0f, e));
}

}  // namespace cudet::pinned
