// nms() on a device where few images of up to 1024 elements go through a chain of tiles: sizes at
// which the chain changes its ways, from nearly all suppressed to nearly all kept, with and without
// classes and limits, against the reference, bit for bit.

#include "../src/nms_plan.h"
#include "support/device_nms.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace cudet::test {
namespace {

class DeviceNmsChain : public testing::TestWithParam<std::int64_t> {};  // boxes an image

TEST_P(DeviceNmsChain, EqualsTheReference) {
  const std::int64_t n = GetParam();
  SomeCases cases(n);
  for (const std::int64_t batch : {1, 3}) {
    for (int distribution = 0; distribution < kBoxDistributions; ++distribution) {
      for (const int class_count : {0, 1, 3, 80}) {  // 0: no classes
        if (!cases.takes_next()) continue;
        Random random(static_cast<std::uint64_t>(1000 * n + 100 * distribution + class_count));
        SCOPED_TRACE(random.trace());
        NmsProblem problem =
            random_images(random, batch, n, static_cast<BoxDistribution>(distribution),
                          n % 2 == 0 ? ScoreDistribution::ties : ScoreDistribution::uniform);
        std::vector<std::int64_t> classes;
        for (std::int64_t i = 0; i < batch * n && class_count > 0; ++i) {
          const std::int64_t class_id = random.integer(0, class_count - 1);
          classes.push_back(n % 2 == 0 ? class_id : class_id << 33);
        }
        if (class_count > 0) {
          problem.classes = HostTensor::of_integers(DataType::int64, {batch, n}, classes);
        }
        if (batch > 1) {
          problem.counts =
              HostTensor::of_integers(DataType::int32, {batch}, {0, random.integer(1, n), n});
        }
        problem.options.iou_threshold = random.chance(0.5) ? 0.5f : 0.9f;
        expect_on_device(problem, reference_result(problem), StreamMode::default_stream);

        problem.options.max_outputs_per_class = n / 5;
        problem.options.max_outputs = n / 3;
        expect_on_device(problem, reference_result(problem), StreamMode::default_stream);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(N, DeviceNmsChain,
                         testing::Values(257, 300, 511, 512, 513, 640, 1000, 1023, 1024),
                         testing::PrintToStringParamName());

TEST(DeviceNmsChain, SixteenImages) {
  Random random(16);
  SCOPED_TRACE(random.trace());
  const NmsProblem problem = random_images(random, kNmsFewImages, 500, BoxDistribution::clustered,
                                           ScoreDistribution::uniform);
  expect_on_device(problem, reference_result(problem), StreamMode::captured);
}

}  // namespace
}  // namespace cudet::test
