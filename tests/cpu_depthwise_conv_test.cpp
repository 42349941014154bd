// The depthwise convolution and its gradients in the CPU mode against the references.
#include "support/depthwise_problem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

const std::vector<DataType> kTypes = {DataType::float32, DataType::float16, DataType::bfloat16};
const std::vector<Activation> kActivations = {
    Activation::none, Activation::relu,      Activation::relu6, Activation::leaky_relu,
    Activation::silu, Activation::hardswish, Activation::gelu};

/// Shapes of every kind: rows round the vectors, slabs that are not full, strides, dilations,
/// multipliers, padding below and above what keeps the size.
DepthwiseProblem any_problem(Random& random, DataType type) {
  DepthwiseSizes sizes;
  sizes.n = random.integer(1, 3);
  sizes.c = random.chance(0.3) ? random.integer(15, 33) : random.integer(1, 9);
  sizes.h = random.integer(1, 20);
  sizes.w = random.chance(0.2) ? random.integer(60, 140) : random.integer(1, 40);
  sizes.kernel_h = random.integer(1, random.chance(0.2) ? 31 : 7);
  sizes.kernel_w = random.integer(1, random.chance(0.2) ? 31 : 7);
  sizes.multiplier = random.chance(0.6) ? 1 : random.integer(1, 4);
  DepthwiseConvOptions options;
  options.layout = random.chance(0.5) ? ImageLayout::nchw : ImageLayout::nhwc;
  options.stride_h = random.integer(1, 4);
  options.stride_w = random.chance(0.5) ? options.stride_h : random.integer(1, 4);
  options.dilation_h = random.chance(0.5) ? 1 : random.integer(1, 4);
  options.dilation_w = random.chance(0.5) ? options.dilation_h : random.integer(1, 3);
  options.activation = random.pick(kActivations);
  options.negative_slope = 0.2f;
  options = with_same_padding(options, sizes);
  options.pad_left += random.integer(0, 2);
  options.pad_top += random.chance(0.1) ? 40 : 0;
  options.pad_bottom += random.integer(0, 2);
  return random_problem(random, type, options, sizes, random.chance(0.7), random.chance(0.3));
}

std::string type_name(const testing::TestParamInfo<DataType>& info) {
  return to_string(info.param);
}

class CpuDepthwiseConv : public testing::TestWithParam<DataType> {};
INSTANTIATE_TEST_SUITE_P(Types, CpuDepthwiseConv, testing::ValuesIn(kTypes), type_name);

TEST_P(CpuDepthwiseConv, MatchesTheReference) {
  Random random(51);
  SCOPED_TRACE(random.trace());
  for (int repeat = 0; repeat < scaled(80); ++repeat) {
    const DepthwiseProblem problem = any_problem(random, GetParam());
    DepthwiseOutputs outputs;
    outputs.pool = random.chance(0.3);
    outputs.pre_activation = random.chance(0.3);
    outputs.pool_type = random.chance(0.5) ? DataType::float32 : GetParam();
    expect_near(cpu_result(problem, outputs), problem, outputs);
  }
}

TEST_P(CpuDepthwiseConv, GradientsMatchTheReference) {
  Random random(52);
  SCOPED_TRACE(random.trace());
  for (int repeat = 0; repeat < scaled(80); ++repeat) {
    DepthwiseProblem problem = any_problem(random, GetParam());
    add_gradient(random, problem, random.chance(0.5));
    const DepthwiseWanted wanted = {random.chance(0.8), random.chance(0.8), true,
                                    random.chance(0.5) ? DataType::float32 : GetParam()};
    expect_near(cpu_gradients(problem, wanted), problem, wanted);
  }
}

