// Gradients of the references against central differences of the losses, which are written here a
// second time: in long double, from probabilities instead of log-sigmoid forms.
#include "support/focal_problem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

namespace cudet::test {
namespace {

using Real = long double;
using Function = std::function<Real(Real)>;

Real central_difference(const Function& f, Real x) {
  // The error of this step is about 1e-10, that of the rounding 1e-14.
  constexpr Real kStep = 1e-4L;
  return (f(x + kStep) - f(x - kStep)) / (2 * kStep);
}

Real sigmoid(Real x) {
  return 1 / (1 + std::exp(-x));
}

Real cross_entropy(Real p, Real t) {
  return -t * std::log(p) - (1 - t) * std::log(1 - p);
}

Real element_loss(const SigmoidFocalLossOptions& options, Real x, Real t) {
  const Real p = sigmoid(x);
  const Real gamma = Real{options.gamma};
  const Real alpha = Real{options.alpha};
  const bool has_alpha = options.alpha != SigmoidFocalLossOptions::kNoAlpha;
  switch (options.kind) {
    case FocalKind::quality:
      return std::pow(std::fabs(t - p), gamma) * cross_entropy(p, t);
    case FocalKind::varifocal:
      if (t > 0) return t * cross_entropy(p, t);
      return (has_alpha ? alpha : 1) * std::pow(p, gamma) * cross_entropy(p, 0);
    default: {
      const Real p_t = p * t + (1 - p) * (1 - t);
      const Real weight = has_alpha ? alpha * t + (1 - alpha) * (1 - t) : 1;
      const Real s = Real{options.label_smoothing};
      return weight * std::pow(1 - p_t, gamma) * cross_entropy(p, t * (1 - s) + s / 2);
    }
  }
}

constexpr Tolerance kTolerance = {2e-7, 2e-6, 0.0, 0.0};

void expect_sigmoid_gradients(const SigmoidFocalLossOptions& options) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  constexpr std::int64_t kCount = 200;
  std::vector<float> logits, targets;
  for (std::int64_t i = 0; i < kCount; ++i) {
    logits.push_back(random.uniform_float(-9.0f, 9.0f));
    targets.push_back(random.chance(0.3)   ? 0.0f
                      : random.chance(0.3) ? 1.0f
                                           : random.uniform_float(0.0f, 1.0f));
  }
  SigmoidProblem problem;
  problem.options = options;
  problem.options.targets = FocalTargets::dense;
  problem.options.reduction = LossReduction::none;
  problem.logits.push_back(HostTensor::of_reals(DataType::float32, {kCount}, logits));
  problem.targets.push_back(HostTensor::of_reals(DataType::float32, {kCount}, targets));
  const FocalResult result = reference_result(problem);
  std::vector<double> losses, gradients;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const Function loss = [&](Real x) { return element_loss(options, x, Real{targets[i]}); };
    losses.push_back(static_cast<double>(loss(Real{logits[i]})));
    gradients.push_back(static_cast<double>(central_difference(loss, Real{logits[i]})));
  }
  EXPECT_TRUE(all_near(result.loss[0].reals(), losses, kTolerance)) << problem.describe();
  EXPECT_TRUE(all_near(result.gradient[0].reals(), gradients, kTolerance)) << problem.describe();
}

TEST(FocalLossGradient, SigmoidKinds) {
  for (const FocalKind kind : {FocalKind::focal, FocalKind::quality, FocalKind::varifocal}) {
    for (const float gamma : {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f}) {
      if (kind == FocalKind::quality && gamma == 0.5f) continue;
      for (const float alpha : {SigmoidFocalLossOptions::kNoAlpha, 0.25f, 0.75f}) {
        SigmoidFocalLossOptions options;
        options.kind = kind;
        options.gamma = gamma;
        options.alpha = alpha;
        // |t - p| has no derivative where p meets t; random numbers do not.
        expect_sigmoid_gradients(options);
        if (kind != FocalKind::focal) continue;
        options.label_smoothing = 0.1f;
        expect_sigmoid_gradients(options);
      }
    }
  }
}

