// The functions of cuda/device/pinned_math.h against the standard library in double.

#include "../cuda/device/pinned_math.h"

#include "support/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace cudet::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Distance in units in the last place of the float32 nearest to `expected`.
double units_off(float got, double expected) {
  const auto nearest = static_cast<float>(expected);
  const double unit =
      static_cast<double>(std::nextafter(nearest, kInfinity)) - static_cast<double>(nearest);
  return std::fabs(static_cast<double>(got) - expected) / unit;
}

TEST(PinnedMath, Exp) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (int i = 0; i < scaled(200000); ++i) {
    const float x = i % 2 == 0 ? random.uniform_float(-87.0f, 0.0f)
                               : -std::exp(random.uniform_float(-40.0f, 4.4f));
    ASSERT_LE(units_off(pinned::exp_of_nonpositive(x), std::exp(static_cast<double>(x))), 1.0) << x;
  }
  for (int i = 0; i < scaled(20000); ++i) {  // subnormal results
    const float x = random.uniform_float(-105.0f, -87.0f);
    ASSERT_LE(units_off(pinned::exp_of_nonpositive(x), std::exp(static_cast<double>(x))), 2.0) << x;
  }
  EXPECT_EQ(pinned::exp_of_nonpositive(0.0f), 1.0f);
  EXPECT_EQ(pinned::exp_of_nonpositive(-0.0f), 1.0f);
  EXPECT_EQ(pinned::exp_of_nonpositive(-1e30f), 0.0f);
  EXPECT_EQ(pinned::exp_of_nonpositive(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(pinned::exp_of_nonpositive(std::nanf(""))));
}

TEST(PinnedMath, Sigmoid) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  for (int i = 0; i < scaled(200000); ++i) {
    const float x = random.uniform_float(-86.0f, 90.0f);
    const double expected = 1.0 / (1.0 + std::exp(-static_cast<double>(x)));
    ASSERT_LE(units_off(pinned::sigmoid(x), expected), 3.0) << x;
  }
  EXPECT_EQ(pinned::sigmoid(0.0f), 0.5f);
  EXPECT_EQ(pinned::sigmoid(kInfinity), 1.0f);
  EXPECT_EQ(pinned::sigmoid(-kInfinity), 0.0f);
  EXPECT_EQ(pinned::sigmoid(std::numeric_limits<float>::max()), 1.0f);
  EXPECT_EQ(pinned::sigmoid(std::numeric_limits<float>::lowest()), 0.0f);
}

TEST(PinnedMath, AspectAngle) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  for (int i = 0; i < scaled(200000); ++i) {
    const float width = std::exp(random.uniform_float(-60.0f, 60.0f));
    const float height = random.chance(0.5) ? width * random.uniform_float(0.5f, 2.0f)
                                            : std::exp(random.uniform_float(-60.0f, 60.0f));
    const double expected = std::atan2(static_cast<double>(width), static_cast<double>(height));
    // The quotient may round away among the subnormals.
    if (!(expected > 1e-37)) continue;
    ASSERT_LE(units_off(pinned::aspect_angle(width, height), expected), 2.0)
        << width << " " << height;
  }
  EXPECT_EQ(pinned::aspect_angle(0.0f, 0.0f), 0.0f);
  EXPECT_EQ(pinned::aspect_angle(0.0f, 3.0f), 0.0f);
  EXPECT_EQ(pinned::aspect_angle(3.0f, 0.0f), 1.57079633f);
}

}  // namespace
}  // namespace cudet::test
