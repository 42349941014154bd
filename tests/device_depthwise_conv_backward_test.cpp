// Gradients of the depthwise convolution on a device against the reference, every kernel on every
// kind of shape that it takes.
#include "support/device_depthwise.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

constexpr DataType kTypes[] = {DataType::float32, DataType::float16, DataType::bfloat16};
constexpr Activation kActivations[] = {Activation::relu,       Activation::relu6,
                                       Activation::leaky_relu, Activation::silu,
                                       Activation::hardswish,  Activation::gelu};

DepthwiseConvKernel window_kernel(ImageLayout layout) {
  return layout == ImageLayout::nchw ? DepthwiseConvKernel::rows : DepthwiseConvKernel::channels;
}

/// Device and reference agree on the gradients of random numbers.
void check(Random& random, DataType type, const DepthwiseConvOptions& options,
           const DepthwiseSizes& sizes, bool saved = false, const DepthwiseWanted& wanted = {},
           std::size_t offset_steps = 0) {
  DepthwiseProblem problem = random_problem(random, type, options, sizes);
  add_gradient(random, problem, saved);
  expect_near(device_gradients(problem, wanted, offset_steps), problem, wanted);
}

class DeviceDepthwiseBackwardOracle : public testing::TestWithParam<std::string> {};

TEST_P(DeviceDepthwiseBackwardOracle, Matches) {
  const OracleCase oracle_case = load_case("depthwise", GetParam());
  if (!oracle_case.has_output("grad_x")) {
    EXPECT_TRUE(oracle_case.has_output("y_act")) << "a case of an activation has no gradients";
    return;
  }
  DepthwiseProblem problem = depthwise_problem_of(oracle_case);
  for (const DepthwiseConvKernel kernel :
       {DepthwiseConvKernel::automatic, DepthwiseConvKernel::generic}) {
    SCOPED_TRACE(to_string(kernel));
    problem.options.kernel = kernel;
    const DepthwiseGradients gradients = device_gradients(problem);
    const auto expect_output = [&](const char* name, const HostTensor& got) {
      EXPECT_TRUE(all_near(got.reals(), oracle_case.output(name).values<double>(),
                           oracle_case.tolerance(name)))
          << name;
    };
    expect_output("grad_x", gradients.grad_x);
    expect_output("grad_w", gradients.grad_weight);
    if (oracle_case.has_output("grad_b")) expect_output("grad_b", gradients.grad_bias);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, DeviceDepthwiseBackwardOracle,
                         testing::ValuesIn(list_cases("depthwise")), case_test_name);

struct WindowCase {
  ImageLayout layout;
  int kernel, stride;
};

std::string window_test_name(const testing::TestParamInfo<WindowCase>& info) {
  return std::string(to_string(info.param.layout)) + "_k" + std::to_string(info.param.kernel) +
         "_s" + std::to_string(info.param.stride);
}

class DeviceDepthwiseBackwardWindow : public testing::TestWithParam<WindowCase> {
 protected:
  DepthwiseConvOptions options() const {
    DepthwiseConvOptions options;
    options.layout = GetParam().layout;
    options.stride_h = options.stride_w = GetParam().stride;
    options.kernel = window_kernel(options.layout);
    return options;
  }
  DepthwiseSizes sizes(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) const {
    return {n, c, h, w, GetParam().kernel, GetParam().kernel, 1};
  }
};

// Widths round the columns of a thread and of a vector, heights round the kernel and a strip.
TEST_P(DeviceDepthwiseBackwardWindow, AgreesRoundEveryTile) {
  Random random(601);
  SCOPED_TRACE(random.trace());
  int number = 0;
  SomeCases cases(GetParam().kernel + GetParam().stride);
  for (const std::int64_t w : {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 24, 33}) {
    for (const std::int64_t h : {1, 2, 3, 7, 8, 9, 14, 17}) {
      if (!cases.takes_next()) continue;
      const DepthwiseSizes size = sizes(1 + number % 3, 1 + number % 2 * 2, h, w);
      check(random, kTypes[number++ % 3], with_same_padding(options(), size), size);
    }
  }
}

TEST_P(DeviceDepthwiseBackwardWindow, AgreesWithEveryPadding) {
  Random random(602);
  SCOPED_TRACE(random.trace());
  const DepthwiseSizes size = sizes(2, 3, 12, 16);
  int number = 0;
  SomeCases cases(GetParam().kernel + GetParam().stride);
  for (const std::int64_t left : {0, 1, 2, 3, 4, 6, 9}) {
    for (const std::int64_t top : {0, 1, 3, 8}) {
      if (!cases.takes_next()) continue;
      DepthwiseConvOptions padded = options();
      padded.pad_left = left;
      padded.pad_top = top;
      padded.pad_right = number % 4;
      padded.pad_bottom = number % 5;
      check(random, kTypes[number++ % 3], padded, size);
    }
  }
}

TEST_P(DeviceDepthwiseBackwardWindow, AgreesWithManyChannelsAndStrips) {
  Random random(603);
  SCOPED_TRACE(random.trace());
  for (const DepthwiseSizes& size :
       {sizes(1, 70, 6, 8), sizes(1, 2, 61, 20), sizes(9, 33, 4, 4), sizes(1, 1, 130, 12)}) {
    check(random, DataType::float32, with_same_padding(options(), size), size);
  }
}

TEST_P(DeviceDepthwiseBackwardWindow, AgreesThroughEveryActivation) {
  Random random(604);
  SCOPED_TRACE(random.trace());
  int number = 0;
  for (const Activation activation : kActivations) {
    for (const bool saved : {false, true}) {
      for (const std::int64_t w : {11, 16}) {
        const DepthwiseSizes size = sizes(2, 3, 10, w);
        DepthwiseConvOptions activated = with_same_padding(options(), size);
        activated.activation = activation;
        activated.negative_slope = 0.2f;
        check(random, kTypes[number++ % 3], activated, size, saved);
      }
    }
  }
}

TEST_P(DeviceDepthwiseBackwardWindow, AgreesAtEveryOffset) {
  Random random(605);
  SCOPED_TRACE(random.trace());
  const DepthwiseSizes size = sizes(2, 2, 9, 16);
  for (const DataType type : kTypes) {
    for (std::size_t steps = 0; steps < 16 / static_cast<std::size_t>(size_of(type)); ++steps)
      check(random, type, with_same_padding(options(), size), size, false, {}, steps);
  }
}

std::vector<WindowCase> window_cases() {
  std::vector<WindowCase> cases;
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    for (const int kernel : {3, 5, 7}) {
      for (const int stride : {1, 2})
        cases.push_back({layout, kernel, stride});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Kernels, DeviceDepthwiseBackwardWindow, testing::ValuesIn(window_cases()),
                         window_test_name);

constexpr ImageLayout kLayouts[] = {ImageLayout::nchw, ImageLayout::nhwc};

TEST(DeviceDepthwiseBackward, GenericAgreesOnRandomShapes) {
  Random random(611);
  SCOPED_TRACE(random.trace());
  for (int number = 0; number < scaled(300); ++number) {
    DepthwiseConvOptions options;
    options.layout = kLayouts[number % 2];
    options.stride_h = random.integer(1, 4);
    options.stride_w = random.integer(1, 4);
    options.dilation_h = random.integer(1, 4);
    options.dilation_w = random.integer(1, 4);
    options.pad_top = random.integer(0, 5);
    options.pad_left = random.integer(0, 5);
    options.pad_bottom = random.integer(0, 5);
    options.pad_right = random.integer(0, 5);
    options.kernel = DepthwiseConvKernel::generic;
    const bool activated = random.chance(0.4);
    if (activated) options.activation = kActivations[random.integer(0, 5)];
    DepthwiseSizes sizes;
    sizes.n = random.integer(1, 3);
    sizes.c = random.integer(1, 5);
    sizes.multiplier = random.integer(1, 3);
    sizes.kernel_h = random.integer(1, 6);
    sizes.kernel_w = random.integer(1, 6);
    sizes.h = (sizes.kernel_h - 1) * options.dilation_h + random.integer(1, 12);
    sizes.w = (sizes.kernel_w - 1) * options.dilation_w + random.integer(1, 12);
    check(random, kTypes[number % 3], options, sizes, random.chance(0.5));
  }
}

TEST(DeviceDepthwiseBackward, GenericAgreesOnLargeKernels) {
  Random random(612);
  SCOPED_TRACE(random.trace());
  for (const ImageLayout layout : kLayouts) {
    for (const std::int64_t kernel : {13, 31}) {
      DepthwiseConvOptions options;
      options.layout = layout;
      DepthwiseSizes sizes = {1, 2, 14, 17, kernel, kernel, 1};
      check(random, DataType::float32, with_same_padding(options, sizes), sizes);
      sizes.kernel_h = 5;
      check(random, DataType::float32, with_same_padding(options, sizes), sizes);
    }
  }
}

TEST(DeviceDepthwiseBackward, WindowTakesAMultiplierForTheWeight) {
  Random random(613);
  SCOPED_TRACE(random.trace());
  for (const ImageLayout layout : kLayouts) {
    DepthwiseConvOptions options;
    options.layout = layout;
    const DepthwiseSizes sizes = {2, 12, 9, 12, 3, 3, 3};
    options = with_same_padding(options, sizes);
    check(random, DataType::float32, options, sizes);
    options.kernel = window_kernel(layout);
    check(random, DataType::float32, options, sizes, false, {false, true, true});
    DepthwiseProblem problem = random_problem(random, DataType::float32, options, sizes);
    add_gradient(random, problem);
    DepthwiseGradients gradients = make_gradients(problem);
    DepthwiseConvBackwardKernels kernels;
    const Status status = depthwise_conv_backward_kernels(options, problem.backward_input(),
                                                          gradients.output(), &kernels);
    EXPECT_EQ(status.code(), StatusCode::unsupported);
  }
}

TEST(DeviceDepthwiseBackward, EachGradientAlone) {
  Random random(614);
  SCOPED_TRACE(random.trace());
  for (const ImageLayout layout : kLayouts) {
    for (const DepthwiseConvKernel kernel : {window_kernel(layout), DepthwiseConvKernel::generic}) {
      for (const Activation activation : {Activation::none, Activation::silu}) {
        for (int outputs = 1; outputs < 8; ++outputs) {
          DepthwiseConvOptions options;
          options.layout = layout;
          options.kernel = kernel;
          options.activation = activation;
          const DepthwiseSizes sizes = {2, 3, 9, 8, 3, 3, 1};
          check(random, DataType::float16, with_same_padding(options, sizes), sizes,
                outputs % 2 == 0,
                {(outputs & 1) != 0, (outputs & 2) != 0, (outputs & 4) != 0,
                 outputs % 3 == 0 ? DataType::float16 : DataType::float32});
        }
      }
    }
  }
}

TEST(DeviceDepthwiseBackward, NothingToAdd) {
  Random random(615);
  for (const ImageLayout layout : kLayouts) {
    for (const DepthwiseConvKernel kernel : {window_kernel(layout), DepthwiseConvKernel::generic}) {
      for (const DepthwiseSizes& sizes :
           {DepthwiseSizes{0, 3, 9, 8, 3, 3, 1}, DepthwiseSizes{2, 0, 9, 8, 3, 3, 1},
            DepthwiseSizes{2, 3, 0, 8, 3, 3, 1}, DepthwiseSizes{2, 3, 9, 0, 3, 3, 1}}) {
        DepthwiseConvOptions options;
        options.layout = layout;
        options.kernel = kernel;
        options.pad_bottom = options.pad_right = 4;
        options.activation = Activation::relu;
        check(random, DataType::float32, options, sizes);
      }
    }
  }
}

/// <grad_output, conv x> is <grad_x, x> and <grad_weight, weight>.
TEST(DeviceDepthwiseBackward, IsAdjointToForward) {
  Random random(617);
  SCOPED_TRACE(random.trace());
  const auto product = [](const HostTensor& a, const HostTensor& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.count(); ++i)
      sum += static_cast<double>(a.real(i)) * static_cast<double>(b.real(i));
    return sum;
  };
  for (int number = 0; number < scaled(60); ++number) {
    DepthwiseConvOptions options;
    options.layout = kLayouts[number % 2];
    options.stride_h = options.stride_w = random.integer(1, 3);
    const std::int64_t kernel = random.integer(1, 7);
    const DepthwiseSizes sizes = {2,      3, random.integer(7, 20), random.integer(7, 20), kernel,
                                  kernel, 1};
    DepthwiseProblem problem =
        random_problem(random, DataType::float32, with_same_padding(options, sizes), sizes, false);
    add_gradient(random, problem);
    const double forward = product(problem.grad_output, reference_result(problem).y);
    const DepthwiseGradients gradients = device_gradients(problem);
    const double allowed = 1e-5 * static_cast<double>(problem.grad_output.count());
    EXPECT_NEAR(product(gradients.grad_x, problem.x), forward, allowed) << problem.describe();
    EXPECT_NEAR(product(gradients.grad_weight, problem.weight), forward, allowed)
        << problem.describe();
  }
}

}  // namespace
}  // namespace cudet::test
