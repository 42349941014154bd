// Relations between calls of the focal losses that hold whatever the numbers are.
#include "support/focal_problem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace cudet::test {
namespace {

constexpr Tolerance kRounding = {1e-7, 1e-6, 0.0, 0.0};

TEST(FocalLossProperty, GammaZeroIsBinaryCrossEntropy) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  SigmoidProblem problem = random_class_problem(random, DataType::float32, FocalLayout::rows,
                                                {{1, 1, 20, 1, 50}}, 0.3, 0.0);
  problem.options.gamma = 0.0f;
  problem.options.alpha = SigmoidFocalLossOptions::kNoAlpha;
  problem.options.reduction = LossReduction::none;
  const FocalResult result = reference_result(problem);
  std::vector<double> losses, gradients;
  for (std::size_t i = 0; i < 1000; ++i) {
    const double x = double{problem.logits[0].real(i)};
    const bool positive = problem.targets[0].integer(i / 20) == static_cast<std::int64_t>(i % 20);
    const double z = positive ? -x : x;
    losses.push_back(z > 0.0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)));
    const double p = 1.0 / (1.0 + std::exp(-z));
    gradients.push_back(positive ? -p : p);
  }
  EXPECT_TRUE(all_near(result.loss[0].reals(), losses, kRounding));
  EXPECT_TRUE(all_near(result.gradient[0].reals(), gradients, kRounding));
}

TEST(FocalLossProperty, GammaZeroIsCrossEntropy) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  RowsProblem problem = random_rows_problem(random, DataType::float32, 60, 21);
  problem.options.gamma = 0.0f;
  problem.options.reduction = LossReduction::none;
  const FocalResult result = reference_result(problem);
  std::vector<double> losses, gradients;
  for (std::size_t row = 0; row < 60; ++row) {
    const std::int64_t y = problem.targets.integer(row);
    double largest = -std::numeric_limits<double>::infinity();
    double sum = 0.0;
    for (std::size_t c = 0; c < 21; ++c)
      largest = std::fmax(largest, double{problem.logits.real(21 * row + c)});
    for (std::size_t c = 0; c < 21; ++c)
      sum += std::exp(double{problem.logits.real(21 * row + c)} - largest);
    const bool valid = y >= 0 && y < 21;
    losses.push_back(valid ? std::log(sum) + largest -
                                 double{problem.logits.real(21 * row + static_cast<std::size_t>(y))}
                           : 0.0);
    for (std::size_t c = 0; c < 21; ++c) {
      const double p = std::exp(double{problem.logits.real(21 * row + c)} - largest) / sum;
      gradients.push_back(valid ? p - (static_cast<std::int64_t>(c) == y ? 1.0 : 0.0) : 0.0);
    }
  }
  EXPECT_TRUE(all_near(result.loss[0].reals(), losses, kRounding));
  EXPECT_TRUE(all_near(result.gradient[0].reals(), gradients, kRounding));
}

TEST(FocalLossProperty, DenseTargetsOfZeroAndOneAreClassTargets) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  SigmoidProblem by_class = random_class_problem(random, DataType::float32, FocalLayout::rows,
                                                 {{1, 1, 9, 1, 40}}, 0.4, 0.0);
  by_class.options.label_smoothing = 0.05f;
  SigmoidProblem dense = by_class;
  std::vector<float> targets;
  for (std::size_t i = 0; i < 360; ++i) {
    const bool positive = by_class.targets[0].integer(i / 9) == static_cast<std::int64_t>(i % 9);
    targets.push_back(positive ? 1.0f : 0.0f);
  }
  dense.options.targets = FocalTargets::dense;
  dense.targets[0] = HostTensor::of_reals(DataType::bfloat16, {1, 40, 9}, targets);
  EXPECT_TRUE(same_bits(reference_result(dense), reference_result(by_class)));
}

TEST(FocalLossProperty, HeadIsPermutedRows) {
  Random random(4);
  SCOPED_TRACE(random.trace());
  const std::int64_t batch = 2, anchors = 3, classes = 5, positions = 24;
  SigmoidProblem head = random_class_problem(random, DataType::float32, FocalLayout::head,
                                             {{batch, anchors, classes, 4, 6}}, 0.3);
  SigmoidProblem rows = head;
  rows.options.layout = FocalLayout::rows;
  std::vector<std::size_t> order;
  for (std::int64_t row = 0; row < batch * anchors * positions; ++row) {
    for (std::int64_t c = 0; c < classes; ++c) {
      const std::int64_t plane = row / positions * classes + c;
      order.push_back(static_cast<std::size_t>(plane * positions + row % positions));
    }
  }
  std::vector<float> logits;
  for (const std::size_t i : order)
    logits.push_back(head.logits[0].real(i));
  rows.logits[0] =
      HostTensor::of_reals(DataType::float32, {batch, anchors * positions, classes}, logits);
  rows.targets[0] = HostTensor::of_integers(head.targets[0].type(), {batch, anchors * positions},
                                            head.targets[0].integers());
  const FocalResult of_head = reference_result(head);
  const FocalResult of_rows = reference_result(rows);
  EXPECT_TRUE(all_near(of_head.loss[0].reals(), of_rows.loss[0].reals(), kRounding));
  for (std::size_t i = 0; i < order.size(); ++i)
    EXPECT_EQ(of_head.gradient[0].real(order[i]), of_rows.gradient[0].real(i));
}

