// The reference of the IoU losses against oracles, central differences and properties.
#include <cudet/iou_loss.h>

#include "support/iou_loss_case.h"
#include "support/tolerance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

class IouLossOracle : public testing::TestWithParam<std::string> {};

TEST_P(IouLossOracle, ReferenceAgrees) {
  const OracleCase oracle = load_case("iou_loss", GetParam());
  IouLossProblem problem = oracle_iou_loss_problem(oracle);
  expect_oracle(oracle, reference_iou_loss(problem));

  problem.grad_output = HostTensor();
  for (const LossReduction reduction : {LossReduction::sum, LossReduction::mean}) {
    problem.options.reduction = reduction;
    const std::string name = reduction == LossReduction::sum ? "loss_sum" : "loss_mean";
    const double expected = oracle.output(name).values<double>()[0];
    if (std::isnan(expected)) continue;
    const float got = reference_iou_loss(problem).loss.real(0);
    EXPECT_TRUE(is_near(double{got}, expected, oracle.tolerance(name))) << got << " " << expected;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, IouLossOracle, testing::ValuesIn(list_cases("iou_loss")),
                         case_test_name);

TEST(IouLossReference, GradientsAreCentralDifferences) {
  Random random(301);
  SCOPED_TRACE(random.trace());
  constexpr double kStep = 1e-5;
  int checked = 0;
  while (checked < 10000) {
    IouLossOptions options;
    options.kind = kIouLossKinds[checked % 5];
    options.reduction = LossReduction::none;
    const IouLossProblem problem =
        random_iou_loss_problem(random, 250, BoxDistribution::clustered, options);
    IouLossProblem plain = problem;
    plain.weights = plain.grad_output = HostTensor();
    const IouLossResult result = reference_iou_loss(plain);
    for (std::size_t i = 0; i < 250; ++i) {
      PairNumbers corners = {};
      for (std::size_t k = 0; k < 4; ++k) {
        corners[k] = double{problem.boxes1.real(4 * i + k)};
        corners[4 + k] = double{problem.boxes2.real(4 * i + k)};
      }
      if (is_near_kink(corners)) continue;
      ++checked;
      const auto eps = static_cast<double>(options.eps);
      const double alpha = ciou_alpha(corners, eps, static_cast<double>(options.alpha_eps));
      ASSERT_NEAR(double{result.loss.real(i)}, iou_loss_value(options.kind, corners, eps, alpha),
                  3e-7);
      for (std::size_t k = 0; k < 8; ++k) {
        PairNumbers low = corners, high = corners;
        low[k] -= kStep;
        high[k] += kStep;
        const double expected = (iou_loss_value(options.kind, high, eps, alpha) -
                                 iou_loss_value(options.kind, low, eps, alpha)) /
                                (2 * kStep);
        const HostTensor& gradients = k < 4 ? result.grad_boxes1 : result.grad_boxes2;
        const double got = double{gradients.real(4 * i + k % 4)};
        ASSERT_LE(std::fabs(got - expected), 1e-8 + 1e-5 * std::fabs(expected))
            << to_string(options.kind) << " " << i << " " << k;
      }
    }
  }
}

TEST(IouLossReference, IsFiniteForExtremeBoxes) {
  for (const IouKind kind : kIouLossKinds) {
    const IouLossResult result = reference_iou_loss(extreme_iou_loss_problem(kind));
    for (const HostTensor* values : {&result.loss, &result.grad_boxes1, &result.grad_boxes2})
      for (std::size_t k = 0; k < values->count(); ++k)
        ASSERT_TRUE(std::isfinite(values->real(k))) << to_string(kind) << " " << k;
  }
}

TEST(IouLossReference, UndefinedLossesHaveNoGradient) {
  for (const IouKind kind : kIouLossKinds) {
    IouLossProblem problem;
    problem.options.kind = kind;
    problem.options.reduction = LossReduction::none;
    problem.options.eps = 1.0f;  // the second pair has U = -2 + 1 = -eps
    problem.boxes1 = HostTensor::of_reals(DataType::float32, {3, 4},
                                          {0, 0, 1, NAN, 2, 0, 0, 1, 0, 0, INFINITY, 1});
    problem.boxes2 =
        HostTensor::of_reals(DataType::float32, {3, 4}, {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1});
    const IouLossResult result = reference_iou_loss(problem);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_EQ(result.loss.real(i), kind == IouKind::iou ? 1.0f : 2.0f);
    for (std::size_t k = 0; k < 12; ++k) {
      EXPECT_EQ(result.grad_boxes1.real(k), 0.0f);
      EXPECT_EQ(result.grad_boxes2.real(k), 0.0f);
    }
  }
}

TEST(IouLossReference, FormatsFollowTheChainRule) {
  // Corners that all formats hold exactly.
  const std::vector<float> first = {2, 4, 10, 8, 0, 0, 4, 6};
  const std::vector<float> second = {4, 2, 8, 12, 1, 3, 5, 7};
  const auto converted = [](const std::vector<float>& boxes, BoxFormat format) {
    std::vector<float> result = boxes;
    for (std::size_t k = 0; k < boxes.size(); ++k) {
      const bool low = k % 4 < 2;
      const float other = boxes[low ? k + 2 : k - 2];
      if (format != BoxFormat::xyxy && !low) result[k] = boxes[k] - other;
      if (format == BoxFormat::cxcywh && low) result[k] = (boxes[k] + other) / 2;
    }
    return HostTensor::of_reals(DataType::float32, {2, 4}, result);
  };
  for (const IouKind kind : kIouLossKinds) {
    IouLossResult results[3];
    for (const BoxFormat format : {BoxFormat::xyxy, BoxFormat::xywh, BoxFormat::cxcywh}) {
      IouLossProblem problem;
      problem.options.kind = kind;
      problem.options.format = format;
      problem.options.reduction = LossReduction::none;
      problem.boxes1 = converted(first, format);
      problem.boxes2 = converted(second, format);
      results[static_cast<int>(format)] = reference_iou_loss(problem);
    }
    EXPECT_TRUE(same_bits(results[1].loss, results[0].loss));
    EXPECT_TRUE(same_bits(results[2].loss, results[0].loss));
    for (std::size_t k = 0; k < 8; ++k) {
      if (k % 4 >= 2) continue;
      const auto corner = [&](std::size_t at) { return results[0].grad_boxes2.real(at); };
      EXPECT_NEAR(results[1].grad_boxes2.real(k), corner(k) + corner(k + 2), 1e-7);
      EXPECT_NEAR(results[1].grad_boxes2.real(k + 2), corner(k + 2), 1e-7);
      EXPECT_NEAR(results[2].grad_boxes2.real(k), corner(k) + corner(k + 2), 1e-7);
      EXPECT_NEAR(results[2].grad_boxes2.real(k + 2), (corner(k + 2) - corner(k)) / 2, 1e-7);
    }
  }
}

TEST(IouLossReference, ReductionsAndFactors) {
  Random random(302);
  SCOPED_TRACE(random.trace());
  IouLossOptions options;
  options.reduction = LossReduction::none;
  IouLossProblem problem = random_iou_loss_problem(random, 10, BoxDistribution::clustered, options);
  problem.weights = problem.grad_output = HostTensor();
  const IouLossResult each = reference_iou_loss(problem);
  problem.weights = HostTensor::of_reals(DataType::float32, {10}, {1, 2, 0, 4, 1, 1, 1, 1, 0.5, 3});
  double sum = 0.0;
  for (std::size_t i = 0; i < 10; ++i)
    sum += double{problem.weights.real(i)} * double{each.loss.real(i)};
  const auto expect_result = [&](double divisor, double factor) {
    const IouLossResult got = reference_iou_loss(problem);
    EXPECT_NEAR(double{got.loss.real(0)}, sum / divisor, 1e-6);
    for (std::size_t k = 0; k < 40; ++k) {
      const double weight = double{problem.weights.real(k / 4)};
      EXPECT_NEAR(double{got.grad_boxes1.real(k)},
                  double{each.grad_boxes1.real(k)} * weight * factor / divisor, 1e-6);
    }
  };
  problem.options.reduction = LossReduction::sum;
  expect_result(1, 1);
  problem.options.grad_scale = 8.0f;
  problem.grad_output = HostTensor::of_reals(DataType::float32, {1}, {-0.5f});
  expect_result(1, -4);
  problem.options.reduction = LossReduction::mean;
  expect_result(10, -4);
  problem.options.reduction = LossReduction::normalised;
  for (const float normaliser : {4.0f, 0.5f, -3.0f, NAN}) {
    problem.normaliser = HostTensor::of_reals(DataType::float32, {1}, {normaliser});
    expect_result(normaliser == 4.0f ? 4 : 1, -4);
  }
}

}  // namespace
}  // namespace cudet::test
