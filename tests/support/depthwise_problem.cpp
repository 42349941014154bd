#include "depthwise_problem.h"

#include <cmath>
#include <sstream>

namespace cudet::test {
namespace {

using Shape = std::vector<std::int64_t>;

Shape image_shape(ImageLayout layout, std::int64_t n, std::int64_t c, std::int64_t h,
                  std::int64_t w) {
  return layout == ImageLayout::nchw ? Shape{n, c, h, w} : Shape{n, h, w, c};
}

/// The same numbers in float32, or their magnitudes.
HostTensor widened(const HostTensor& tensor, bool magnitudes) {
  if (!tensor.present()) return HostTensor();
  std::vector<float> values(tensor.count());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float value =
        tensor.type() == DataType::int8 ? static_cast<float>(tensor.integer(i)) : tensor.real(i);
    values[i] = magnitudes ? std::fabs(value) : value;
  }
  return HostTensor::of_reals(DataType::float32, tensor.shape(), values);
}

DepthwiseProblem widened(const DepthwiseProblem& problem, bool magnitudes) {
  DepthwiseProblem result;
  result.options = problem.options;
  result.x = widened(problem.x, magnitudes);
  result.weight = widened(problem.weight, magnitudes);
  result.bias = widened(problem.bias, magnitudes);
  result.residual = widened(problem.residual, magnitudes);
  result.grad_output = widened(problem.grad_output, magnitudes);
  result.pre_activation = widened(problem.pre_activation, false);
  return result;
}

void expect_ok(const Status& status, const DepthwiseProblem& problem) {
  EXPECT_TRUE(status.ok()) << status.message() << "\n" << problem.describe();
}

DepthwiseResult run_reference(const DepthwiseProblem& problem, DepthwiseResult result) {
  expect_ok(reference::depthwise_conv(problem.options, problem.input(), result.output()), problem);
  return result;
}
DepthwiseGradients run_reference(const DepthwiseProblem& problem, DepthwiseGradients result) {
  expect_ok(reference::depthwise_conv_backward(problem.options, problem.backward_input(),
                                               result.output()),
            problem);
  return result;
}

/// Sums of the magnitudes of all terms of each pre-activation, and of their mean.
DepthwiseResult magnitudes_of(const DepthwiseProblem& problem) {
  DepthwiseProblem terms = widened(problem, true);
  terms.options.activation = Activation::none;
  if (problem.type() == DataType::int8) {
    // Per-channel scales count like weights.
    const bool nchw = problem.options.layout == ImageLayout::nchw;
    const std::size_t channels = problem.scales.count();
    const std::size_t taps = terms.weight.count() / channels;
    for (std::size_t i = 0; i < terms.weight.count(); ++i) {
      const std::size_t channel = nchw ? i / taps : i % channels;
      terms.weight.set_real(i, terms.weight.real(i) * problem.scales.real(channel));
    }
  }
  return run_reference(terms, make_result(terms, {true, true, true}));
}

std::int64_t taps_of(const DepthwiseProblem& problem) {
  const Shape& shape = problem.weight.shape();
  const std::size_t first = problem.options.layout == ImageLayout::nchw ? shape.size() - 2 : 0;
  return shape[first] * shape[first + 1];
}

/// |got - exact| <= share of the magnitude + the rounding to a type + an activation's own error.
struct Bound {
  double share = 0.0;     ///< of the sum of magnitudes
  double relative = 0.0;  ///< of the result
};

void expect_within(const char* name, const HostTensor& got, const HostTensor& exact,
                   const HostTensor& magnitudes, const Bound& bound,
                   const DepthwiseProblem& problem) {
  if (!got.present()) return;
  ASSERT_EQ(got.shape(), exact.shape());
  const Tolerance rounding = tolerance_of(got.type());
  int failures = 0;
  for (std::size_t i = 0; i < got.count() && failures < 5; ++i) {
    const auto value = static_cast<double>(got.real(i));
    const auto expected = static_cast<double>(exact.real(i));
    const double allowed =
        bound.share * static_cast<double>(magnitudes.real(i)) +
        bound.relative * std::fabs(expected) +
        std::fmax(rounding.half_ulp * std::fabs(expected) * 1.001, rounding.half_ulp_floor) + 1e-30;
    if (std::isnan(expected)   ? std::isnan(value)
        : std::isinf(expected) ? value == expected
                               : std::fabs(value - expected) <= allowed) {
      continue;
    }
    ++failures;
    ADD_FAILURE() << name << "[" << i << "] = " << value << ", expected " << expected << " within "
                  << allowed << "\n"
                  << problem.describe();
  }
}

/// Quantised results against what goes into the quantisation.
void expect_quantised(const HostTensor& got, const HostTensor& exact, const HostTensor& magnitudes,
                      const Bound& bound, const DepthwiseProblem& problem) {
  int failures = 0;
  const auto scale = static_cast<double>(problem.options.output_scale);
  for (std::size_t i = 0; i < got.count() && failures < 5; ++i) {
    const double quotient = static_cast<double>(exact.real(i)) / scale;
    const double clamped = std::fmin(std::fmax(quotient, -128.0), 127.0);
    const double allowed = 0.5 + (bound.share * static_cast<double>(magnitudes.real(i)) +
                                  (bound.relative + 1e-6) * std::fabs(quotient * scale)) /
                                     scale;
    const auto value = static_cast<double>(got.integer(i));
    if (std::fabs(value - clamped) <= allowed) continue;
    ++failures;
    ADD_FAILURE() << "y[" << i << "] = " << value << ", expected " << quotient << "\n"
                  << problem.describe();
  }
}

/// What float32 sums of `terms` terms may lose in any order, as a share of the sum of magnitudes:
/// a rounding for each term, and a few for bias, scale, residual and mean.
double summation_share(std::int64_t terms) {
  return static_cast<double>(terms + 6) * 0x1p-24;
}

/// Slopes of activations are at most this.
double steepest(const DepthwiseConvOptions& options) {
  return options.activation == Activation::leaky_relu
             ? std::fmax(1.0, std::fabs(static_cast<double>(options.negative_slope)))
             : 1.5;
}

}  // namespace

