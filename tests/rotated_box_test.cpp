// The overlap of rotated boxes: float32 functions (cuda/device/rotated_box.h) and the reference in
// double against other libraries' figures, and both against each other where float32 has it hard.

#include "../cuda/device/rotated_box.h"
#include "../src/reference/rotated_box.h"

#include "support/oracle.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace cudet::test {
namespace {

using Numbers = std::array<float, 5>;

constexpr double kPi = 3.14159265358979323846;

pinned::RotatedBox float_box(const Numbers& n, AngleUnit unit = AngleUnit::degrees,
                             AngleDirection direction = AngleDirection::counter_clockwise) {
  return pinned::make_rotated_box(n[0], n[1], n[2], n[3], n[4], unit, direction);
}

reference::RotatedBox reference_box(const Numbers& n, AngleUnit unit = AngleUnit::degrees,
                                    AngleDirection direction = AngleDirection::counter_clockwise) {
  return reference::make_rotated_box(n.data(), unit, direction);
}

float iou_of(const Numbers& a, const Numbers& b, AngleUnit unit = AngleUnit::degrees) {
  return pinned::rotated_iou(float_box(a, unit), float_box(b, unit));
}

std::string text_of(const Numbers& a, const Numbers& b) {
  std::string text;
  for (const Numbers* box : {&a, &b})
    for (const float number : *box) {
      char buffer[32];
      std::snprintf(buffer, sizeof(buffer), "%.9g ", static_cast<double>(number));
      text += buffer;
    }
  return text;
}

std::vector<Numbers> boxes_of(const Array& array) {
  const std::vector<float> values = array.values<float>();
  std::vector<Numbers> boxes(values.size() / 5);
  for (std::size_t i = 0; i < values.size(); ++i)
    boxes[i / 5][i % 5] = values[i];
  return boxes;
}

class RotatedOracle : public testing::TestWithParam<std::string> {};

TEST_P(RotatedOracle, BothAgree) {
  const OracleCase oracle = load_case("rotated_iou", GetParam());
  const std::vector<Numbers> boxes1 = boxes_of(oracle.input("boxes1"));
  const std::vector<Numbers> boxes2 = boxes_of(oracle.input("boxes2"));
  const AngleUnit unit = oracle.parameter<std::string>("angle_unit") == "degree"
                             ? AngleUnit::degrees
                             : AngleUnit::radians;
  const std::pair<AngleDirection, const char*> directions[] = {
      {AngleDirection::clockwise, "iou_rotpos"}, {AngleDirection::counter_clockwise, "iou_rotneg"}};
  for (const auto& [direction, name] : directions) {
    const std::vector<double> expected = oracle.output(name).values<double>();
    ASSERT_EQ(expected.size(), boxes1.size() * boxes2.size());
    for (std::size_t k = 0; k < expected.size(); ++k) {
      const Numbers& a = boxes1[k / boxes2.size()];
      const Numbers& b = boxes2[k % boxes2.size()];
      SCOPED_TRACE(std::string(name) + " " + text_of(a, b));
      EXPECT_LE(std::fabs(reference::rotated_iou(reference_box(a, unit, direction),
                                                 reference_box(b, unit, direction)) -
                          expected[k]),
                1e-9);
      const float got =
          pinned::rotated_iou(float_box(a, unit, direction), float_box(b, unit, direction));
      EXPECT_LE(std::fabs(static_cast<double>(got) - expected[k]), 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RotatedOracle, testing::ValuesIn(list_cases("rotated_iou")),
                         case_test_name);

TEST(RotatedBox, SineAndCosineOfAnyAngle) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (int i = 0; i < scaled(200000); ++i) {
    const double range = std::exp(random.uniform(-20.0, 13.8));
    const float angle = random.uniform_float(-1.0f, 1.0f) * static_cast<float>(range);
    const pinned::SineCosine radians = pinned::sine_and_cosine(pinned::reduce_radians(angle));
    const auto error = [](pinned::FloatPair got, double expected) {
      return std::fabs(static_cast<double>(got.high) + static_cast<double>(got.low) - expected);
    };
    const double x = static_cast<double>(angle);
    ASSERT_LE(error(radians.sine, std::sin(x)), 0x1p-41) << angle;
    ASSERT_LE(error(radians.cosine, std::cos(x)), 0x1p-41) << angle;
    const pinned::SineCosine degrees = pinned::sine_and_cosine(pinned::reduce_degrees(angle));
    const double y = std::fmod(x, 360.0) * (kPi / 180);
    ASSERT_LE(error(degrees.sine, std::sin(y)), 0x1p-41) << angle;
    ASSERT_LE(error(degrees.cosine, std::cos(y)), 0x1p-41) << angle;
  }
}

/// Boxes of which one, or both, is up to 100,000 times as long as wide.
Numbers sliver(Random& random, double size) {
  const double width = std::exp(random.uniform(-11.5, 0.0)) * size;
  Numbers box = {random.uniform_float(-300.0f, 300.0f), random.uniform_float(-300.0f, 300.0f),
                 static_cast<float>(size), static_cast<float>(width),
                 random.uniform_float(-400.0f, 400.0f)};
  if (random.chance(0.5)) std::swap(box[2], box[3]);
  return box;
}

/// `box` changed a little, down to its last bits, or moved along its length.
Numbers neighbour(Random& random, const Numbers& box) {
  Numbers other = box;
  const double change = std::exp(random.uniform(-18.0, 0.0));
  const auto part = [&](double scale) {
    return static_cast<float>(random.uniform(-1.0, 1.0) * change * scale);
  };
  const double along = random.chance(0.5) ? random.uniform(-1.0, 1.0) : 0.0;
  const double turn = static_cast<double>(box[4]) * kPi / 180;
  const double width = static_cast<double>(box[2]);
  const double height = static_cast<double>(box[3]);
  const double forward = box[2] > box[3] ? 0.0 : kPi / 2;
  const double length = std::max(width, height);
  other[0] +=
      part(std::min(width, height)) + static_cast<float>(along * length * std::cos(turn + forward));
  other[1] +=
      part(std::min(width, height)) - static_cast<float>(along * length * std::sin(turn + forward));
  other[2] *= 1.0f + part(0.5);
  other[3] *= 1.0f + part(0.5);
  other[4] += part(60.0 * std::min(width, height) / length);
  if (random.chance(0.2)) other[4] += 90.0f * static_cast<float>(random.integer(-4, 4));
  return other;
}

TEST(RotatedBox, AgreesWithPolygonsOnNeighboursAndSlivers) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  int overlapping = 0;
  const int pairs = scaled(1000000);
  for (int i = 0; i < pairs; ++i) {
    const double size = std::exp(random.uniform(0.0, 7.0));
    const Numbers a = sliver(random, size);
    Numbers b = neighbour(random, a);
    if (i % 4 == 0) {  // two slivers that cross or miss each other
      b = sliver(random, std::exp(random.uniform(0.0, 7.0)));
      for (std::size_t k = 0; k < 2; ++k)
        b[k] = a[k] + random.uniform_float(-0.7f, 0.7f) * static_cast<float>(size);
    }
    const double expected = reference::rotated_iou(reference_box(a), reference_box(b));
    const float got = iou_of(a, b);
    ASSERT_TRUE(got >= 0.0f && got <= 1.0f) << text_of(a, b) << got;
    ASSERT_LE(std::fabs(static_cast<double>(got) - expected), 1e-5) << text_of(a, b);
    ASSERT_EQ(got, iou_of(b, a)) << text_of(a, b);
    ASSERT_EQ(iou_of(a, a), 1.0f) << text_of(a, a);
    overlapping += expected > 0.01 ? 1 : 0;
  }
  EXPECT_GT(overlapping, pairs / 4);
}

TEST(RotatedBox, TouchingAndContainedBoxes) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  for (int i = 0; i < scaled(100000); ++i) {
    // Corners on edges, edges on edges and boxes in boxes, on a grid that float32 holds exactly.
    const auto side = [&] { return static_cast<float>(random.integer(1, 6)); };
    const Numbers a = {0.0f, 0.0f, 2.0f * side(), 2.0f * side(), 0.0f};
    const Numbers b = {static_cast<float>(random.integer(-6, 6)),
                       static_cast<float>(random.integer(-6, 6)), 2.0f * side(), 2.0f * side(),
                       15.0f * static_cast<float>(random.integer(-12, 12))};
    const double expected = reference::rotated_iou(reference_box(a), reference_box(b));
    ASSERT_LE(std::fabs(static_cast<double>(iou_of(a, b)) - expected), 1e-6) << text_of(a, b);
  }
  EXPECT_EQ(iou_of({0, 0, 2, 2, 0}, {2, 0, 2, 2, 0}), 0.0f);
  EXPECT_EQ(iou_of({0, 0, 4, 4, 30}, {0, 0, 2, 2, 30}), 0.25f);
  EXPECT_EQ(iou_of({0, 0, 4, 2, 0}, {0, 0, 2, 4, 90}), 1.0f);
  EXPECT_EQ(iou_of({0, 0, 4, 2, 0}, {0, 0, 4, 2, 90}), 1.0f / 3.0f);
  EXPECT_NEAR(iou_of({0, 0, 2, 2, 0}, {0, 0, 2, 2, 45}), 0.70710678, 1e-6);
}

TEST(RotatedBox, WithoutATurnItIsTheUprightBox) {
  Random random(4);
  SCOPED_TRACE(random.trace());
  for (int i = 0; i < scaled(10000); ++i) {
    Numbers boxes[2];
    double low[2] = {-1e9, -1e9};
    double high[2] = {1e9, 1e9};
    double areas = 0.0;
    for (Numbers& box : boxes) {
      for (std::size_t k = 0; k < 2; ++k) {
        box[k] = static_cast<float>(random.integer(-8, 8));
        box[k + 2] = static_cast<float>(random.integer(0, 9));
        low[k] = std::max(low[k], static_cast<double>(box[k] - box[k + 2] / 2));
        high[k] = std::min(high[k], static_cast<double>(box[k] + box[k + 2] / 2));
      }
      box[4] = static_cast<float>(180 * random.integer(-5, 5));
      areas += static_cast<double>(box[2] * box[3]);
    }
    const double overlap = std::max(0.0, high[0] - low[0]) * std::max(0.0, high[1] - low[1]);
    const double expected = overlap > 0.0 ? overlap / (areas - overlap) : 0.0;
    ASSERT_EQ(iou_of(boxes[0], boxes[1]), static_cast<float>(expected))
        << text_of(boxes[0], boxes[1]);
  }
}

TEST(RotatedBox, SpecialBoxes) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Numbers ordinary = {1, 2, 3, 4, 5};
  EXPECT_EQ(iou_of(ordinary, ordinary), 1.0f);
  for (std::size_t k = 0; k < 5; ++k) {
    for (const float value : {kNaN, kInfinity, -kInfinity, 3e38f}) {
      Numbers invalid = ordinary;
      invalid[k] = value;
      EXPECT_EQ(iou_of(invalid, ordinary), 0.0f) << k << " " << value;
      EXPECT_EQ(iou_of(invalid, invalid), 0.0f) << k << " " << value;
      EXPECT_FALSE(reference_box(invalid).valid) << k << " " << value;
    }
  }
  for (const Numbers& empty : {Numbers{1, 2, -3, 4, 5}, Numbers{1, 2, 3, -4, 5},
                               Numbers{1, 2, 0, 4, 5}, Numbers{1, 2, 3, 0, 5}}) {
    EXPECT_EQ(iou_of(empty, ordinary), 0.0f);
    EXPECT_EQ(iou_of(empty, empty), 0.0f);
  }
  const Numbers huge = {0x1p61f, -0x1p61f, 0x1p61f, 0x1p61f, 0x1p20f};
  EXPECT_EQ(iou_of(huge, huge), 1.0f);
  const Numbers opposite = {-0x1p61f, 0x1p61f, 0x1p61f, 0x1p61f, 0.0f};
  EXPECT_EQ(iou_of(huge, opposite), 0.0f);
  const Numbers small = {1e-15f, 0, 2e-15f, 2e-15f, 30};
  EXPECT_EQ(iou_of(small, small), 1.0f);
}

