// Presets of libraries of which there are no results to compare with, against what their
// documentation says. The other presets state the problems of nms_oracle_test.cpp.

#include <cudet/nms_presets.h>

#include "support/nms_problem.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace cudet::test {
namespace {

using Indices = std::vector<std::int64_t>;

NmsResult run(const NmsProblem& problem) {
  NmsResult result = make_nms_result(problem, DataType::int64);
  const Status status = nms(problem.options, problem.input(), result.output(), Execution::cpu());
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

TEST(EfficientNms, ThresholdsAreInclusiveAndCornersInAnyOrder) {
  // The second box meets the first with an IoU of exactly 1/2; the third one is the first with its
  // corners exchanged; the fourth has a score of exactly the threshold.
  NmsProblem problem;
  problem.boxes = HostTensor::of_reals(DataType::float32, {1, 4, 4},
                                       {0, 0, 2, 1, 0, 0, 1, 1, 2, 1, 0, 0, 5, 5, 6, 6});
  problem.scores = HostTensor::of_reals(DataType::float32, {1, 4, 2},
                                        {0.9f, 0, 0.8f, 0, 0.7f, 0.6f, 0.25f, 0.125f});
  problem.options = efficient_nms(0.25f, 0.5f, 10);
  NmsResult result = run(problem);
  EXPECT_EQ(result.kept(0), (Indices{0, 2, 3}));
  EXPECT_EQ(result.classes.integer(0), 0);
  EXPECT_EQ(result.classes.integer(1), 1);
  EXPECT_EQ(result.classes.integer(2), 0);

  problem.options = efficient_nms(0.25f, 0.5f, 10, false, true);
  EXPECT_EQ(run(problem).kept(0), (Indices{0, 3}));
  problem.options = efficient_nms(0.25f, 0.5f, 10, false, false, 0);
  EXPECT_EQ(run(problem).kept(0), (Indices{2}));
  problem.options = efficient_nms(0.25f, 0.5f, 1);
  EXPECT_EQ(run(problem).kept(0), (Indices{0}));
}

TEST(EfficientNms, ActivatesScores) {
  NmsProblem problem;
  problem.boxes =
      HostTensor::of_reals(DataType::float32, {1, 3, 4}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5});
  problem.scores = HostTensor::of_reals(DataType::float32, {1, 3, 1}, {-0.001f, 0.0f, 2.0f});
  problem.options = efficient_nms(0.5f, 0.5f, 3, true);
  const NmsResult result = run(problem);
  EXPECT_EQ(result.kept(0), (Indices{2, 1}));
  EXPECT_NEAR(result.scores.real(0), 0.88079708, 1e-6);
  EXPECT_EQ(result.scores.real(1), 0.5f);
}

TEST(PyFasterRcnn, WidthsCountOneMore) {
  // 10 x 10 and 10 x 5 pixels: an IoU of exactly 1/2, and without the offset 36/81.
  NmsProblem problem = make_nms_problem({0, 0, 9, 9, 0, 0, 9, 4}, {0.9f, 0.8f}, 0.5f);
  problem.options = py_faster_rcnn(0.5f);
  EXPECT_EQ(run(problem).kept(0), (Indices{0, 1}));
  problem.options = py_faster_rcnn(0.49f);
  EXPECT_EQ(run(problem).kept(0), (Indices{0}));
}

}  // namespace
}  // namespace cudet::test
