// The 16-bit types against the definitions of IEEE 754, computed in double.

#include <cudet/tensor.h>

#include "support/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace cudet {
namespace {

struct Layout {
  int precision;         ///< significant bits, the hidden one included
  int minimum_exponent;  ///< of a normal number
  int maximum_exponent;
};
constexpr Layout kFloat16 = {11, -14, 15};
constexpr Layout kBfloat16 = {8, -126, 127};

/// The value that the definition gives to `bits`.
double value_of(const Layout& layout, std::uint16_t bits) {
  const int fraction_bits = layout.precision - 1;
  const int magnitude = bits & 0x7fff;
  const int exponent = magnitude >> fraction_bits;
  const int fraction = magnitude & ((1 << fraction_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == layout.maximum_exponent - layout.minimum_exponent + 2) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  const int significand = exponent == 0 ? fraction : fraction + (1 << fraction_bits);
  const int scale = layout.minimum_exponent + (exponent == 0 ? 0 : exponent - 1);
  return sign * std::ldexp(significand, scale - fraction_bits);
}

/// `value` rounded to the type to nearest even. Dividing by the spacing is exact in double, and
/// std::nearbyint() rounds ties to even.
double round_to(const Layout& layout, float value) {
  if (std::isnan(value) || std::isinf(value) || value == 0.0f) return static_cast<double>(value);
  int exponent = 0;
  (void)std::frexp(static_cast<double>(value), &exponent);
  exponent = std::max(exponent - 1, layout.minimum_exponent);
  const int spacing = exponent - (layout.precision - 1);
  const double steps = std::nearbyint(std::ldexp(static_cast<double>(value), -spacing));
  const double rounded = std::ldexp(steps, spacing);
  if (std::fabs(rounded) >= std::ldexp(1.0, layout.maximum_exponent + 1)) {
    return std::copysign(std::numeric_limits<double>::infinity(), static_cast<double>(value));
  }
  return rounded;
}

float float_from_bits(std::uint32_t bits) {
  float value = 0.0f;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

template <class T>
struct LayoutOf;
template <>
struct LayoutOf<float16> {
  static constexpr Layout value = kFloat16;
};
template <>
struct LayoutOf<bfloat16> {
  static constexpr Layout value = kBfloat16;
};

/// Equal as numbers, with the sign of zero, or both NaN.
bool same_number(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b && std::signbit(a) == std::signbit(b);
}

template <class T>
class SixteenBit : public testing::Test {
 protected:
  static constexpr Layout kLayout = LayoutOf<T>::value;

  static void expect_rounding(float value) {
    const T converted(value);
    const double got = value_of(kLayout, converted.bits);
    ASSERT_TRUE(same_number(got, round_to(kLayout, value)))
        << value << " became " << got << ", expected " << round_to(kLayout, value);
  }
};
using SixteenBitTypes = testing::Types<float16, bfloat16>;
TYPED_TEST_SUITE(SixteenBit, SixteenBitTypes);

TYPED_TEST(SixteenBit, ToFloatIsExactForAllBits) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    TypeParam value;
    value.bits = static_cast<std::uint16_t>(bits);
    const auto widened = static_cast<double>(static_cast<float>(value));
    ASSERT_TRUE(same_number(widened, value_of(this->kLayout, value.bits))) << "bits " << bits;
  }
}

TYPED_TEST(SixteenBit, ComesBackForAllBits) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    TypeParam value;
    value.bits = static_cast<std::uint16_t>(bits);
    const TypeParam back(static_cast<float>(value));
    if (std::isnan(value_of(this->kLayout, value.bits))) {
      ASSERT_EQ(back.bits, 0x7fff) << "bits " << bits;  // the one NaN that conversion gives
    } else {
      ASSERT_EQ(back.bits, value.bits);
    }
  }
}

TYPED_TEST(SixteenBit, RoundsNeighboursOfAllMidpoints) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const double low = value_of(this->kLayout, static_cast<std::uint16_t>(bits));
    if (!std::isfinite(low)) continue;
    // Half a step above the largest finite number lies the border to infinity.
    const double next = value_of(this->kLayout, static_cast<std::uint16_t>(bits + 1));
    const double previous =
        (bits & 0x7fff) == 0 ? low : value_of(this->kLayout, static_cast<std::uint16_t>(bits - 1));
    const double step = std::isfinite(next) ? next - low : low - previous;
    const auto middle = static_cast<float>(low + step / 2.0);
    for (const float value :
         {middle, std::nextafterf(middle, kInfinity), std::nextafterf(middle, -kInfinity)}) {
      this->expect_rounding(value);
    }
  }
}

TYPED_TEST(SixteenBit, RoundsRandomFloats) {
  test::Random random(16);
  SCOPED_TRACE(random.trace());
  for (int i = 0; i < 2000000; ++i) {
    this->expect_rounding(
        float_from_bits(static_cast<std::uint32_t>(random.integer(0, 0xffffffff))));
  }
  for (int i = 0; i < 200000; ++i) {
    this->expect_rounding(random.uniform_float(-70000.0f, 70000.0f));
    this->expect_rounding(random.uniform_float(-1e-4f, 1e-4f));
  }
}

TYPED_TEST(SixteenBit, RoundsBorders) {
  for (const float value :
       {0.0f, -0.0f, 1.0f, 65504.0f, 65519.99609375f, 65520.0f, 65536.0f, 0x1p-14f, 0x1p-24f,
        0x1p-25f, 0x1.000002p-25f, 0x1p-26f, std::numeric_limits<float>::max(),
        std::numeric_limits<float>::lowest(), std::numeric_limits<float>::min(),
        std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    this->expect_rounding(value);
  }
}

TYPED_TEST(SixteenBit, NanBecomesTheCanonicalOne) {
  for (const std::uint32_t bits :
       {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xff800001u, 0x7fffffffu, 0xffffffffu}) {
    EXPECT_EQ(TypeParam(float_from_bits(bits)).bits, 0x7fff);
  }
}

TYPED_TEST(SixteenBit, StartsAtZero) {
  EXPECT_EQ(TypeParam().bits, 0);
}

}  // namespace
}  // namespace cudet