TEST(RotatedBox, UnitsAndDirections) {
  const Numbers a = {0, 0, 6, 2, 0.5f};
  const Numbers b = {1, 1, 5, 2, 1.25f};
  Numbers a_in_degrees = a;
  Numbers b_in_degrees = b;
  a_in_degrees[4] = static_cast<float>(0.5 * 180 / kPi);
  b_in_degrees[4] = static_cast<float>(1.25 * 180 / kPi);
  EXPECT_NEAR(iou_of(a, b, AngleUnit::radians), iou_of(a_in_degrees, b_in_degrees), 1e-6);
  const auto turned_back = [](Numbers box) {
    box[4] = -box[4];
    return float_box(box, AngleUnit::radians, AngleDirection::clockwise);
  };
  EXPECT_EQ(iou_of(a, b, AngleUnit::radians), pinned::rotated_iou(turned_back(a), turned_back(b)));
  EXPECT_STREQ(to_string(AngleUnit::degrees), "degrees");
  EXPECT_STREQ(to_string(AngleUnit::radians), "radians");
  EXPECT_STREQ(to_string(AngleUnit(7)), "unknown");
  EXPECT_STREQ(to_string(AngleDirection::clockwise), "clockwise");
  EXPECT_STREQ(to_string(AngleDirection::counter_clockwise), "counter_clockwise");
  EXPECT_STREQ(to_string(AngleDirection(7)), "unknown");
  EXPECT_STREQ(to_string(BoxFormat::rotated), "rotated");
}

}  // namespace
}  // namespace cudet::test