/// -log softmax(x) at c.
Real negative_log_probability(const std::vector<Real>& x, std::size_t c) {
  Real sum = 0;
  for (const Real value : x)
    sum += std::exp(value - x[c]);
  return std::log(sum);
}

/// Compares gradients of all logits of all rows with differences of `row_loss(row, logits)`.
void expect_row_gradients(
    const RowsProblem& problem,
    const std::function<Real(std::int64_t, const std::vector<Real>&)>& row_loss) {
  const std::int64_t rows = problem.logits.shape()[0];
  const std::int64_t classes = problem.logits.shape()[1];
  const FocalResult result = reference_result(problem);
  std::vector<double> losses, gradients;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::vector<Real> x;
    for (std::int64_t c = 0; c < classes; ++c)
      x.push_back(Real{problem.logits.real(static_cast<std::size_t>(row * classes + c))});
    losses.push_back(static_cast<double>(row_loss(row, x)));
    for (std::size_t c = 0; c < x.size(); ++c) {
      const Function loss = [&](Real value) {
        std::vector<Real> moved = x;
        moved[c] = value;
        return row_loss(row, moved);
      };
      gradients.push_back(static_cast<double>(central_difference(loss, x[c])));
    }
  }
  EXPECT_TRUE(all_near(result.loss[0].reals(), losses, kTolerance)) << problem.describe();
  EXPECT_TRUE(all_near(result.gradient[0].reals(), gradients, kTolerance)) << problem.describe();
}

HostTensor row_logits(Random& random, std::int64_t rows, std::int64_t classes) {
  std::vector<float> logits;
  for (std::int64_t i = 0; i < rows * classes; ++i)
    logits.push_back(random.uniform_float(-5.0f, 5.0f));
  return HostTensor::of_reals(DataType::float32, {rows, classes}, logits);
}

TEST(FocalLossGradient, Softmax) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  for (const float gamma : {0.0f, 0.5f, 1.0f, 2.0f, 3.5f}) {
    for (const float smoothing : {0.0f, 0.2f}) {
      RowsProblem problem;
      problem.options.gamma = gamma;
      problem.options.label_smoothing = smoothing;
      problem.options.reduction = LossReduction::none;
      problem.logits = row_logits(random, 20, 7);
      std::vector<std::int64_t> targets;
      for (int row = 0; row < 20; ++row)
        targets.push_back(random.integer(0, 6));
      problem.targets = HostTensor::of_integers(DataType::int64, {20}, targets);
      const std::vector<float> weights = {0.5f, 1.0f, 2.0f, 0.25f, 1.5f, 3.0f, 0.75f};
      problem.class_weights = HostTensor::of_reals(DataType::float32, {7}, weights);
      expect_row_gradients(problem, [&](std::int64_t row, const std::vector<Real>& x) {
        Real loss = 0;
        for (std::size_t c = 0; c < x.size(); ++c) {
          const bool is_target =
              static_cast<std::int64_t>(c) == targets[static_cast<std::size_t>(row)];
          const Real q = (is_target ? 1 - Real{smoothing} : 0) + Real{smoothing} / 7;
          const Real entropy = negative_log_probability(x, c);
          loss += q * Real{weights[c]} * std::pow(1 - std::exp(-entropy), Real{gamma}) * entropy;
        }
        return loss;
      });
    }
  }
}

TEST(FocalLossGradient, Distribution) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  RowsProblem problem;
  problem.distribution = true;
  problem.options.reduction = LossReduction::none;
  problem.logits = row_logits(random, 30, 17);
  std::vector<float> targets;
  for (int row = 0; row < 30; ++row)
    targets.push_back(row < 4 ? static_cast<float>(4 * row) : random.uniform_float(0.0f, 16.0f));
  problem.targets = HostTensor::of_reals(DataType::float32, {30}, targets);
  expect_row_gradients(problem, [&](std::int64_t row, const std::vector<Real>& x) {
    const Real y = Real{targets[static_cast<std::size_t>(row)]};
    const auto left = std::min<std::size_t>(static_cast<std::size_t>(y), 15);
    return (static_cast<Real>(left + 1) - y) * negative_log_probability(x, left) +
           (y - static_cast<Real>(left)) * negative_log_probability(x, left + 1);
  });
}

}  // namespace
}  // namespace cudet::test
