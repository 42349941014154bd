// box_regression_loss() on a device and its reference, against the formula.
#include <cudet/box_regression_loss.h>

#include "support/device.h"
#include "support/random.h"
#include "support/tolerance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

constexpr LossReduction kReductions[] = {LossReduction::none, LossReduction::sum,
                                         LossReduction::mean, LossReduction::normalised};
constexpr DataType kTypes[] = {DataType::float32, DataType::float16, DataType::bfloat16};

struct Problem {
  BoxRegressionLossOptions options;
  HostTensor predictions, targets, weights, normaliser, grad_output;

  std::int64_t n() const { return predictions.shape()[0]; }
  std::int64_t k() const { return predictions.shape()[1]; }
  bool by_element() const { return options.reduction == LossReduction::none; }
};

struct Result {
  HostTensor loss, gradients;
};

Result make_result(const Problem& problem, DataType gradient_type = DataType::float32) {
  const std::vector<std::int64_t> shape = {problem.n(), problem.k()};
  Result result;
  result.loss =
      HostTensor(DataType::float32, problem.by_element() ? shape : std::vector<std::int64_t>{1});
  result.gradients = HostTensor(gradient_type, shape);
  return result;
}

/// Of the reference; checks that the CPU mode gives the same.
Result reference_result(const Problem& p) {
  const BoxRegressionLossInput input = {p.predictions.const_tensor(), p.targets.const_tensor(),
                                        p.weights.const_tensor(), p.normaliser.const_tensor(),
                                        p.grad_output.const_tensor()};
  Result result = make_result(p);
  const Status status = reference::box_regression_loss(
      p.options, input, {result.loss.tensor(), result.gradients.tensor()});
  EXPECT_TRUE(status.ok()) << status.message();
  Result on_cpu = make_result(p);
  const Status cpu_status = box_regression_loss(
      p.options, input, {on_cpu.loss.tensor(), on_cpu.gradients.tensor()}, Execution::cpu(2));
  EXPECT_TRUE(cpu_status.ok()) << cpu_status.message();
  EXPECT_TRUE(all_near(on_cpu.loss.reals(), result.loss.reals(), {0, 1e-6, 0, 0}));
  EXPECT_TRUE(same_bits(on_cpu.gradients, result.gradients));
  return result;
}

Result device_result(const Problem& p, DataType gradient_type = DataType::float32,
                     std::size_t offset = 0, StreamMode mode = StreamMode::default_stream) {
  const DeviceTensor predictions(p.predictions, offset), targets(p.targets, offset);
  const DeviceTensor weights(p.weights, offset), normaliser(p.normaliser);
  const DeviceTensor grad_output(p.grad_output, offset);
  Result result = make_result(p, gradient_type);
  DeviceTensor loss(result.loss, offset), gradients(result.gradients, offset);
  const BoxRegressionLossInput input = {predictions.const_tensor(), targets.const_tensor(),
                                        weights.const_tensor(), normaliser.const_tensor(),
                                        grad_output.const_tensor()};
  std::size_t bytes = 0;
  EXPECT_TRUE(box_regression_loss_workspace_size(p.options, input, &bytes).ok());
  const Workspace workspace(bytes);
  run_in_mode(
      mode,
      [&](cudaStream_t stream) {
        return box_regression_loss(p.options, input, {loss.tensor(), gradients.tensor()},
                                   Execution::cuda(stream, workspace.data(), workspace.size()));
      },
      [&] {
        loss.poison();
        gradients.poison();
      },
      [&] {
        result = {loss.download(), gradients.download()};
      });
  workspace.check_guards();
  return result;
}

Problem random_problem(Random& random, std::int64_t n, std::int64_t k,
                       const BoxRegressionLossOptions& options, DataType type) {
  const auto numbers = [&](std::vector<std::int64_t> shape, DataType number_type, float low,
                           float high) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape)
      count *= size;
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values)
      value = random.uniform_float(low, high);
    return HostTensor::of_reals(number_type, std::move(shape), values);
  };
  Problem problem;
  problem.options = options;
  problem.predictions = numbers({n, k}, type, -3.0f, 3.0f);
  problem.targets = numbers({n, k}, type, -3.0f, 3.0f);
  if (random.chance(0.5)) {
    problem.weights = numbers({n}, DataType::float32, 0.0f, 2.0f);
    for (std::int64_t i = 0; i < n; i += 3)
      problem.weights.set_real(static_cast<std::size_t>(i), 0.0f);
  }
  if (options.reduction == LossReduction::normalised) {
    problem.normaliser = numbers({1}, DataType::float32, 0.0f, 9.0f);
  }
  if (random.chance(0.5)) {
    problem.grad_output = problem.by_element() ? numbers({n, k}, DataType::float32, -2.0f, 2.0f)
                                               : numbers({1}, DataType::float32, -2.0f, 2.0f);
  }
  return problem;
}

