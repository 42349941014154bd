// Soft, matrix and weighted NMS on small cases that can be followed by hand, and their special
// values. The oracles are in nms_oracle_test.cpp.

#include <cudet/nms.h>

#include "support/nms_problem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace cudet::test {
namespace {

using Indices = std::vector<std::int64_t>;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

NmsResult run(const NmsProblem& problem) {
  return reference_result(problem, DataType::int64);
}

/// Two boxes with an IoU of 1/2, and one apart.
NmsProblem three_boxes(NmsMethod method, const std::vector<float>& scores) {
  NmsProblem problem = make_nms_problem({0, 0, 2, 1, 0, 0, 1, 1, 9, 9, 10, 10}, scores, 0.25f);
  problem.options.method = method;
  problem.options.decayed_score_threshold = 0.0f;
  return problem;
}

TEST(NmsMethods, SoftLinearHalvesAScore) {
  NmsProblem problem = three_boxes(NmsMethod::soft_linear, {1.0f, 0.75f, 0.5f});
  NmsResult result = run(problem);
  EXPECT_EQ(result.kept(0), (Indices{0, 2, 1}));
  EXPECT_EQ(result.scores.reals(), (std::vector<float>{1.0f, 0.5f, 0.375f}));
  EXPECT_EQ(result.keep.data()[1], 1);

  problem.options.decayed_score_threshold = 0.4f;
  EXPECT_EQ(run(problem).kept(0), (Indices{0, 2}));
  problem.options.decayed_score_threshold = 0.375f;  // inclusive
  EXPECT_EQ(run(problem).kept(0), (Indices{0, 2, 1}));
  problem.options.iou_threshold = 0.5f;  // not exceeded
  EXPECT_EQ(run(problem).scores.reals(), (std::vector<float>{1.0f, 0.75f, 0.5f}));
  problem.options.suppress_equal = true;
  EXPECT_EQ(run(problem).scores.real(2), 0.375f);
}

TEST(NmsMethods, SoftEqualScoresByIndex) {
  // After the decay boxes 1 and 2 are equal.
  const NmsProblem problem = three_boxes(NmsMethod::soft_linear, {1.0f, 0.5f, 0.25f});
  EXPECT_EQ(run(problem).kept(0), (Indices{0, 1, 2}));
}

TEST(NmsMethods, SoftGaussian) {
  const NmsResult result = run(three_boxes(NmsMethod::soft_gaussian, {1.0f, 0.75f, 0.5f}));
  EXPECT_EQ(result.kept(0), (Indices{0, 2, 1}));
  EXPECT_NEAR(result.scores.real(2), 0.75 * std::exp(-0.5), 1e-6);
}

TEST(NmsMethods, MatrixCompensates) {
  // Box 1 is decayed by box 0. Box 2 equals box 1: its metric with it is 1, which counts as
  // (1 - 1) / (1 - 1/2) = 0.
  NmsProblem problem =
      make_nms_problem({0, 0, 2, 1, 0, 0, 1, 1, 0, 0, 1, 1}, {1.0f, 0.5f, 0.25f}, 0.5f);
  problem.options.method = NmsMethod::matrix_linear;
  problem.options.decayed_score_threshold = 0.0f;
  NmsResult result = run(problem);
  EXPECT_EQ(result.kept(0), (Indices{0, 1, 2}));
  EXPECT_EQ(result.scores.reals(), (std::vector<float>{1.0f, 0.25f, 0.0f}));

  problem.options.method = NmsMethod::matrix_gaussian;  // exp(-(1 - 1/4) / sigma)
  result = run(problem);
  EXPECT_NEAR(result.scores.real(1), 0.5 * std::exp(-0.5), 1e-6);
  EXPECT_NEAR(result.scores.real(2), 0.25 * std::exp(-1.5), 1e-6);
}

TEST(NmsMethods, MatrixABoxThatVanishesDoesNotCount) {
  // Box 1 equals box 0 and is gone; box 2 is decayed by box 0 alone.
  NmsProblem problem =
      make_nms_problem({0, 0, 2, 1, 0, 0, 2, 1, 0, 0, 1, 1}, {1.0f, 0.5f, 0.25f}, 0.5f);
  problem.options.method = NmsMethod::matrix_linear;
  problem.options.decayed_score_threshold = 0.01f;
  const NmsResult result = run(problem);
  EXPECT_EQ(result.kept(0), (Indices{0, 2}));
  EXPECT_EQ(result.scores.real(1), 0.125f);
}

TEST(NmsMethods, WeightedMeans) {
  NmsProblem problem = three_boxes(NmsMethod::weighted, {0.75f, 0.25f, 0.5f});
  const NmsResult result = run(problem);
  EXPECT_EQ(result.kept(0), (Indices{0, 2}));
  EXPECT_EQ(result.boxes.reals(), (std::vector<float>{0, 0, 1.75f, 1, 9, 9, 10, 10, 0, 0, 0, 0}));
  EXPECT_EQ(result.suppressed_by.integers(), (Indices{-1, 0, -1}));

  // Weights that sum to nothing, to less, and to infinity leave the box as it is.
  for (const std::vector<float>& scores :
       {std::vector<float>{0, 0, 0}, {-1, -2, -3}, {kInfinity, 1, 1}}) {
    problem.scores = HostTensor::of_reals(DataType::float32, {1, 3}, scores);
    EXPECT_EQ(run(problem).boxes.real(2), 2.0f);
  }
}

TEST(NmsMethods, InfiniteScores) {
  for (const NmsMethod method : {NmsMethod::soft_linear, NmsMethod::soft_gaussian,
                                 NmsMethod::matrix_linear, NmsMethod::matrix_gaussian}) {
    SCOPED_TRACE(to_string(method));
    NmsProblem problem = make_nms_problem({0, 0, 2, 1, 0, 0, 2, 1, 9, 9, 10, 10},
                                          {kInfinity, kInfinity, 1.0f}, 0.5f);
    problem.options.method = method;
    // Infinity times 0 is no number, and such a box is never kept.
    const bool vanishes = method == NmsMethod::soft_linear || method == NmsMethod::matrix_linear;
    EXPECT_EQ(run(problem).kept(0), vanishes ? (Indices{0, 2}) : (Indices{0, 1, 2}));
  }
}

TEST(NmsMethods, Names) {
  EXPECT_STREQ(to_string(NmsMethod::soft_gaussian), "soft_gaussian");
  EXPECT_STREQ(to_string(NmsMethod::weighted), "weighted");
  EXPECT_STREQ(to_string(OverlapMetric::min_area), "min_area");
}

}  // namespace
}  // namespace cudet::test
