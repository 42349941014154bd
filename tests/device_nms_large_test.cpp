// nms() on a device at the ends of its range: very many boxes of one image, and very many images.

#include <cudet/nms.h>

#include "support/device_nms.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#if defined(CUDET_EMULATED)
#include "../cuda/emulation/device.h"
#endif

namespace cudet::test {
namespace {

/// 150 heaps of nearly equal boxes, far from each other: few are kept, so that panels are soon
/// worked off.
NmsProblem heaps(Random& random, std::int64_t count) {
  std::vector<float> boxes;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto heap = static_cast<float>(i % 150);
    const float x = 100.0f * heap + random.uniform_float(0.0f, 1.0f);
    const float y = random.uniform_float(0.0f, 1.0f);
    boxes.insert(boxes.end(), {x, y, x + 40.0f, y + 30.0f});
  }
  return make_nms_problem(boxes, random_scores(random, ScoreDistribution::uniform, count), 0.5f);
}

TEST(DeviceNmsLarge, AHundredThousandBoxes) {
  constexpr std::int64_t kBoxes = 100000;
  Random random(1);
  SCOPED_TRACE(random.trace());
  const NmsProblem problem = heaps(random, kBoxes);
  const NmsResult expected = reference_result(problem);
  EXPECT_EQ(expected.count.integer(0), 150);
  DeviceNms device(problem);
  EXPECT_LE(device.workspace_bytes(), std::size_t{64} * kBoxes + (std::size_t{1} << 20));
  device.poison();
  const Status status = device.enqueue(nullptr);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(same_result(device.download(), expected));
}

TEST(DeviceNmsLarge, TwoPanelsOfTestsThatDivide) {
  constexpr std::int64_t kBoxes = 4500;
  for (const int classes : {0, 2}) {
    Random random(static_cast<std::uint64_t>(2 + classes));
    SCOPED_TRACE(random.trace());
    NmsProblem problem = heaps(random, kBoxes);
    problem.options.metric = OverlapMetric::giou;
    if (classes > 0) {
      std::vector<std::int64_t> ids;
      for (std::int64_t i = 0; i < kBoxes; ++i)
        ids.push_back(random.integer(0, classes - 1));
      problem.classes = HostTensor::of_integers(DataType::int32, {1, kBoxes}, ids);
    }
    const NmsResult expected = reference_result(problem);
    EXPECT_EQ(expected.count.integer(0), classes == 0 ? 150 : 300);
    expect_on_device(problem, expected, StreamMode::other_stream);
  }
}

TEST(DeviceNmsLarge, ManyTinyImagesAreOneLaunch) {
  for (const std::int64_t n : {1, 33, 64}) {
    constexpr std::int64_t kImages = 301;
    Random random(static_cast<std::uint64_t>(n));
    SCOPED_TRACE(random.trace());
    NmsProblem problem =
        random_images(random, kImages, n, BoxDistribution::clustered, ScoreDistribution::ties);
    std::vector<std::int64_t> classes;
    for (std::int64_t i = 0; i < kImages * n; ++i)
      classes.push_back(random.integer(0, 4));
    problem.classes = HostTensor::of_integers(DataType::int32, {kImages, n}, classes);
    problem.options.max_outputs = 20;
    problem.options.max_outputs_per_class = 3;
    DeviceNms device(problem);
    EXPECT_EQ(device.workspace_bytes(), 0u);
#if defined(CUDET_EMULATED)
    emulation::mark();
#endif
    const Status status = device.enqueue(nullptr);
    ASSERT_TRUE(status.ok()) << status.message();
#if defined(CUDET_EMULATED)
    EXPECT_EQ(emulation::counters().launches, 1);
#endif
    EXPECT_TRUE(same_result(device.download(), reference_result(problem)));
  }
}

}  // namespace
}  // namespace cudet::test
