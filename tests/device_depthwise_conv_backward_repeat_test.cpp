// The gradients of the depthwise convolution have the same bits in every run, in whatever order
// blocks and threads take their turns, and wherever the images lie.
#include "support/device_depthwise.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <cstdint>

#if defined(CUDET_EMULATED)
#include "../cuda/emulation/device.h"
#endif

namespace cudet::test {
namespace {

constexpr ImageLayout kLayouts[] = {ImageLayout::nchw, ImageLayout::nhwc};

/// A problem whose sums many blocks share.
DepthwiseProblem shared_problem(ImageLayout layout, bool generic) {
  Random random(621);
  DepthwiseConvOptions options;
  options.layout = layout;
  if (generic) options.kernel = DepthwiseConvKernel::generic;
  options.activation = Activation::hardswish;
  const DepthwiseSizes sizes = {6, 3, 20, 24, 3, 3, 1};
  DepthwiseProblem problem =
      random_problem(random, DataType::float32, with_same_padding(options, sizes), sizes);
  add_gradient(random, problem);
  return problem;
}

void expect_same(const DepthwiseGradients& got, const DepthwiseGradients& expected) {
  EXPECT_TRUE(same_bits(got.grad_x, expected.grad_x));
  EXPECT_TRUE(same_bits(got.grad_weight, expected.grad_weight));
  EXPECT_TRUE(same_bits(got.grad_bias, expected.grad_bias));
}

TEST(DeviceDepthwiseBackwardRepeat, SameBitsInEveryRun) {
  for (const ImageLayout layout : kLayouts) {
    for (const bool generic : {false, true}) {
      const DepthwiseProblem problem = shared_problem(layout, generic);
      const DepthwiseGradients first = device_gradients(problem);
      expect_near(first, problem);
      for (int run = 0; run < 4; ++run)
        expect_same(device_gradients(problem), first);
    }
  }
}

TEST(DeviceDepthwiseBackwardRepeat, SameBitsInEveryMode) {
  for (const ImageLayout layout : kLayouts) {
    for (const bool generic : {false, true}) {
      const DepthwiseProblem problem = shared_problem(layout, generic);
      const DepthwiseGradients first = device_gradients(problem);
      DeviceDepthwiseBackward device(problem);
      for (const StreamMode mode : kStreamModes) {
        SCOPED_TRACE(to_string(mode));
        run_in_mode(
            mode, [&](cudaStream_t stream) { return device.enqueue(stream); },
            [&] { device.poison(); }, [&] { expect_same(device.download(), first); });
      }
    }
  }
}

#if defined(CUDET_EMULATED)

TEST(DeviceDepthwiseBackwardRepeat, SameBitsInEveryOrder) {
  for (const ImageLayout layout : kLayouts) {
    for (const bool generic : {false, true}) {
      const DepthwiseProblem problem = shared_problem(layout, generic);
      emulation::set_seed(0);
      const DepthwiseGradients natural = device_gradients(problem);
      SomeCases cases;
      for (std::uint64_t seed = 1; seed < 9; ++seed) {
        if (!cases.takes_next()) continue;
        emulation::set_seed(seed);
        expect_same(device_gradients(problem), natural);
      }
      emulation::set_seed(1);
    }
  }
}

#endif

}  // namespace
}  // namespace cudet::test
