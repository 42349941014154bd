// The division-free threshold test against the division that it stands for.

#include "../cuda/iou_threshold.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>

namespace cudet::device {
namespace {

float float_of(std::uint32_t bits) {
  float value = 0.0f;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : engine_(seed) {}
  std::uint32_t below(std::uint32_t count) { return static_cast<std::uint32_t>(engine_() % count); }

  /// A float between 2^least and 2^(most + 1), often with few significant bits.
  float power_range(int least, int most) {
    const auto exponent = static_cast<std::uint32_t>(least + 127) +
                          below(static_cast<std::uint32_t>(most - least + 1));
    std::uint32_t fraction = below(1u << 23);
    if (below(4) == 0) fraction &= 0x7ff000u;
    if (below(8) == 0) fraction = 0;
    return float_of(exponent << 23 | fraction);
  }

 private:
  std::mt19937_64 engine_;
};

float threshold(Generator& random) {
  constexpr float kUsual[] = {0.0f, 1.0f, 0.5f, 0.25f, 0.3f, 0.45f, 0.7f, 0.1f, 0.05f, 1.0f / 3.0f};
  switch (random.below(6)) {
    case 0:
    case 1:
      return kUsual[random.below(10)];
    case 2:
      return float_of(random.below(1u << 23));  // subnormal
    case 3:
      return random.power_range(-126, -1);
    default:
      return random.power_range(-6, -1);
  }
}

/// An intersection within four units in the last place of threshold * union_area, and not above the
/// union.
float near_intersection(Generator& random, float threshold, float union_area) {
  float value = threshold * union_area;
  const int steps = static_cast<int>(random.below(9)) - 4;
  for (int i = 0; i < std::abs(steps); ++i)
    value = std::nextafter(value, steps > 0 ? 2.0f * union_area : 0.0f);
  return std::fmin(value, union_area);
}

TEST(IouThreshold, DecidesAsTheRoundedDivisionDoes) {
  constexpr std::uint32_t kSeed = 20240607;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Generator random(kSeed);
  int decided_by_margin = 0;
  int exceeding = 0;
  for (int draw = 0; draw < 30000; ++draw) {
    const float t = threshold(random);
    const IouThreshold prepared = make_iou_threshold(t);
    for (int pair = 0; pair < 100; ++pair) {
      const float u = random.below(2) == 0 ? random.power_range(-126, 120)
                                           : static_cast<float>(1 + random.below(1u << 20));
      const float i = near_intersection(random, t, u);
      const bool expected = i / u > t;
      exceeding += expected ? 1 : 0;
      const double bound = prepared.midpoint * static_cast<double>(u);
      const bool in_double = static_cast<double>(i) > bound ||
                             (prepared.odd && static_cast<double>(i) == bound && i > 0.0f);
      ASSERT_EQ(in_double, expected) << "t " << t << " u " << u << " i " << i;
      if (u < prepared.careful_below) continue;
      ++decided_by_margin;
      const float margin = std::fma(prepared.half_step, u, std::fma(t, u, -i));
      ASSERT_EQ(std::signbit(margin), expected) << "t " << t << " u " << u << " i " << i;
    }
  }
  EXPECT_GT(decided_by_margin, 1000000);
  EXPECT_GT(exceeding, 300000);
}

TEST(IouThreshold, SharesLetEveryPairPassThatExceeds) {
  constexpr std::uint32_t kSeed = 20240811;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Generator random(kSeed);
  int exceeding = 0;
  int ruled_out = 0;
  for (int draw = 0; draw < 30000; ++draw) {
    const float t = threshold(random);
    const IouThreshold prepared = make_iou_threshold(t);
    for (int pair = 0; pair < 100; ++pair) {
      const bool usual = random.below(4) != 0;
      const float a = random.power_range(usual ? -4 : -126, usual ? 20 : 120);
      if (a < prepared.careful_below) continue;
      const float b = random.below(8) == 0 ? random.power_range(-126, 120)
                                           : random.power_range(-1, 1) * (0.5f * a);
      // Sides whose product is as near the bound as four units in the last place, or 2^-15, away.
      const double sum = static_cast<double>(a) + b;
      const bool near = random.below(2) == 0;
      const double bound = t / (1.0 + t) * sum * (near ? 1.0 : 1.0 - 0x1p-15);
      const float width = random.power_range(-3, 3) * std::sqrt(static_cast<float>(bound));
      const float height = near_intersection(random, static_cast<float>(bound / width), 1.0f);
      const float i = width * height;
      const float u = (a + b) - i;
      if (!(i > 0.0f && u > 0.0f && i <= std::fmin(a, b) && std::isfinite(u))) continue;
      const bool passes = std::fma(width, -height, prepared.share * b) < -(prepared.share * a);
      if (i / u > t) {
        ++exceeding;
        ASSERT_TRUE(passes) << "t " << t << " a " << a << " b " << b << " i " << i;
      } else if (!near) {
        ++ruled_out;
        ASSERT_FALSE(passes) << "t " << t << " a " << a << " b " << b << " i " << i;
      }
    }
  }
  EXPECT_GT(exceeding, 100000);
  EXPECT_GT(ruled_out, 100000);
}

TEST(IouThreshold, NoOverlapNeverExceeds) {
  for (const float t : {0.0f, 0x1p-149f, 0.3f, 0.5f, 1.0f}) {
    const IouThreshold prepared = make_iou_threshold(t);
    for (const float i : {0.0f, -0.0f, -5.0f}) {
      for (const float u : {0.0f, 0x1p-149f, 1.0f, 0x1p127f}) {
        const float margin = std::fma(prepared.half_step, u, std::fma(t, u, -i));
        EXPECT_FALSE(std::signbit(margin)) << "t " << t << " u " << u << " i " << i;
      }
    }
  }
}

}  // namespace
}  // namespace cudet::device