TEST(DeviceBoxRegressionLoss, AgreesWithTheReference) {
  Random random(501);
  SCOPED_TRACE(random.trace());
  std::size_t number = 0;
  for (const BoxRegressionKind kind : {BoxRegressionKind::l2, BoxRegressionKind::smooth_l1}) {
    for (const LossReduction reduction : kReductions) {
      for (const std::int64_t n : {0, 1, 63, 64, 65, 700}) {
        BoxRegressionLossOptions options;
        options.kind = kind;
        options.beta = number % 3 == 0 ? 0.0f : number % 3 == 1 ? 1.0f : 1.0f / 9.0f;
        options.reduction = reduction;
        options.grad_scale = 3.0f;
        const DataType type = kTypes[number++ % 3];
        const Problem problem = random_problem(random, n, 4, options, type);
        const Result expected = reference_result(problem);
        const Result got = device_result(problem);
        EXPECT_TRUE(all_near(got.loss.reals(), expected.loss.reals(), {1e-7, 2e-6, 0, 0}));
        EXPECT_TRUE(
            all_near(got.gradients.reals(), expected.gradients.reals(), {1e-7, 1e-6, 0, 0}));
        for (const DataType gradient_type : {DataType::float16, DataType::bfloat16}) {
          EXPECT_TRUE(
              same_bits(device_result(problem, gradient_type).gradients,
                        HostTensor::of_reals(gradient_type, {n, 4}, got.gradients.reals())));
        }
        for (const StreamMode mode : kStreamModes) {
          if (n == 0) continue;  // a graph without nodes
          const Result again = device_result(problem, DataType::float32, 4, mode);
          EXPECT_TRUE(same_bits(again.loss, got.loss));
          EXPECT_TRUE(same_bits(again.gradients, got.gradients));
        }
      }
    }
  }
}

TEST(DeviceBoxRegressionLoss, ManyRows) {
  Random random(502);
  SCOPED_TRACE(random.trace());
  for (const LossReduction reduction : kReductions) {
    BoxRegressionLossOptions options;
    options.reduction = reduction;
    const Problem problem = random_problem(random, 5000, 4, options, DataType::float32);
    const Result expected = reference_result(problem);
    const Result got = device_result(problem);
    EXPECT_TRUE(all_near(got.loss.reals(), expected.loss.reals(), {1e-7, 2e-6, 0, 0}));
    EXPECT_TRUE(all_near(got.gradients.reals(), expected.gradients.reals(), {1e-7, 1e-6, 0, 0}));
  }
}

TEST(DeviceBoxRegressionLoss, ByHand) {
  Problem problem;
  problem.predictions = HostTensor::of_reals(DataType::float32, {2, 3}, {0, 2, -3, 1, 1, NAN});
  problem.targets = HostTensor::of_reals(DataType::float32, {2, 3}, {0, 1, 1, 0.5f, 5, 0});
  problem.options.reduction = LossReduction::none;
  const auto expect = [&](const std::vector<float>& loss, const std::vector<float>& gradients) {
    for (const Result& result : {reference_result(problem), device_result(problem)}) {
      EXPECT_TRUE(all_near(result.loss.reals(), loss, {}));
      EXPECT_TRUE(all_near(result.gradients.reals(), gradients, {}));
    }
  };
  problem.options.kind = BoxRegressionKind::l2;
  expect({0, 1, 16, 0.25f, 16, NAN}, {0, 2, -8, 1, -8, NAN});
  problem.options.kind = BoxRegressionKind::smooth_l1;
  problem.options.beta = 2.0f;
  expect({0, 0.25f, 3, 0.0625f, 3, NAN}, {0, 0.5f, -1, 0.25f, -1, NAN});
  problem.options.beta = 0.0f;
  expect({0, 1, 4, 0.5f, 4, NAN}, {0, 1, -1, 1, -1, NAN});
  problem.weights = HostTensor::of_reals(DataType::float32, {2}, {2, 0});
  expect({0, 2, 8, 0, 0, 0}, {0, 2, -2, 0, 0, 0});
  problem.options.reduction = LossReduction::mean;
  for (const Result& result : {reference_result(problem), device_result(problem)})
    EXPECT_FLOAT_EQ(result.loss.real(0), 10.0f / 6.0f);
}

TEST(DeviceBoxRegressionLoss, GradientIsTheCentralDifference) {
  Random random(502);
  SCOPED_TRACE(random.trace());
  for (const BoxRegressionKind kind : {BoxRegressionKind::l2, BoxRegressionKind::smooth_l1}) {
    BoxRegressionLossOptions options;
    options.kind = kind;
    options.beta = 0.75f;
    options.reduction = LossReduction::none;
    Problem problem = random_problem(random, 1000, 4, options, DataType::float32);
    problem.weights = problem.grad_output = HostTensor();
    const Result got = device_result(problem);
    const auto loss = [&](double d) {
      if (kind == BoxRegressionKind::l2) return d * d;
      return std::fabs(d) < 0.75 ? d * d / 1.5 : std::fabs(d) - 0.375;
    };
    for (std::size_t i = 0; i < 4000; ++i) {
      const double d = double{problem.predictions.real(i)} - double{problem.targets.real(i)};
      const double expected = (loss(d + 1e-5) - loss(d - 1e-5)) / 2e-5;
      ASSERT_NEAR(double{got.gradients.real(i)}, expected, 1e-5);
    }
  }
}

}  // namespace
}  // namespace cudet::test