TEST(FocalLossProperty, LevelsAreOneLargerSet) {
  Random random(5);
  SCOPED_TRACE(random.trace());
  const SigmoidProblem levels =
      random_class_problem(random, DataType::float32, FocalLayout::rows,
                           {{1, 1, 10, 1, 30}, {1, 1, 10, 1, 7}, {1, 1, 10, 1, 1}}, 0.3);
  SigmoidProblem single = levels;
  single.logits.clear();
  single.targets.clear();
  std::vector<float> logits, gradient;
  std::vector<std::int64_t> targets;
  const FocalResult of_levels = reference_result(levels);
  for (std::size_t level = 0; level < 3; ++level) {
    for (const float x : levels.logits[level].reals())
      logits.push_back(x);
    for (const std::int64_t t : levels.targets[level].integers())
      targets.push_back(t);
    for (const float g : of_levels.gradient[level].reals())
      gradient.push_back(g);
  }
  single.logits.push_back(HostTensor::of_reals(DataType::float32, {38, 10}, logits));
  single.targets.push_back(HostTensor::of_integers(DataType::int64, {38}, targets));
  const FocalResult of_single = reference_result(single);
  EXPECT_TRUE(same_bits(of_levels.loss[0], of_single.loss[0]));
  EXPECT_TRUE(same_bits(of_levels.count, of_single.count));
  EXPECT_EQ(gradient, of_single.gradient[0].reals());
}

TEST(FocalLossProperty, ReductionsDivideTheSum) {
  Random random(6);
  SCOPED_TRACE(random.trace());
  SigmoidProblem problem =
      random_class_problem(random, DataType::float32, FocalLayout::rows, {{1, 1, 10, 1, 30}}, 0.3);
  const FocalResult sum = reference_result(problem);
  problem.options.reduction = LossReduction::mean;
  const FocalResult mean = reference_result(problem);
  problem.options.reduction = LossReduction::normalised;
  problem.normaliser = HostTensor::of_reals(DataType::float32, {1}, {8.0f});
  problem.options.grad_scale = 2.0f;
  const FocalResult normalised = reference_result(problem);
  EXPECT_NEAR(mean.loss[0].real(0), sum.loss[0].real(0) / 300.0f, 1e-7f);
  EXPECT_EQ(normalised.loss[0].real(0), sum.loss[0].real(0) / 8.0f);
  for (std::size_t i = 0; i < 300; ++i) {
    EXPECT_NEAR(mean.gradient[0].real(i), sum.gradient[0].real(i) / 300.0f, 1e-9f);
    EXPECT_EQ(normalised.gradient[0].real(i), sum.gradient[0].real(i) / 4.0f);
  }
}

// Quality focal loss is 0 where p meets the target, and so is its gradient, for any gamma >= 1.
TEST(FocalLossProperty, QualityIsFlatAtItsTarget) {
  for (const float gamma : {1.0f, 1.5f, 2.0f}) {
    SigmoidProblem problem;
    problem.options.kind = FocalKind::quality;
    problem.options.targets = FocalTargets::dense;
    problem.options.gamma = gamma;
    problem.logits.push_back(HostTensor::of_reals(DataType::float32, {1}, {0.0f}));
    problem.targets.push_back(HostTensor::of_reals(DataType::float32, {1}, {0.5f}));
    const FocalResult result = reference_result(problem);
    EXPECT_EQ(result.loss[0].real(0), 0.0f);
    EXPECT_EQ(result.gradient[0].real(0), 0.0f);
  }
}

// A distribution's gradient sums to 0, and a target between two bins splits its weight.
TEST(FocalLossProperty, DistributionIsInterpolatedCrossEntropy) {
  Random random(7);
  SCOPED_TRACE(random.trace());
  RowsProblem problem = random_rows_problem(random, DataType::float32, 3, 9, true);
  for (std::size_t i = 0; i < 27; ++i)
    problem.logits.set_real(i, problem.logits.real(i % 9));
  problem.targets = HostTensor::of_reals(DataType::float32, {3}, {3.0f, 4.0f, 3.25f});
  problem.options.reduction = LossReduction::none;
  const FocalResult result = reference_result(problem);
  const auto loss = [&](std::size_t row) { return double{result.loss[0].real(row)}; };
  EXPECT_NEAR(loss(2), 0.75 * loss(0) + 0.25 * loss(1), 1e-5);
  for (std::size_t row = 0; row < 3; ++row) {
    double sum = 0.0;
    for (std::size_t c = 0; c < 9; ++c)
      sum += double{result.gradient[0].real(9 * row + c)};
    EXPECT_NEAR(sum, 0.0, 1e-6);
  }
}

TEST(FocalLossProperty, NothingToAdd) {
  SigmoidProblem problem;
  problem.logits.push_back(HostTensor(DataType::float32, {0, 80}));
  problem.targets.push_back(HostTensor(DataType::int32, {0}));
  for (const LossReduction reduction : {LossReduction::sum, LossReduction::mean}) {
    problem.options.reduction = reduction;
    const FocalResult result = reference_result(problem);
    EXPECT_EQ(result.loss[0].real(0), 0.0f);
    EXPECT_EQ(result.count.integer(0), 0);
  }
}

}  // namespace
}  // namespace cudet::test