DepthwiseConvInput DepthwiseProblem::input() const {
  return {x.const_tensor(), weight.const_tensor(), bias.const_tensor(), scales.const_tensor(),
          residual.const_tensor()};
}

DepthwiseConvBackwardInput DepthwiseProblem::backward_input() const {
  return {grad_output.const_tensor(), x.const_tensor(), weight.const_tensor(), bias.const_tensor(),
          pre_activation.const_tensor()};
}

std::vector<std::int64_t> DepthwiseProblem::output_shape() const {
  Shape shape(4);
  const Status status = depthwise_conv_output_shape(options, input(), shape.data());
  EXPECT_TRUE(status.ok()) << status.message();
  return shape;
}

std::string DepthwiseProblem::describe() const {
  std::ostringstream text;
  const auto list = [&](const char* name, const HostTensor& tensor) {
    if (!tensor.present()) return;
    text << " " << name << " " << to_string(tensor.type()) << "[";
    for (const std::int64_t size : tensor.shape())
      text << size << ",";
    text << "]";
  };
  text << to_string(options.layout) << " " << to_string(options.activation) << " kernel "
       << to_string(options.kernel) << " stride " << options.stride_h << "," << options.stride_w
       << " dilation " << options.dilation_h << "," << options.dilation_w << " pads "
       << options.pad_top << "," << options.pad_left << "," << options.pad_bottom << ","
       << options.pad_right;
  list("x", x);
  list("weight", weight);
  list("bias", bias);
  list("residual", residual);
  list("pre_activation", pre_activation);
  return text.str();
}

DepthwiseConvOutput DepthwiseResult::output() {
  return {y.tensor(), pre_activation.tensor(), pool.tensor()};
}

DepthwiseConvBackwardOutput DepthwiseGradients::output() {
  return {grad_x.tensor(), grad_weight.tensor(), grad_bias.tensor()};
}

DepthwiseResult make_result(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs) {
  const Shape shape = problem.output_shape();
  const std::int64_t channels =
      shape[problem.options.layout == ImageLayout::nchw ? std::size_t{1} : std::size_t{3}];
  DepthwiseResult result;
  if (outputs.y) {
    result.y =
        HostTensor(problem.type() == DataType::int8 ? outputs.y_type : problem.type(), shape);
  }
  if (outputs.pre_activation) result.pre_activation = HostTensor(problem.type(), shape);
  if (outputs.pool) result.pool = HostTensor(outputs.pool_type, {shape[0], channels});
  return result;
}

DepthwiseGradients make_gradients(const DepthwiseProblem& problem, const DepthwiseWanted& wanted) {
  DepthwiseGradients result;
  if (wanted.grad_x) result.grad_x = HostTensor(problem.type(), problem.x.shape());
  if (wanted.grad_weight) {
    result.grad_weight = HostTensor(wanted.weight_type, problem.weight.shape());
  }
  if (wanted.grad_bias) {
    const Shape shape = problem.output_shape();
    result.grad_bias = HostTensor(
        wanted.weight_type,
        {shape[problem.options.layout == ImageLayout::nchw ? std::size_t{1} : std::size_t{3}]});
  }
  return result;
}

