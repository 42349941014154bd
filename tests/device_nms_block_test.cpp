// nms() on a device where a block has a whole image of up to 1024 elements: enough images for that,
// enough boxes for many tiles, from nearly all suppressed to nearly all kept, and classes of a few
// boxes or of many tiles, against the reference, bit for bit.

#include "../src/nms_plan.h"
#include "support/device_nms.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace cudet::test {
namespace {

class DeviceNmsBlock : public testing::TestWithParam<int> {};  // the threshold in percent

TEST_P(DeviceNmsBlock, EqualsTheReference) {
  constexpr int kBatch = kNmsFewImages + 1;
  const std::vector<int> class_counts = {0, 1, 2, 7, 80};  // 0: no classes
  SomeCases cases(GetParam());
  for (const int class_count : class_counts) {
    if (!cases.takes_next()) continue;
    Random random(static_cast<std::uint64_t>(class_count));
    SCOPED_TRACE(random.trace());
    const std::int64_t n = random.integer(900, 1024);
    NmsProblem problem;
    std::vector<float> boxes;
    for (int image = 0; image < kBatch; ++image) {
      const auto distribution = static_cast<BoxDistribution>(image % kBoxDistributions);
      const std::vector<float> of_image = random_boxes(random, distribution, n);
      boxes.insert(boxes.end(), of_image.begin(), of_image.end());
    }
    problem.boxes = HostTensor::of_reals(DataType::float32, {kBatch, n, 4}, boxes);
    problem.scores =
        HostTensor::of_reals(DataType::float32, {kBatch, n},
                             random_scores(random, ScoreDistribution::uniform, kBatch * n));
    std::vector<std::int64_t> counts;
    std::vector<std::int64_t> classes;
    for (int image = 0; image < kBatch; ++image) {
      counts.push_back(image % 3 == 0 ? n : random.integer(65, n));
      // Of two numbers one is the larger more often, so that some classes have many boxes.
      for (std::int64_t i = 0; i < n && class_count > 0; ++i) {
        const std::int64_t one = random.integer(0, class_count - 1);
        const std::int64_t other = random.integer(0, class_count - 1);
        const std::int64_t class_id = one < other ? other : one;
        classes.push_back(image % 2 == 0 ? class_id : class_id << 33);
      }
    }
    problem.counts = HostTensor::of_integers(DataType::int32, {kBatch}, counts);
    if (class_count > 0) {
      problem.classes = HostTensor::of_integers(DataType::int64, {kBatch, n}, classes);
    }
    problem.options.iou_threshold = 0.01f * static_cast<float>(GetParam());
    expect_on_device(problem, reference_result(problem), StreamMode::default_stream);

    problem.options.max_outputs_per_class = n / 10;
    problem.options.max_outputs = n / 4;
    expect_on_device(problem, reference_result(problem), StreamMode::default_stream);
  }
}
INSTANTIATE_TEST_SUITE_P(Thresholds, DeviceNmsBlock, testing::Values(10, 50, 80, 97),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace cudet::test