// Planes of nchw that are turned into slabs, and those beside them that are not: every width, all
// channels of a slab or some, strides, and outputs that are finished in every way.
TEST(CpuDepthwiseConvNarrow, MatchesTheReference) {
  Random random(58);
  SCOPED_TRACE(random.trace());
  for (std::int64_t w = 1; w <= 40; ++w) {
    DepthwiseSizes sizes;
    sizes.n = random.integer(1, 3);
    sizes.c = random.chance(0.5) ? 32 : random.integer(48, 65);
    sizes.h = random.integer(1, 24);
    sizes.w = w;
    sizes.kernel_h = random.integer(1, 7);
    sizes.kernel_w = random.integer(1, 9);
    sizes.multiplier = random.chance(0.8) ? 1 : 2;
    DepthwiseConvOptions options;
    options.stride_h = random.integer(1, 3);
    options.stride_w = random.chance(0.7) ? options.stride_h : random.integer(1, 3);
    options.dilation_h = options.dilation_w = random.chance(0.7) ? 1 : 2;
    options.activation = random.pick(kActivations);
    DepthwiseProblem problem =
        random_problem(random, DataType::float32, with_same_padding(options, sizes), sizes,
                       random.chance(0.7), random.chance(0.3));
    const DepthwiseOutputs outputs = {true, random.chance(0.3), random.chance(0.3)};
    expect_near(cpu_result(problem, outputs), problem, outputs);
    add_gradient(random, problem, random.chance(0.5));
    expect_near(cpu_gradients(problem), problem);
  }
}

// Bands of output rows, whose lines start anywhere in the image and end beyond it.
TEST(CpuDepthwiseConvBands, MatchTheReference) {
  Random random(57);
  SCOPED_TRACE(random.trace());
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    for (const std::int64_t stride : {1, 2, 3}) {
      DepthwiseSizes sizes;
      sizes.c = layout == ImageLayout::nchw ? 2 : 18;
      sizes.h = 70;
      sizes.w = layout == ImageLayout::nchw ? 1500 : 150;
      sizes.kernel_h = 5;
      DepthwiseConvOptions options;
      options.layout = layout;
      options.stride_h = options.stride_w = stride;
      options = with_same_padding(options, sizes);
      options.pad_top += 9;
      options.pad_bottom += 12;
      const DepthwiseProblem problem = random_problem(random, DataType::float32, options, sizes);
      expect_near(cpu_result(problem), problem);
    }
  }
}

TEST(CpuDepthwiseConvOracle, MatchesEveryCase) {
  for (const std::string& name : list_cases("depthwise")) {
    SCOPED_TRACE(name);
    const OracleCase oracle_case = load_case("depthwise", name);
    DepthwiseProblem problem = depthwise_problem_of(oracle_case);
    EXPECT_TRUE(all_near(cpu_result(problem).y.reals(), oracle_case.output("y").values<double>(),
                         oracle_case.tolerance("y")));
    if (!oracle_case.has_output("y_act") || !set_activation(oracle_case, problem.options)) continue;
    EXPECT_TRUE(all_near(cpu_result(problem).y.reals(),
                         oracle_case.output("y_act").values<double>(),
                         oracle_case.tolerance("y_act")));
  }
}

TEST(CpuDepthwiseConvOracle, GradientsMatchEveryCase) {
  int cases = 0;
  for (const std::string& name : list_cases("depthwise")) {
    SCOPED_TRACE(name);
    const OracleCase oracle_case = load_case("depthwise", name);
    if (!oracle_case.has_output("grad_x")) continue;
    ++cases;
    const DepthwiseGradients gradients = cpu_gradients(depthwise_problem_of(oracle_case));
    const auto expect_output = [&](const char* output, const HostTensor& got) {
      EXPECT_TRUE(all_near(got.reals(), oracle_case.output(output).values<double>(),
                           oracle_case.tolerance(output)))
          << output;
    };
    expect_output("grad_x", gradients.grad_x);
    expect_output("grad_w", gradients.grad_weight);
    if (oracle_case.has_output("grad_b")) expect_output("grad_b", gradients.grad_bias);
  }
  EXPECT_GE(cases, 1);
}

TEST(CpuDepthwiseConvThreads, SameBitsForAnyNumber) {
  Random random(53);
  SCOPED_TRACE(random.trace());
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    for (const std::int64_t w : {11, 13, 17}) {
      DepthwiseSizes sizes;
      sizes.n = 2;
      sizes.c = 600;
      sizes.h = 13;
      sizes.w = w;  // of nchw the narrowest is turned into slabs
      DepthwiseConvOptions options;
      options.layout = layout;
      options.stride_w = w == 17 ? 2 : 1;
      options.activation = Activation::silu;
      DepthwiseProblem problem =
          random_problem(random, DataType::float32, with_same_padding(options, sizes), sizes);
      add_gradient(random, problem);
      const DepthwiseOutputs outputs = {true, true, true};
      const DepthwiseResult result = cpu_result(problem, outputs, 1);
      const DepthwiseGradients gradients = cpu_gradients(problem, {}, 1);
      for (const int threads : {2, 3, 7}) {
        const DepthwiseResult other = cpu_result(problem, outputs, threads);
        EXPECT_TRUE(same_bits(other.y, result.y)) << threads;
        EXPECT_TRUE(same_bits(other.pool, result.pool)) << threads;
        const DepthwiseGradients other_gradients = cpu_gradients(problem, {}, threads);
        EXPECT_TRUE(same_bits(other_gradients.grad_x, gradients.grad_x)) << threads;
        EXPECT_TRUE(same_bits(other_gradients.grad_weight, gradients.grad_weight)) << threads;
        EXPECT_TRUE(same_bits(other_gradients.grad_bias, gradients.grad_bias)) << threads;
      }
    }
  }
}

