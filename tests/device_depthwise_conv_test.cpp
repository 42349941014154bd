// The kernels of the depthwise convolution against its reference: every kernel on shapes round its
// tiles, with everything that may follow the convolution.
#include "support/device_depthwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

const std::vector<DepthwiseConvKernel> kKernels = {
    DepthwiseConvKernel::automatic, DepthwiseConvKernel::generic, DepthwiseConvKernel::rows,
    DepthwiseConvKernel::channels,  DepthwiseConvKernel::planes,  DepthwiseConvKernel::tiles};
const std::vector<DataType> kTypes = {DataType::float32, DataType::float16, DataType::bfloat16,
                                      DataType::int8};
const std::vector<Activation> kActivations = {
    Activation::none, Activation::relu,      Activation::relu6, Activation::leaky_relu,
    Activation::silu, Activation::hardswish, Activation::gelu};

bool takes(const DepthwiseProblem& problem) {
  DepthwiseConvKernel kernel;
  return depthwise_conv_kernel(problem.options, problem.input(), &kernel).ok();
}

std::string kernel_name(const testing::TestParamInfo<DepthwiseConvKernel>& info) {
  return to_string(info.param);
}

class DepthwiseConvKernels : public testing::TestWithParam<DepthwiseConvKernel> {};
INSTANTIATE_TEST_SUITE_P(Device, DepthwiseConvKernels, testing::ValuesIn(kKernels), kernel_name);

TEST_P(DepthwiseConvKernels, MatchTheOracle) {
  int taken = 0;
  for (const std::string& name : list_cases("depthwise")) {
    SCOPED_TRACE(name);
    const OracleCase oracle_case = load_case("depthwise", name);
    DepthwiseProblem problem = depthwise_problem_of(oracle_case);
    problem.options.kernel = GetParam();
    if (!takes(problem)) continue;
    ++taken;
    EXPECT_TRUE(all_near(device_result(problem).y.reals(), oracle_case.output("y").values<double>(),
                         oracle_case.tolerance("y")));
    if (!oracle_case.has_output("y_act") || !set_activation(oracle_case, problem.options)) continue;
    EXPECT_TRUE(all_near(device_result(problem).y.reals(),
                         oracle_case.output("y_act").values<double>(),
                         oracle_case.tolerance("y_act")));
  }
  EXPECT_GE(taken, 1);
}

/// Sizes that straddle the tiles of all kernels: 4 columns a thread, strips of 4 rows and more,
/// 128 threads a block.
std::vector<DepthwiseSizes> sizes_round_tiles(std::int64_t kernel) {
  std::vector<DepthwiseSizes> list;
  const auto add = [&](std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
    DepthwiseSizes sizes;
    sizes.n = n;
    sizes.c = c;
    sizes.h = h;
    sizes.w = w;
    sizes.kernel_h = sizes.kernel_w = kernel;
    list.push_back(sizes);
  };
  for (const std::int64_t w : {1, 2, 3, 4, 5, 7, 8, 9, 13, 28, 31, 32, 33})
    add(1, 2, 3, w);
  for (const std::int64_t h : {1, 2, 4, 5, 7, 8, 9, 17})
    add(1, 1, h, 12);
  add(2, 3, 14, 14);
  add(3, 5, 7, 7);
  add(1, 4, 6, 129);
  add(1, 1, 40, 132);
  add(2, 8, 9, 10);
  add(1, 36, 5, 6);
  add(1, 132, 3, 5);
  return list;
}

/// Calls visit(problem) for small kernels of both strides, layouts and paddings, where the kernel
/// takes them.
template <class Visit>
int for_each_shape(Random& random, DepthwiseConvKernel kernel, DataType type, Visit visit) {
  int taken = 0;
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    for (const std::int64_t size : {3, 5, 7}) {
      for (DepthwiseSizes sizes : sizes_round_tiles(size)) {
        // Mostly whole groups of four channels.
        if (layout == ImageLayout::nhwc && random.chance(0.8)) sizes.c *= 4;
        DepthwiseConvOptions options;
        options.layout = layout;
        options.kernel = kernel;
        options.stride_h = options.stride_w = random.integer(1, 2);
        options.activation = random.pick(kActivations);
        options = with_same_padding(options, sizes);
        // Often TensorFlow's padding, where that leaves room for the kernel, and sometimes more.
        const std::int64_t change = random.integer(-1, 4);
        const bool has_room = sizes.w + options.pad_left + options.pad_right > size;
        if (change == 1 && has_room && options.pad_left > 0) --options.pad_left;
        if (change == 2) options.pad_top += 2;
        if (change == 3) options.pad_right += 3;
        const DepthwiseProblem problem =
            random_problem(random, type, options, sizes, random.chance(0.7), random.chance(0.3));
        if (!takes(problem)) continue;
        ++taken;
        visit(problem);
      }
    }
  }
  return taken;
}

