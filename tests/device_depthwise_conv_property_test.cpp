// What holds of every depthwise convolution, whatever its numbers: it is linear in its input and in
// its weight, and has the same bits in whatever order blocks and threads take their turns.
#include "support/device_depthwise.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#if defined(CUDET_EMULATED)
#include "../cuda/emulation/device.h"
#endif

namespace cudet::test {
namespace {

constexpr DepthwiseConvKernel kKernels[] = {
    DepthwiseConvKernel::rows, DepthwiseConvKernel::planes, DepthwiseConvKernel::channels,
    DepthwiseConvKernel::tiles, DepthwiseConvKernel::generic};

/// A call that `kernel` takes, without bias, activation and residual.
DepthwiseProblem linear_problem(Random& random, DepthwiseConvKernel kernel) {
  DepthwiseConvOptions options;
  options.kernel = kernel;
  DepthwiseSizes sizes;
  sizes.n = 2;
  sizes.c = 8;
  sizes.h = 12;
  sizes.w = kernel == DepthwiseConvKernel::planes ? 12 : 36;
  if (kernel == DepthwiseConvKernel::channels) options.layout = ImageLayout::nhwc;
  if (kernel == DepthwiseConvKernel::tiles) sizes.kernel_h = sizes.kernel_w = 13;
  return random_problem(random, DataType::float32, with_same_padding(options, sizes), sizes, false);
}

/// a p + b q, element by element.
HostTensor combination(float a, const HostTensor& p, float b, const HostTensor& q) {
  std::vector<float> values(p.count());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = a * p.real(i) + b * q.real(i);
  return HostTensor::of_reals(p.type(), p.shape(), values);
}

/// Of sums of at most 13 x 13 products of numbers below 1 and 4 in size.
void expect_combination(const HostTensor& got, float a, const HostTensor& p, float b,
                        const HostTensor& q) {
  constexpr float kTolerance = 169 * 4 * 4e-7f;
  for (std::size_t i = 0; i < got.count(); ++i) {
    const float expected = a * p.real(i) + b * q.real(i);
    ASSERT_TRUE(std::fabs(got.real(i) - expected) <= kTolerance)
        << i << ": " << got.real(i) << " and " << expected;
  }
}

TEST(DepthwiseConvProperty, IsLinearInTheInput) {
  Random random(701);
  for (const DepthwiseConvKernel kernel : kKernels) {
    SCOPED_TRACE(to_string(kernel));
    const DepthwiseProblem first = linear_problem(random, kernel);
    DepthwiseProblem second = linear_problem(random, kernel);
    second.weight = first.weight;
    DepthwiseProblem both = first;
    both.x = combination(2.5f, first.x, -1.5f, second.x);
    expect_combination(device_result(both).y, 2.5f, device_result(first).y, -1.5f,
                       device_result(second).y);
  }
}

TEST(DepthwiseConvProperty, IsLinearInTheWeight) {
  Random random(702);
  for (const DepthwiseConvKernel kernel : kKernels) {
    SCOPED_TRACE(to_string(kernel));
    const DepthwiseProblem first = linear_problem(random, kernel);
    DepthwiseProblem second = linear_problem(random, kernel);
    second.x = first.x;
    DepthwiseProblem both = first;
    both.weight = combination(2.5f, first.weight, -1.5f, second.weight);
    expect_combination(device_result(both).y, 2.5f, device_result(first).y, -1.5f,
                       device_result(second).y);
  }
}

#if defined(CUDET_EMULATED)

TEST(DepthwiseConvProperty, SameBitsInEveryOrder) {
  Random random(703);
  const DepthwiseOutputs outputs = {true, false, true};
  for (const DepthwiseConvKernel kernel : kKernels) {
    SCOPED_TRACE(to_string(kernel));
    const DepthwiseProblem problem = linear_problem(random, kernel);
    emulation::set_seed(0);
    const DepthwiseResult natural = device_result(problem, outputs);
    SomeCases cases;
    for (std::uint64_t seed = 1; seed < 7; ++seed) {
      if (!cases.takes_next()) continue;
      emulation::set_seed(seed);
      const DepthwiseResult other = device_result(problem, outputs);
      EXPECT_TRUE(same_bits(other.y, natural.y)) << "seed " << seed;
      EXPECT_TRUE(same_bits(other.pool, natural.pool)) << "seed " << seed;
    }
    emulation::set_seed(1);
  }
}

#endif

}  // namespace
}  // namespace cudet::test