namespace {

HostTensor random_tensor(Random& random, DataType type, Shape shape) {
  HostTensor tensor(type, std::move(shape));
  for (std::size_t i = 0; i < tensor.count(); ++i) {
    if (type == DataType::int8) {
      tensor.set_integer(i, random.integer(-128, 127));
    } else {
      tensor.set_real(i, random.uniform_float(-1.0f, 1.0f));
    }
  }
  return tensor;
}

}  // namespace

DepthwiseProblem random_problem(Random& random, DataType type, const DepthwiseConvOptions& options,
                                const DepthwiseSizes& sizes, bool with_bias, bool with_residual) {
  const std::int64_t outputs = sizes.c * sizes.multiplier;
  DepthwiseProblem problem;
  problem.options = options;
  problem.x =
      random_tensor(random, type, image_shape(options.layout, sizes.n, sizes.c, sizes.h, sizes.w));
  problem.weight = random_tensor(random, type,
                                 options.layout == ImageLayout::nchw
                                     ? Shape{outputs, sizes.kernel_h, sizes.kernel_w}
                                     : Shape{sizes.kernel_h, sizes.kernel_w, outputs});
  if (with_bias) {
    problem.bias =
        random_tensor(random, type == DataType::int8 ? DataType::float32 : type, {outputs});
  }
  if (type == DataType::int8) {
    problem.scales = HostTensor(DataType::float32, {outputs});
    for (std::size_t i = 0; i < problem.scales.count(); ++i)
      problem.scales.set_real(i, random.uniform_float(0.0001f, 0.001f));
  } else if (with_residual) {
    problem.residual = random_tensor(random, type, problem.output_shape());
  }
  return problem;
}

void add_gradient(Random& random, DepthwiseProblem& problem, bool saved) {
  problem.grad_output = random_tensor(random, problem.type(), problem.output_shape());
  if (saved) {
    problem.pre_activation =
        run_reference(problem, make_result(problem, {false, true, false})).pre_activation;
  }
}

DepthwiseConvOptions with_same_padding(DepthwiseConvOptions options, const DepthwiseSizes& sizes) {
  const std::int64_t rows = (sizes.kernel_h - 1) * options.dilation_h;
  const std::int64_t columns = (sizes.kernel_w - 1) * options.dilation_w;
  options.pad_top = rows / 2;
  options.pad_bottom = rows - rows / 2;
  options.pad_left = columns / 2;
  options.pad_right = columns - columns / 2;
  return options;
}

DepthwiseResult reference_result(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs) {
  if (problem.type() == DataType::int8) {
    DepthwiseOutputs exact = outputs;
    exact.y_type = DataType::float32;
    exact.pool_type = DataType::float32;
    return run_reference(problem, make_result(problem, exact));
  }
  const DepthwiseProblem exact = widened(problem, false);
  return run_reference(exact,
                       make_result(exact, {outputs.y, outputs.pre_activation, outputs.pool}));
}

DepthwiseGradients reference_gradients(const DepthwiseProblem& problem,
                                       const DepthwiseWanted& wanted) {
  const DepthwiseProblem exact = widened(problem, false);
  return run_reference(
      exact, make_gradients(exact, {wanted.grad_x, wanted.grad_weight, wanted.grad_bias}));
}

