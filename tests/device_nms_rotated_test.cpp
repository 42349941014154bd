// nms() of rotated boxes: what the definition asks for on pairs that are hard to clip and on
// special values, and the kernels against the reference round the sizes at which they change.

#include <cudet/nms_presets.h>

#include "support/device_nms.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

using Indices = std::vector<std::int64_t>;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Boxes of five numbers with falling scores.
NmsProblem rotated_problem(const std::vector<float>& boxes, float iou_threshold) {
  std::vector<float> scores;
  for (std::size_t i = 0; i < boxes.size() / 5; ++i)
    scores.push_back(1.0f / static_cast<float>(i + 1));
  NmsProblem problem = make_nms_problem(boxes, scores, iou_threshold, 5);
  problem.options = detectron2_nms_rotated(iou_threshold);
  return problem;
}

/// What the reference keeps, which the device must keep as well.
Indices kept_of(const NmsProblem& problem) {
  const NmsResult expected = reference_result(problem);
  expect_on_device(problem, expected, StreamMode::other_stream);
  return expected.kept(0);
}

TEST(DeviceNmsRotated, OneRectangleWrittenInManyWays) {
  const std::vector<float> boxes = {50,  40, 30,  10, 20, 50,       40, 30,   10, 200, 50,    40,
                                    10,  30, 110, 50, 40, 30,       10, -340, 50, 40,  10,    30,
                                    -70, 50, 40,  30, 10, 20.0001f, 50, 40,   30, 10,  -20.0f};
  // The last one is turned the other way: its IoU with the first is far below.
  EXPECT_EQ(kept_of(rotated_problem(boxes, 0.99f)), (Indices{0, 6}));
}

TEST(DeviceNmsRotated, NearlyEqualBoxesAreSuppressedToTheLast) {
  std::vector<float> boxes;
  for (int i = 0; i < 200; ++i) {
    const float shift = 1e-5f * static_cast<float>(i);
    boxes.insert(boxes.end(),
                 {600.0f + shift, 300.0f - shift, 120.0f, 3.0f + shift, 33.0f + shift});
  }
  EXPECT_EQ(kept_of(rotated_problem(boxes, 0.95f)), (Indices{0}));
}

TEST(DeviceNmsRotated, TouchingAndContainedBoxes) {
  // A diamond of side sqrt(2) in a square of side 2: IoU 1/2; and one that touches it.
  const float side = 1.41421356f;
  const std::vector<float> boxes = {0, 0, 2, 2, 0, 0, 0, side, side, 45, 2, 0, side, side, 45};
  EXPECT_EQ(kept_of(rotated_problem(boxes, 0.51f)), (Indices{0, 1, 2}));
  EXPECT_EQ(kept_of(rotated_problem(boxes, 0.49f)), (Indices{0, 2}));
  NmsProblem smaller = rotated_problem(boxes, 0.99f);
  smaller.options.metric = OverlapMetric::min_area;  // it lies within the square
  EXPECT_EQ(kept_of(smaller), (Indices{0, 2}));
}

TEST(DeviceNmsRotated, UnitAndDirectionOfAngles) {
  // Bars that cross where the angle turns one way and lie on each other where it turns the other.
  const std::vector<float> degrees = {0, 0, 10, 1, 30, 0, 0, 1, 10, -60};
  const std::vector<float> radians = {0, 0, 10, 1, 0.5235988f, 0, 0, 1, 10, -1.0471976f};
  EXPECT_EQ(kept_of(rotated_problem(degrees, 0.9f)), (Indices{0}));
  NmsProblem problem = rotated_problem(radians, 0.9f);
  EXPECT_EQ(kept_of(problem), (Indices{0, 1}));
  problem.options.angle_unit = AngleUnit::radians;
  EXPECT_EQ(kept_of(problem), (Indices{0}));
  // A box right of another and turned counter-clockwise, in an image, rises to the right.
  const std::vector<float> steps = {0, 0, 20, 1, 45, 6, -6, 4, 1, 45};
  NmsProblem rising = rotated_problem(steps, 0.1f);
  EXPECT_EQ(kept_of(rising), (Indices{0}));
  rising.options.angle_direction = AngleDirection::clockwise;
  EXPECT_EQ(kept_of(rising), (Indices{0, 1}));
}

TEST(DeviceNmsRotated, InvalidBoxesOverlapNothing) {
  std::vector<float> boxes;
  for (const float angle : {kNan, kInfinity, 2e6f}) {
    for (int twice = 0; twice < 2; ++twice)
      boxes.insert(boxes.end(), {5, 5, 4, 2, angle});
  }
  boxes.insert(boxes.end(), {5, 5, -4, 2, 0, 5, 5, 4, kNan, 0, kInfinity, 5, 4, 2, 0});
  boxes.insert(boxes.end(), {5, 5, 4, 2, 0, 5, 5, 4, 2, 0});
  NmsProblem problem = rotated_problem(boxes, 0.0f);
  EXPECT_EQ(kept_of(problem), (Indices{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  problem.options.suppress_equal = true;  // an IoU of 0 suffices between valid boxes
  EXPECT_EQ(kept_of(problem), (Indices{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(DeviceNmsRotated, BoxesWithoutAreaHaveAnIouOfZero) {
  const std::vector<float> boxes = {5, 5, 4, 0, 30, 5, 5, 4, 0, 30, 5, 5, 0, 0, 0, 5, 5, 9, 9, 0};
  EXPECT_EQ(kept_of(rotated_problem(boxes, 0.0f)), (Indices{0, 1, 2, 3}));
}

class DeviceNmsRotatedSizes : public testing::TestWithParam<std::int64_t> {};

TEST_P(DeviceNmsRotatedSizes, EqualsTheReference) {
  const std::int64_t n = GetParam();
  Random random(static_cast<std::uint64_t>(n));
  SCOPED_TRACE(random.trace());
  std::vector<float> boxes;
  const std::vector<float> four =
      random_boxes(random, BoxDistribution::clustered, n, BoxFormat::cxcywh);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto first = four.begin() + static_cast<std::ptrdiff_t>(4 * i);
    boxes.insert(boxes.end(), first, first + 4);
    boxes.push_back(random.uniform_float(-180.0f, 180.0f));
  }
  NmsProblem problem = rotated_problem(boxes, 0.4f);
  problem.scores = HostTensor::of_reals(DataType::float32, {1, n},
                                        random_scores(random, ScoreDistribution::ties, n));
  expect_on_device(problem, reference_result(problem), StreamMode::other_stream);
  std::vector<std::int64_t> classes;
  for (std::int64_t i = 0; i < n; ++i)
    classes.push_back(random.integer(0, 4));
  problem.classes = HostTensor::of_integers(DataType::int64, {1, n}, classes);
  problem.options.max_outputs = n / 2;
  expect_on_device(problem, reference_result(problem), StreamMode::other_stream);
}
INSTANTIATE_TEST_SUITE_P(N, DeviceNmsRotatedSizes,
                         testing::Values(0, 1, 63, 64, 65, 1024, 1025, 4097),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace cudet::test
