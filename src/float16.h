// Conversion between float and the bits of the 16-bit types, on the host.
//
// To float the conversion is exact. From float it rounds once, to nearest even, with subnormals
// kept and values past the largest finite one going to infinity (IEEE 754-2008, 4.3.1 and 7.4).
#pragma once

#include <cstdint>
#include <cstring>

namespace cudet {

inline std::uint32_t bits_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float float_of(std::uint32_t bits) {
  float value = 0.0f;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// Drops the lowest `count` bits, 1 to 31, of `bits`, rounding to nearest even.
inline std::uint32_t shift_right_rounding(std::uint32_t bits, int count) {
  const std::uint32_t half = 1u << (count - 1);
  const std::uint32_t odd = (bits >> count) & 1u;
  return (bits + half - 1u + odd) >> count;
}

inline std::uint16_t float16_bits(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fff;  // NaN, spelled as CUDA spells it
  std::uint32_t half = 0;
  if (magnitude >= 0x47800000u) {  // 2^16 and above
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14 and above: normal; a carry may reach infinity
    half = shift_right_rounding(magnitude - 0x38000000u, 13);
  } else {
    const int exponent = static_cast<int>(magnitude >> 23);
    const int shift = 126 - exponent;  // units of 2^-24
    const std::uint32_t significand = (magnitude & 0x007fffffu) | 0x00800000u;
    half = shift <= 24 ? shift_right_rounding(significand, shift) : 0u;
  }
  return static_cast<std::uint16_t>(sign | half);
}

inline float float16_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fu;
  const std::uint32_t fraction = half & 0x3ffu;
  if (exponent == 0x1fu) return float_of(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0u) return float_of(sign | ((exponent + 112u) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign != 0u ? -magnitude : magnitude;
}

inline std::uint16_t bfloat16_bits(float value) {
  const std::uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;  // NaN, spelled as CUDA spells it
  return static_cast<std::uint16_t>(shift_right_rounding(bits, 16));
}

inline float bfloat16_to_float(std::uint16_t bits) {
  return float_of(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace cudet