TEST_P(DepthwiseConvKernels, MatchTheReferenceRoundTheirTiles) {
  for (const DataType type : kTypes) {
    Random random(41);
    SCOPED_TRACE(to_string(type));
    SCOPED_TRACE(random.trace());
    SomeCases cases(static_cast<std::int64_t>(type));
    const int taken =
        for_each_shape(random, GetParam(), type, [&](const DepthwiseProblem& problem) {
          if (!cases.takes_next()) return;
          const auto steps = static_cast<std::size_t>(random.pick<std::int64_t>({0, 0, 1, 3}));
          DepthwiseOutputs outputs;
          outputs.pre_activation = type != DataType::int8 && random.chance(0.3);
          outputs.pool = random.chance(0.3);
          outputs.y = !outputs.pool || random.chance(0.7);
          outputs.y_type = random.chance(0.5) ? DataType::int8 : DataType::float32;
          expect_near(device_result(problem, outputs, steps), problem, outputs);
        });
    EXPECT_GE(taken, 20);
  }
}

TEST_P(DepthwiseConvKernels, TakeEveryActivation) {
  Random random(42);
  SCOPED_TRACE(random.trace());
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    for (const Activation activation : kActivations) {
      for (const DataType type : kTypes) {
        DepthwiseSizes sizes;
        sizes.c = 8;
        sizes.h = 6;
        sizes.w = 36;
        DepthwiseConvOptions options;
        options.layout = layout;
        options.activation = activation;
        options.negative_slope = 0.2f;
        options.output_scale = 0.02f;
        options.kernel = GetParam();
        DepthwiseProblem problem =
            random_problem(random, type, with_same_padding(options, sizes), sizes, true, true);
        // A wide range: every branch is taken, and int8 saturates.
        for (std::size_t i = 0; type != DataType::int8 && i < problem.x.count(); ++i)
          problem.x.set_real(i, 8.0f * problem.x.real(i));
        if (!takes(problem)) continue;
        DepthwiseOutputs outputs = {true, type != DataType::int8, true, DataType::int8,
                                    DataType::float32};
        expect_near(device_result(problem, outputs), problem, outputs);
      }
    }
  }
}

TEST_P(DepthwiseConvKernels, RunOnAnyStreamAndInGraphs) {
  Random random(43);
  int taken = 0;
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    DepthwiseSizes sizes;
    sizes.c = 4;
    sizes.h = 9;
    sizes.w = 40;
    DepthwiseConvOptions options;
    options.layout = layout;
    options.kernel = GetParam();
    const DepthwiseProblem problem = random_problem(
        random, DataType::float32, with_same_padding(options, sizes), sizes, true, true);
    if (!takes(problem)) continue;
    ++taken;
    const DepthwiseOutputs outputs = {true, true, true};
    DeviceDepthwise device(problem, outputs);
    for (const StreamMode mode : kStreamModes) {
      SCOPED_TRACE(to_string(mode));
      run_in_mode(
          mode, [&](cudaStream_t stream) { return device.enqueue(stream); },
          [&] { device.poison(); }, [&] { expect_near(device.download(), problem, outputs); });
    }
  }
  EXPECT_GE(taken, 1);
}

TEST_P(DepthwiseConvKernels, GiveTheSameBitsAgain) {
  Random random(44);
  for_each_shape(random, GetParam(), DataType::float16, [&](const DepthwiseProblem& problem) {
    const DepthwiseOutputs outputs = {true, false, true};
    const DepthwiseResult first = device_result(problem, outputs);
    const DepthwiseResult second = device_result(problem, outputs);
    EXPECT_TRUE(same_bits(first.y, second.y)) << problem.describe();
    EXPECT_TRUE(same_bits(first.pool, second.pool)) << problem.describe();
  });
}

