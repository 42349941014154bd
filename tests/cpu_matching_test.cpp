// match_boxes() on the CPU without the matrix: the results of the reference.
#include <cudet/matching.h>

#include "support/match_case.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace cudet::test {
namespace {

MatchResult match_on_cpu(const MatchProblem& problem, int threads) {
  MatchResult result = make_match_result(problem);
  const Status status =
      match_boxes(problem.options, problem.input(), result.output(), Execution::cpu(threads));
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

TEST(CpuMatch, EqualsTheReference) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  constexpr DataType kTypes[] = {DataType::float32, DataType::float16, DataType::bfloat16};
  int number = 0;
  // Anchors in stretches of 512.
  for (const std::int64_t anchors : {0, 1, 511, 512, 513, 1500}) {
    for (const auto& boxes : std::vector<std::vector<std::int64_t>>{{}, {0}, {7}, {3, 0, 40}}) {
      for (int distribution = 0; distribution < kBoxDistributions; ++distribution, ++number) {
        MatchOptions options = random_match_options(random);
        options.forced = static_cast<ForcedMatches>(number % 3);
        options.ties = static_cast<MatchTies>(number % 2);
        const MatchProblem problem =
            random_match_problem(random, anchors, boxes, static_cast<BoxDistribution>(distribution),
                                 options, number % 5 == 0, kTypes[number / 2 % 3]);
        const MatchResult expected = reference_match(problem);
        for (const int threads : {1, 3})
          expect_same_match(problem, match_on_cpu(problem, threads), expected);
      }
    }
  }
}

TEST(CpuMatch, ForcesAnchorsInEveryStretch) {
  // Two boxes that many anchors share, and one that none overlaps.
  std::vector<float> anchors;
  for (int i = 0; i < 1600; ++i) {
    const float x = i % 3 == 0 ? 0.0f : 100.0f;
    anchors.insert(anchors.end(), {x, 0.0f, x + 10.0f, 10.0f});
  }
  MatchProblem problem;
  problem.anchors = HostTensor::of_reals(DataType::float32, {1600, 4}, anchors);
  problem.boxes = HostTensor::of_reals(DataType::float32, {3, 4},
                                       {0, 0, 10, 30, 100, 0, 110, 30, 500, 500, 510, 510});
  problem.offsets = HostTensor::of_integers(DataType::int32, {2}, {0, 3});
  problem.labels = HostTensor::of_integers(DataType::int32, {3}, {4, 5, 6});
  for (const ForcedMatches forced : {ForcedMatches::low_quality, ForcedMatches::best_anchor}) {
    for (const MatchTies ties : {MatchTies::lower_index, MatchTies::later_index}) {
      problem.options.forced = forced;
      problem.options.ties = ties;
      const MatchResult got = match_on_cpu(problem, 2);
      expect_same_match(problem, got, reference_match(problem));
      EXPECT_EQ(got.best_anchors.integer(0), ties == MatchTies::lower_index ? 0 : 1599);
    }
  }
}

}  // namespace
}  // namespace cudet::test