/// NaN at the same places.
void expect_same_nan(const HostTensor& got, const HostTensor& expected,
                     const DepthwiseProblem& problem) {
  for (std::size_t i = 0; i < got.count(); ++i) {
    ASSERT_EQ(std::isnan(got.real(i)), std::isnan(expected.real(i)))
        << i << " " << problem.describe();
  }
}

TEST(CpuDepthwiseConvSpecial, NanReachesItsWindowsAlone) {
  Random random(54);
  SCOPED_TRACE(random.trace());
  for (int repeat = 0; repeat < scaled(60); ++repeat) {
    DepthwiseProblem problem = any_problem(random, DataType::float32);
    problem.residual = HostTensor();
    problem.options.activation = Activation::none;
    const auto place = [&](const HostTensor& tensor) {
      return static_cast<std::size_t>(
          random.integer(0, static_cast<std::int64_t>(tensor.count()) - 1));
    };
    const float value = random.chance(0.5) ? std::numeric_limits<float>::quiet_NaN()
                                           : std::numeric_limits<float>::infinity();
    add_gradient(random, problem);
    DepthwiseProblem with_x = problem;
    with_x.x.set_real(place(problem.x), value);
    expect_same_nan(cpu_result(with_x).y, reference_result(with_x).y, with_x);
    expect_same_nan(cpu_gradients(with_x).grad_weight, reference_gradients(with_x).grad_weight,
                    with_x);
    problem.grad_output.set_real(place(problem.grad_output), value);
    const DepthwiseGradients got = cpu_gradients(problem);
    const DepthwiseGradients expected = reference_gradients(problem);
    expect_same_nan(got.grad_x, expected.grad_x, problem);
    expect_same_nan(got.grad_weight, expected.grad_weight, problem);
    expect_same_nan(got.grad_bias, expected.grad_bias, problem);
  }
}

// Lines of these would be far longer than the images.
TEST(CpuDepthwiseConvSpecial, TakesGiantStridesAndDilations) {
  Random random(55);
  SCOPED_TRACE(random.trace());
  for (const bool dilated : {false, true}) {
    DepthwiseSizes sizes;
    sizes.c = 3;
    sizes.h = 5;
    sizes.w = 7;
    DepthwiseConvOptions options;
    options.pad_top = options.pad_left = options.pad_bottom = options.pad_right = 1 << 20;
    options.stride_h = options.stride_w = dilated ? 1 << 19 : 1 << 20;
    options.dilation_h = options.dilation_w = dilated ? 1 << 20 : 1;
    DepthwiseProblem problem = random_problem(random, DataType::float32, options, sizes);
    expect_near(cpu_result(problem), problem);
    add_gradient(random, problem);
    expect_near(cpu_gradients(problem), problem);
  }
}

TEST(CpuDepthwiseConvSpecial, AcceptsWhatIsEmpty) {
  Random random(56);
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    for (const bool no_images : {false, true}) {
      DepthwiseSizes sizes;
      sizes.n = no_images ? 0 : 2;
      sizes.c = 4;
      sizes.h = no_images ? 5 : 0;
      sizes.w = 6;
      DepthwiseConvOptions options;
      options.layout = layout;
      options.pad_top = 4;
      options.activation = Activation::silu;
      DepthwiseProblem problem = random_problem(random, DataType::float32, options, sizes);
      expect_near(cpu_result(problem), problem);
      add_gradient(random, problem);
      expect_near(cpu_gradients(problem), problem);
    }
  }
}

}  // namespace
}  // namespace cudet::test