TEST_P(DepthwiseConvKernels, LetNanReachItsWindowsAlone) {
  Random random(45);
  int taken = 0;
  for_each_shape(random, GetParam(), DataType::float32, [&](DepthwiseProblem problem) {
    if (problem.residual.present() || taken > 60) return;
    ++taken;
    const auto place = static_cast<std::size_t>(
        random.integer(0, static_cast<std::int64_t>(problem.x.count()) - 1));
    problem.x.set_real(place, std::numeric_limits<float>::quiet_NaN());
    const HostTensor expected = reference_result(problem).y;
    const HostTensor got = device_result(problem).y;
    for (std::size_t i = 0; i < got.count(); ++i) {
      ASSERT_EQ(std::isnan(got.real(i)), std::isnan(expected.real(i)))
          << i << " " << problem.describe();
    }
  });
  EXPECT_GE(taken, 10);
}

/// Shapes that no fast kernel takes: dilation, unequal sides, strides above 2, channel multipliers,
/// padding above the kernel.
TEST(DepthwiseConvDevice, TakesAnyShape) {
  Random random(46);
  SCOPED_TRACE(random.trace());
  for (int repeat = 0; repeat < scaled(150); ++repeat) {
    DepthwiseSizes sizes;
    sizes.n = random.integer(1, 3);
    sizes.c = random.integer(1, 9);
    sizes.h = random.integer(1, 20);
    sizes.w = random.integer(1, 40);
    sizes.kernel_h = random.integer(1, random.chance(0.2) ? 31 : 6);
    sizes.kernel_w = random.integer(1, random.chance(0.2) ? 31 : 6);
    sizes.multiplier = random.chance(0.5) ? 1 : random.integer(1, 4);
    DepthwiseConvOptions options;
    options.layout = random.chance(0.5) ? ImageLayout::nchw : ImageLayout::nhwc;
    options.stride_h = random.integer(1, 4);
    options.stride_w = random.chance(0.5) ? options.stride_h : random.integer(1, 4);
    options.dilation_h = random.chance(0.5) ? 1 : random.integer(1, 4);
    options.dilation_w = random.chance(0.5) ? options.dilation_h : random.integer(1, 3);
    options.activation = random.pick(kActivations);
    options = with_same_padding(options, sizes);
    options.pad_left += random.integer(0, 2);
    options.pad_top += random.chance(0.1) ? 40 : 0;
    options.pad_bottom += random.integer(0, 2);
    const DataType type = random.pick(kTypes);
    const DepthwiseProblem problem =
        random_problem(random, type, options, sizes, random.chance(0.7), random.chance(0.3));
    DepthwiseOutputs outputs;
    outputs.pool = random.chance(0.3);
    outputs.y_type = random.chance(0.5) ? DataType::int8 : DataType::float32;
    outputs.pool_type = type == DataType::int8 || random.chance(0.5) ? DataType::float32 : type;
    const auto steps = static_cast<std::size_t>(random.pick<std::int64_t>({0, 1, 5}));
    expect_near(device_result(problem, outputs, steps), problem, outputs);
  }
}

TEST(DepthwiseConvDevice, AcceptsEmptyBatches) {
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    Random random(47);
    DepthwiseConvOptions options;
    options.layout = layout;
    DepthwiseSizes sizes;
    sizes.h = sizes.w = 5;
    sizes.n = 0;
    sizes.c = 3;
    device_result(random_problem(random, DataType::float32, options, sizes), {true, true, true});
    sizes.n = 2;
    sizes.c = 0;
    device_result(random_problem(random, DataType::float32, options, sizes), {true, true, true});
  }
}

/// An image without rows or columns in enough padding: outputs are the activated bias.
TEST(DepthwiseConvDevice, AcceptsImagesOfPaddingAlone) {
  Random random(48);
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    DepthwiseSizes sizes;
    sizes.c = 4;
    sizes.h = 0;
    sizes.w = 30;
    DepthwiseConvOptions options;
    options.layout = layout;
    options.pad_top = 4;
    options.activation = Activation::silu;
    const DepthwiseProblem problem = random_problem(random, DataType::float16, options, sizes);
    expect_near(device_result(problem), problem);
  }
}

}  // namespace
}  // namespace cudet::test
