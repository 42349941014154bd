// nms() on a device against the reference, bit for bit, on random problems over all options: ties,
// duplicates, NaN, inverted and rotated boxes, thresholds met exactly, forms of input, classes,
// limits, formats, types. 10,000 of them; CUDET_TEST_SCALE=10 makes it 100,000.

#include "support/device_nms.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace cudet::test {
namespace {

constexpr int kShards = 20;  // tests of their own, so that they run side by side
constexpr int kProblemsPerShard = 500;

class DeviceNmsRandom : public testing::TestWithParam<int> {};

TEST_P(DeviceNmsRandom, EqualsTheReference) {
  for (int i = 0; i < scaled(kProblemsPerShard); ++i) {
    Random random(1000000u + static_cast<std::uint64_t>(GetParam() * kProblemsPerShard + i));
    SCOPED_TRACE(random.trace());
    // Most problems are small; every 50th is large enough for the panels.
    const bool large = i % 50 == 49;
    const auto make = i % 10 == 7  ? random_rotated_problem
                      : i % 3 == 2 ? random_method_problem
                                   : random_nms_problem;
    const NmsProblem problem = make(random, large ? 1500 : (i % 5 == 4 ? 200 : 100), large ? 2 : 4);
    const DataType index_type = random.chance(0.5) ? DataType::int32 : DataType::int64;
    const StreamMode mode =
        random.chance(0.8) ? StreamMode::other_stream : kStreamModes[random.integer(0, 2)];
    expect_on_device(problem, reference_result(problem, index_type), mode,
                     static_cast<std::size_t>(random.integer(0, 63)),
                     static_cast<std::size_t>(random.integer(0, 255)));
    if (HasFailure()) break;
  }
}
INSTANTIATE_TEST_SUITE_P(Shards, DeviceNmsRandom, testing::Range(0, kShards),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace cudet::test
