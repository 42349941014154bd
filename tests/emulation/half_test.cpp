// Conversions of half and bfloat16, against arithmetic in double.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <gtest/gtest.h>

#include "cuda/emulation/random.h"

namespace cudet::emulation {
namespace {

// A binary format of 16 bits.
struct Format {
  int exponent_bits;
  int fraction_bits;

  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  unsigned int infinity() const { return ((1u << exponent_bits) - 1) << fraction_bits; }
};
constexpr Format kHalf{5, 10};
constexpr Format kBfloat16{8, 7};

// The value of a code by the definition of the format.
double value_of(unsigned int code, Format format) {
  const double sign = (code & 0x8000u) != 0 ? -1.0 : 1.0;
  const unsigned int fraction = code & ((1u << format.fraction_bits) - 1);
  const int exponent = static_cast<int>((code & 0x7FFFu) >> format.fraction_bits);
  if ((code & 0x7FFFu) > format.infinity()) return std::numeric_limits<double>::quiet_NaN();
  if ((code & 0x7FFFu) == format.infinity()) return sign * HUGE_VAL;
  const double leading = exponent == 0 ? 0.0 : std::ldexp(1.0, format.fraction_bits);
  return sign * std::ldexp(leading + fraction,
                           std::max(exponent, 1) - format.bias() - format.fraction_bits);
}

// Rounds to nearest, ties to even: the double's own rounding of a quotient by the format's last
// place does it.
unsigned int nearest_code(float value, Format format) {
  if (std::isnan(value)) return 0x7FFFu;
  const unsigned int sign = std::signbit(value) ? 0x8000u : 0u;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude == 0.0) return sign;
  if (std::isinf(value)) return sign | format.infinity();
  const int lowest = 1 - format.bias();
  int exponent = std::max(std::ilogb(magnitude), lowest);
  double steps = std::nearbyint(std::ldexp(magnitude, format.fraction_bits - exponent));
  if (steps == std::ldexp(1.0, format.fraction_bits + 1)) {
    steps /= 2;
    ++exponent;
  }
  const double leading = std::ldexp(1.0, format.fraction_bits);
  if (steps < leading) return sign | static_cast<unsigned int>(steps);  // subnormal or zero
  const int field = exponent + format.bias();
  if (field >= (1 << format.exponent_bits) - 1) return sign | format.infinity();
  return sign | static_cast<unsigned int>(field) << format.fraction_bits |
         static_cast<unsigned int>(steps - leading);
}

unsigned int half_code(float value) {
  return __half_as_ushort(__float2half_rn(value));
}
unsigned int bfloat16_code(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

TEST(HalfTest, EveryHalfHasItsValueAndComesBack) {
  for (unsigned int code = 0; code < 65536; ++code) {
    const float value = __half2float(__ushort_as_half(static_cast<unsigned short>(code)));
    const double expected = value_of(code, kHalf);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << code;
      ASSERT_EQ(half_code(value), 0x7FFFu) << code;
    } else {
      ASSERT_EQ(static_cast<double>(value), expected) << code;
      ASSERT_EQ(std::signbit(value), std::signbit(expected)) << code;
      ASSERT_EQ(half_code(value), code);
    }
  }
}

TEST(HalfTest, EveryBfloat16HasItsValueAndComesBack) {
  for (unsigned int code = 0; code < 65536; ++code) {
    const float value = __bfloat162float(__ushort_as_bfloat16(static_cast<unsigned short>(code)));
    const double expected = value_of(code, kBfloat16);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << code;
      ASSERT_EQ(bfloat16_code(value), 0x7FFFu) << code;
    } else {
      ASSERT_EQ(static_cast<double>(value), expected) << code;
      ASSERT_EQ(bfloat16_code(value), code);
    }
  }
}

void expect_nearest(float value) {
  ASSERT_EQ(half_code(value), nearest_code(value, kHalf)) << value;
  ASSERT_EQ(bfloat16_code(value), nearest_code(value, kBfloat16)) << value;
}

// The middle between two neighbours, exact in float, and the floats next to it.
void check_middles(Format format, float (*value)(unsigned int)) {
  for (unsigned int code = 0; code + 1 < format.infinity(); ++code) {
    const auto middle = static_cast<float>(
        (static_cast<double>(value(code)) + static_cast<double>(value(code + 1))) / 2);
    for (const float near : {std::nextafter(middle, 0.0f), middle,
                             std::nextafter(middle, std::numeric_limits<float>::infinity())}) {
      expect_nearest(near);
      expect_nearest(-near);
    }
  }
}

TEST(HalfTest, MiddlesOfHalvesRoundToEven) {
  check_middles(kHalf, [](unsigned int code) {
    return __half2float(__ushort_as_half(static_cast<unsigned short>(code)));
  });
}

TEST(HalfTest, MiddlesOfBfloat16sRoundToEven) {
  check_middles(kBfloat16, [](unsigned int code) {
    return __bfloat162float(__ushort_as_bfloat16(static_cast<unsigned short>(code)));
  });
}

TEST(HalfTest, FloatsOfAllKindsRoundToNearest) {
  Random random(7);
  for (int i = 0; i < 500000; ++i) {
    const float value = __uint_as_float(static_cast<unsigned int>(random.next()));
    expect_nearest(value);
  }
}

TEST(HalfTest, Limits) {
  EXPECT_EQ(half_code(65504.0f), 0x7BFFu);
  EXPECT_EQ(half_code(65519.996f), 0x7BFFu);
  EXPECT_EQ(half_code(65520.0f), 0x7C00u);  // the tie goes to infinity
  EXPECT_EQ(half_code(-1e30f), 0xFC00u);
  EXPECT_EQ(half_code(0x1p-24f), 0x0001u);
  EXPECT_EQ(half_code(0x1p-25f), 0x0000u);  // the tie goes to zero
  EXPECT_EQ(half_code(-0x1.000002p-25f), 0x8001u);
  EXPECT_EQ(half_code(-0.0f), 0x8000u);
  EXPECT_EQ(bfloat16_code(std::numeric_limits<float>::max()), 0x7F80u);
  EXPECT_EQ(bfloat16_code(std::numeric_limits<float>::denorm_min()), 0x0000u);
}

TEST(HalfTest, Pairs) {
  static_assert(sizeof(__half) == 2 && sizeof(__half2) == 4 && alignof(__half2) == 4);
  static_assert(sizeof(__nv_bfloat16) == 2 && sizeof(__nv_bfloat162) == 4);
  static_assert(std::is_trivially_copyable_v<__half> && std::is_trivial_v<__nv_bfloat16>);
  const float2 half_pair = __half22float2(__floats2half2_rn(1.5f, -2.0f));
  EXPECT_EQ(half_pair.x, 1.5f);
  EXPECT_EQ(half_pair.y, -2.0f);
  const float2 bfloat16_pair = __bfloat1622float2(__floats2bfloat162_rn(1.5f, -2.0f));
  EXPECT_EQ(bfloat16_pair.x, 1.5f);
  EXPECT_EQ(bfloat16_pair.y, -2.0f);
}

}  // namespace
}  // namespace cudet::emulation