DepthwiseResult cpu_result(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs,
                           int threads) {
  DepthwiseResult result = make_result(problem, outputs);
  const Status status =
      depthwise_conv(problem.options, problem.input(), result.output(), Execution::cpu(threads));
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

DepthwiseGradients cpu_gradients(const DepthwiseProblem& problem, const DepthwiseWanted& wanted,
                                 int threads) {
  DepthwiseGradients gradients = make_gradients(problem, wanted);
  const Status status = depthwise_conv_backward(problem.options, problem.backward_input(),
                                                gradients.output(), Execution::cpu(threads));
  EXPECT_TRUE(status.ok()) << status.message();
  return gradients;
}

void expect_near(const DepthwiseResult& got, const DepthwiseProblem& problem,
                 const DepthwiseOutputs& outputs) {
  const DepthwiseResult exact = reference_result(problem, outputs);
  const DepthwiseResult magnitudes = magnitudes_of(problem);
  const double share = summation_share(taps_of(problem));
  // Activations are within a few units in the last place.
  const Bound activated = {share * steepest(problem.options), 1e-6};
  const auto expect_result = [&](const DepthwiseResult& result) {
    if (result.y.present() && result.y.type() == DataType::int8) {
      expect_quantised(result.y, exact.y, magnitudes.y, activated, problem);
    } else {
      expect_within("y", result.y, exact.y, magnitudes.y, activated, problem);
    }
    expect_within("pre_activation", result.pre_activation, exact.pre_activation,
                  magnitudes.pre_activation, {share, 0.0}, problem);
    // The sum of a plane is a tree over sums of at most a few hundred elements.
    expect_within("pool", result.pool, exact.pool, magnitudes.pool,
                  {share * steepest(problem.options) + 300 * 0x1p-24, 1e-6}, problem);
  };
  expect_result(got);
  SCOPED_TRACE("the CPU mode");
  expect_result(cpu_result(problem, outputs));
}

void expect_near(const DepthwiseGradients& got, const DepthwiseProblem& problem,
                 const DepthwiseWanted& wanted) {
  const DepthwiseGradients exact = reference_gradients(problem, wanted);
  DepthwiseProblem terms = widened(problem, true);
  terms.options.activation = Activation::none;
  const DepthwiseGradients magnitudes = run_reference(terms, make_gradients(terms));
  const double slope = steepest(problem.options);
  // A pre-activation that is recomputed has an error, and slopes change by at most one per unit.
  double recomputed = 0.0;
  if (problem.options.activation != Activation::none && !problem.pre_activation.present()) {
    const DepthwiseResult sums = magnitudes_of(problem);
    for (const float sum : sums.pre_activation.reals())
      recomputed = std::fmax(recomputed, static_cast<double>(sum));
    recomputed *= summation_share(taps_of(problem));
  }
  const std::int64_t taps = taps_of(problem);
  const std::int64_t multiplier = static_cast<std::int64_t>(
      problem.grad_output.count() == 0 ? 1
                                       : problem.weight.count() / static_cast<std::size_t>(taps));
  const auto expect_gradients = [&](const DepthwiseGradients& gradients) {
    expect_within("grad_x", gradients.grad_x, exact.grad_x, magnitudes.grad_x,
                  {summation_share(taps * multiplier) * slope + recomputed, 1e-6}, problem);
    // Long sums: at most a few thousand terms one after the other.
    const double sums = 4096 * 0x1p-24 * slope + recomputed;
    expect_within("grad_weight", gradients.grad_weight, exact.grad_weight, magnitudes.grad_weight,
                  {sums, 1e-6}, problem);
    expect_within("grad_bias", gradients.grad_bias, exact.grad_bias, magnitudes.grad_bias,
                  {sums, 1e-6}, problem);
  };
  expect_gradients(got);
  SCOPED_TRACE("the CPU mode");
  expect_gradients(cpu_gradients(problem, wanted));
}

DepthwiseProblem depthwise_problem_of(const OracleCase& oracle_case) {
  const auto number = [&](const char* name) { return oracle_case.parameter<std::int64_t>(name); };
  const auto reals = [&](const char* name) {
    const Array array = oracle_case.input(name);
    return HostTensor::of_reals(DataType::float32, array.shape(), array.values<float>());
  };
  DepthwiseProblem problem;
  problem.options.layout = oracle_case.parameter<std::string>("layout") == "NCHW"
                               ? ImageLayout::nchw
                               : ImageLayout::nhwc;
  problem.options.stride_h = number("stride_h");
  problem.options.stride_w = number("stride_w");
  problem.options.dilation_h = number("dilation_h");
  problem.options.dilation_w = number("dilation_w");
  problem.options.pad_top = number("pad_top");
  problem.options.pad_left = number("pad_left");
  problem.options.pad_bottom = number("pad_bottom");
  problem.options.pad_right = number("pad_right");
  problem.x = reals("x");
  problem.weight = reals("w");
  if (oracle_case.has_input("b")) problem.bias = reals("b");
  if (oracle_case.has_input("grad_output")) problem.grad_output = reals("grad_output");
  return problem;
}

bool set_activation(const OracleCase& oracle_case, DepthwiseConvOptions& options) {
  const auto name = oracle_case.parameter<std::string>("activation");
  if (name == "gelu_erf") {
    options.activation = Activation::gelu;
  } else if (name.rfind("leaky_relu_", 0) == 0) {
    options.activation = Activation::leaky_relu;
    options.negative_slope = std::stof(name.substr(11));
  } else {
    for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6,
                                        Activation::silu, Activation::hardswish}) {
      if (name != to_string(activation)) continue;
      options.activation = activation;
      return true;
    }
    return false;
  }
  return true;
}

}  // namespace cudet::test
