// nms() on the CPU against the reference, bit for bit, over all options and numbers of threads.

#include "support/nms_problem.h"

#include <gtest/gtest.h>

#include <string>

namespace cudet::test {
namespace {

void expect_on_cpu(const NmsProblem& problem, int threads) {
  const DataType index_type = threads % 2 == 0 ? DataType::int64 : DataType::int32;
  NmsResult expected = make_nms_result(problem, index_type);
  ASSERT_TRUE(reference::nms(problem.options, problem.input(), expected.output()).ok());
  NmsResult got = make_nms_result(problem, index_type);
  const Status status =
      nms(problem.options, problem.input(), got.output(), Execution::cpu(threads));
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(same_result(got, expected)) << problem.describe() << ", threads " << threads;
}

class CpuNmsRandom : public testing::TestWithParam<int> {};

TEST_P(CpuNmsRandom, EqualsTheReference) {
  for (int i = 0; i < scaled(1000); ++i) {
    Random random(2000000u + static_cast<std::uint64_t>(GetParam() * 1000 + i));
    SCOPED_TRACE(random.trace());
    const auto make = i % 4 == 3 ? random_method_problem : random_nms_problem;
    const NmsProblem problem = make(random, i % 20 == 19 ? 700 : 120, 4);
    expect_on_cpu(problem, static_cast<int>(random.integer(0, 4)));
    if (HasFailure()) break;
  }
}
INSTANTIATE_TEST_SUITE_P(Shards, CpuNmsRandom, testing::Range(0, 4),
                         testing::PrintToStringParamName());

/// One image of more boxes than are looked at in one stretch.
NmsProblem large_problem(std::int64_t n, std::int64_t classes) {
  Random random(static_cast<std::uint64_t>(n + classes));
  NmsProblem problem;
  problem.boxes = HostTensor::of_reals(DataType::float32, {1, n, 4},
                                       random_boxes(random, BoxDistribution::clustered, n));
  problem.scores = HostTensor::of_reals(DataType::float32, {1, n},
                                        random_scores(random, ScoreDistribution::uniform, n));
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < n; ++i)
    ids.push_back(random.integer(0, classes - 1) * 1000000007);
  problem.classes = HostTensor::of_integers(DataType::int64, {1, n}, ids);
  return problem;
}

TEST(CpuNms, StretchesOfALargeImage) {
  const auto n = static_cast<std::int64_t>(scaled(15000));
  for (const std::int64_t classes : {1, 20}) {
    for (const std::int64_t limit : {NmsOptions::kNoLimit, std::int64_t{7}, n / 6}) {
      NmsProblem problem = large_problem(n, classes);
      problem.options.max_outputs = limit;
      for (const int threads : {1, 3})
        expect_on_cpu(problem, threads);
    }
  }
}

TEST(CpuNms, ClassLimitAcrossStretches) {
  NmsProblem problem = large_problem(static_cast<std::int64_t>(scaled(15000)), 9);
  problem.options.max_outputs_per_class = 40;
  problem.options.suppress_equal = true;
  expect_on_cpu(problem, 2);
}

}  // namespace
}  // namespace cudet::test
