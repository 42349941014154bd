#include "focal_problem.h"

#include <cmath>
#include <sstream>

namespace cudet::test {
namespace {

HostTensor widened(const HostTensor& tensor) {
  if (!tensor.present()) return tensor;
  return HostTensor::of_reals(DataType::float32, tensor.shape(), tensor.reals());
}

std::vector<HostTensor> widened(const std::vector<HostTensor>& tensors) {
  std::vector<HostTensor> result;
  for (const HostTensor& tensor : tensors)
    result.push_back(widened(tensor));
  return result;
}

Tensor tensor_of(const std::vector<HostTensor>& tensors, std::size_t level) {
  return level < tensors.size() ? tensors[level].const_tensor() : Tensor();
}

std::string shape_of(const HostTensor& tensor) {
  std::string text = "[";
  for (const std::int64_t size : tensor.shape())
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

double largest_magnitude(const HostTensor& tensor) {
  double largest = 0.0;
  for (const float value : tensor.reals())
    largest = std::fmax(largest, std::fabs(double{value}));
  return largest;
}

double relative_tolerance(DataType logit_type) {
  return logit_type == DataType::float32 ? 1e-6 : 1e-5;
}

}  // namespace

SigmoidFocalLossInput SigmoidProblem::input() const {
  SigmoidFocalLossInput input;
  input.levels = levels();
  for (std::size_t level = 0; level < logits.size(); ++level) {
    input.logits[level] = tensor_of(logits, level);
    input.targets[level] = tensor_of(targets, level);
    input.row_weights[level] = tensor_of(row_weights, level);
    input.grad_output[level] = tensor_of(grad_output, level);
  }
  input.class_alpha = class_alpha.const_tensor();
  input.normaliser = normaliser.const_tensor();
  return input;
}

std::string SigmoidProblem::describe() const {
  std::ostringstream text;
  text << to_string(options.kind) << ", targets " << to_string(options.targets) << ", layout "
       << to_string(options.layout) << ", alpha " << options.alpha << ", gamma " << options.gamma
       << ", smoothing " << options.label_smoothing << ", reduction "
       << to_string(options.reduction) << ", " << to_string(type());
  for (const HostTensor& level : logits)
    text << ", " << shape_of(level);
  return text.str();
}

SigmoidFocalLossOutput FocalResult::sigmoid_output() {
  SigmoidFocalLossOutput output;
  for (std::size_t level = 0; level < loss.size(); ++level)
    output.loss[level] = loss[level].tensor();
  for (std::size_t level = 0; level < gradient.size(); ++level)
    output.grad_logits[level] = gradient[level].tensor();
  output.positives = count.tensor();
  return output;
}

SoftmaxFocalLossOutput FocalResult::softmax_output() {
  SoftmaxFocalLossOutput output;
  if (!loss.empty()) output.loss = loss[0].tensor();
  if (!gradient.empty()) output.grad_logits = gradient[0].tensor();
  output.valid_rows = count.tensor();
  return output;
}

DistributionFocalLossOutput FocalResult::distribution_output() {
  const SoftmaxFocalLossOutput output = softmax_output();
  return {output.loss, output.grad_logits};
}

testing::AssertionResult same_bits(const FocalResult& got, const FocalResult& expected) {
  if (got.loss.size() != expected.loss.size() || got.gradient.size() != expected.gradient.size()) {
    return testing::AssertionFailure() << "other outputs";
  }
  for (std::size_t level = 0; level < got.loss.size(); ++level) {
    const auto same = same_bits(got.loss[level], expected.loss[level]);
    if (!same) return testing::AssertionFailure() << "loss " << level << ": " << same.message();
  }
  for (std::size_t level = 0; level < got.gradient.size(); ++level) {
    const auto same = same_bits(got.gradient[level], expected.gradient[level]);
    if (!same) return testing::AssertionFailure() << "gradient " << level << ": " << same.message();
  }
  return same_bits(got.count, expected.count);
}

SoftmaxFocalLossInput RowsProblem::input() const {
  return {logits.const_tensor(),      targets.const_tensor(),    class_weights.const_tensor(),
          row_weights.const_tensor(), normaliser.const_tensor(), grad_output.const_tensor()};
}

DistributionFocalLossInput RowsProblem::distribution_input() const {
  return {logits.const_tensor(), targets.const_tensor(), row_weights.const_tensor(),
          normaliser.const_tensor(), grad_output.const_tensor()};
}

DistributionFocalLossOptions RowsProblem::distribution_options() const {
  return {options.reduction, options.grad_scale};
}

std::string RowsProblem::describe() const {
  std::ostringstream text;
  text << (distribution ? "distribution" : "softmax") << ", gamma " << options.gamma
       << ", smoothing " << options.label_smoothing << ", reduction "
       << to_string(options.reduction) << ", " << to_string(logits.type()) << ", "
       << shape_of(logits);
  return text.str();
}

FocalResult make_result(const SigmoidProblem& problem) {
  FocalResult result;
  const bool by_element = problem.options.reduction == LossReduction::none;
  for (const HostTensor& logits : problem.logits) {
    if (problem.want_loss && by_element) {
      result.loss.emplace_back(problem.loss_type, logits.shape());
    }
    if (problem.want_gradient) result.gradient.emplace_back(logits.type(), logits.shape());
  }
  if (problem.want_loss && !by_element) {
    result.loss.emplace_back(DataType::float32, std::vector<std::int64_t>{1});
  }
  if (problem.want_positives) result.count = HostTensor(DataType::int32, {1});
  return result;
}

FocalResult make_result(const RowsProblem& problem) {
  FocalResult result;
  const bool by_row = problem.options.reduction == LossReduction::none;
  if (problem.want_loss) {
    result.loss.emplace_back(DataType::float32,
                             std::vector<std::int64_t>{by_row ? problem.logits.shape()[0] : 1});
  }
  if (problem.want_gradient) {
    result.gradient.emplace_back(problem.logits.type(), problem.logits.shape());
  }
  if (problem.want_count && !problem.distribution) result.count = HostTensor(DataType::int64, {1});
  return result;
}

FocalResult reference_result(const SigmoidProblem& problem, bool exact) {
  SigmoidProblem widest = problem;
  if (exact) {
    widest.logits = widened(problem.logits);
    widest.loss_type = DataType::float32;
  }
  FocalResult result = make_result(widest);
  const Status status =
      reference::sigmoid_focal_loss(widest.options, widest.input(), result.sigmoid_output());
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

FocalResult reference_result(const RowsProblem& problem, bool exact) {
  RowsProblem widest = problem;
  if (exact) widest.logits = widened(problem.logits);
  FocalResult result = make_result(widest);
  const Status status =
      widest.distribution
          ? reference::distribution_focal_loss(widest.distribution_options(),
                                               widest.distribution_input(),
                                               result.distribution_output())
          : reference::softmax_focal_loss(widest.options, widest.input(), result.softmax_output());
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

FocalResult cpu_result(const SigmoidProblem& problem, int threads) {
  FocalResult result = make_result(problem);
  const Status status = sigmoid_focal_loss(problem.options, problem.input(),
                                           result.sigmoid_output(), Execution::cpu(threads));
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

FocalResult cpu_result(const RowsProblem& problem, int threads) {
  FocalResult result = make_result(problem);
  const Execution execution = Execution::cpu(threads);
  const Status status =
      problem.distribution
          ? distribution_focal_loss(problem.distribution_options(), problem.distribution_input(),
                                    result.distribution_output(), execution)
          : softmax_focal_loss(problem.options, problem.input(), result.softmax_output(),
                               execution);
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

double gradient_factor(const SigmoidProblem& problem) {
  double upstream = problem.grad_output.empty() ? 1.0 : 0.0;
  for (const HostTensor& level : problem.grad_output)
    upstream = std::fmax(upstream, largest_magnitude(level));
  return upstream * std::fabs(static_cast<double>(problem.options.grad_scale));
}

double gradient_factor(const RowsProblem& problem) {
  const double upstream =
      problem.grad_output.present() ? largest_magnitude(problem.grad_output) : 1.0;
  return upstream * std::fabs(static_cast<double>(problem.options.grad_scale));
}

void expect_near(const FocalResult& got, const FocalResult& exact, LossReduction reduction,
                 DataType logit_type, double gradient_factor, const std::string& description) {
  ASSERT_EQ(got.loss.size(), exact.loss.size());
  ASSERT_EQ(got.gradient.size(), exact.gradient.size());
  for (std::size_t level = 0; level < got.loss.size(); ++level) {
    Tolerance tolerance = tolerance_of(got.loss[level].type());
    if (reduction != LossReduction::none) tolerance = {0.0, relative_tolerance(logit_type)};
    EXPECT_TRUE(all_near(got.loss[level].reals(), exact.loss[level].reals(), tolerance))
        << "loss of level " << level << ", " << description;
  }
  for (std::size_t level = 0; level < got.gradient.size(); ++level) {
    Tolerance tolerance = tolerance_of(got.gradient[level].type());
    tolerance.absolute *= std::fmax(gradient_factor, 1.0);
    EXPECT_TRUE(all_near(got.gradient[level].reals(), exact.gradient[level].reals(), tolerance))
        << "gradient of level " << level << ", " << description;
  }
  EXPECT_TRUE(same_bits(got.count, exact.count)) << description;
}

std::vector<float> random_logits(Random& random, std::int64_t count) {
  std::vector<float> logits;
  for (std::int64_t i = 0; i < count; ++i) {
    float x = random.uniform_float(-8.0f, 3.0f);
    if (random.chance(0.02)) x = random.uniform_float(-100.0f, 100.0f);
    logits.push_back(x);
  }
  return logits;
}

std::vector<std::int64_t> random_classes(Random& random, std::int64_t count, std::int64_t classes,
                                         std::int64_t ignore_index, double positives,
                                         double ignored) {
  std::vector<std::int64_t> targets;
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t target = -1;
    if (random.chance(positives) && classes > 0) {
      target = random.integer(0, classes - 1);
    } else if (random.chance(ignored)) {
      target = ignore_index;
    } else if (random.chance(0.1)) {
      target = classes + random.integer(0, 3);
    }
    targets.push_back(target);
  }
  return targets;
}

SigmoidProblem random_class_problem(Random& random, DataType type, FocalLayout layout,
                                    const std::vector<LevelShape>& levels, double positives,
                                    double ignored) {
  SigmoidProblem problem;
  problem.options.layout = layout;
  const DataType target_type = random.chance(0.5) ? DataType::int32 : DataType::int64;
  for (const LevelShape& level : levels) {
    const std::int64_t rows = level.batch * level.anchors * level.height * level.width;
    const auto logits = random_logits(random, rows * level.classes);
    const auto targets = random_classes(random, rows, level.classes, problem.options.ignore_index,
                                        positives, ignored);
    if (layout == FocalLayout::head) {
      problem.logits.push_back(HostTensor::of_reals(
          type, {level.batch, level.anchors * level.classes, level.height, level.width}, logits));
      problem.targets.push_back(HostTensor::of_integers(
          target_type, {level.batch, level.anchors, level.height, level.width}, targets));
    } else {
      problem.logits.push_back(HostTensor::of_reals(
          type, {level.batch, rows / std::max<std::int64_t>(level.batch, 1), level.classes},
          logits));
      problem.targets.push_back(HostTensor::of_integers(
          target_type, {level.batch, rows / std::max<std::int64_t>(level.batch, 1)}, targets));
    }
  }
  return problem;
}

RowsProblem random_rows_problem(Random& random, DataType type, std::int64_t rows,
                                std::int64_t classes, bool distribution) {
  RowsProblem problem;
  problem.distribution = distribution;
  problem.logits =
      HostTensor::of_reals(type, {rows, classes}, random_logits(random, rows * classes));
  if (distribution) {
    std::vector<float> targets;
    for (std::int64_t row = 0; row < rows; ++row) {
      float target = random.uniform_float(-0.5f, static_cast<float>(classes) - 0.5f);
      if (random.chance(0.2)) target = std::floor(target);
      targets.push_back(target);
    }
    problem.targets = HostTensor::of_reals(DataType::float32, {rows}, targets);
  } else {
    problem.targets = HostTensor::of_integers(
        random.chance(0.5) ? DataType::int32 : DataType::int64, {rows},
        random_classes(random, rows, classes, problem.options.ignore_index, 0.9, 0.5));
  }
  return problem;
}

}  // namespace cudet::test
