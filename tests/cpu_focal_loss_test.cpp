// The focal losses in the CPU mode: the device tests compare each of their cases with it too; here
// is what they do not ask of it.
#include "support/focal_problem.h"

#include "../src/cpu/focal_loops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace cudet::test {
namespace {

using cpu::FocalElements;
using cpu::FocalFormula;
using cpu::FocalLoops;
using cpu::RowLargest;

const std::vector<float> kGammas = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f};

TEST(CpuFocalLoss, SameBitsForAnyNumberOfThreads) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
    const SigmoidProblem problem = random_class_problem(random, DataType::float16, layout,
                                                        {{2, 3, 20, 40, 50}, {2, 3, 20, 20, 25}});
    const FocalResult expected = cpu_result(problem, 1);
    for (const int threads : {2, 3, 7})
      EXPECT_TRUE(same_bits(cpu_result(problem, threads), expected)) << threads << " threads";
  }
  for (const bool distribution : {false, true}) {
    const RowsProblem problem =
        random_rows_problem(random, DataType::float32, 5000, 17, distribution);
    const FocalResult expected = cpu_result(problem, 1);
    for (const int threads : {2, 3, 7})
      EXPECT_TRUE(same_bits(cpu_result(problem, threads), expected)) << threads << " threads";
  }
}

// Losses and gradients down to the range of float32, without an absolute tolerance.
TEST(CpuFocalLoss, EasyNegativesKeepRelativeAccuracy) {
  std::vector<float> logits;
  for (int i = 0; i < 1600; ++i)
    logits.push_back(-0.05f * static_cast<float>(i + 1));
  for (const float gamma : kGammas) {
    SigmoidProblem problem;
    problem.options.targets = FocalTargets::binary;
    problem.options.reduction = LossReduction::none;
    problem.options.gamma = gamma;
    problem.logits.push_back(HostTensor::of_reals(DataType::float32, {1600}, logits));
    problem.targets.push_back(
        HostTensor::of_integers(DataType::int32, {1600}, std::vector<std::int64_t>(1600, 0)));
    const FocalResult exact = reference_result(problem);
    const FocalResult got = cpu_result(problem);
    const Tolerance tolerance = {1e-37, 1e-5, 0.0, 0.0};
    EXPECT_TRUE(all_near(got.loss[0].reals(), exact.loss[0].reals(), tolerance)) << gamma;
    EXPECT_TRUE(all_near(got.gradient[0].reals(), exact.gradient[0].reals(), tolerance)) << gamma;
  }
}

/// One row of four elements, the third positive.
SigmoidProblem row_of_four(float gamma, const std::vector<float>& logits, std::int64_t target) {
  SigmoidProblem problem;
  problem.options.gamma = gamma;
  problem.options.reduction = LossReduction::none;
  problem.logits.push_back(HostTensor::of_reals(DataType::float32, {1, 4}, logits));
  problem.targets.push_back(HostTensor::of_integers(DataType::int32, {1}, {target}));
  return problem;
}

TEST(CpuFocalLoss, NanStaysWhereItIs) {
  for (const float gamma : kGammas) {
    const FocalResult result =
        cpu_result(row_of_four(gamma, {1.0f, std::nanf(""), std::nanf(""), -1.0f}, 2));
    for (std::size_t i = 0; i < 4; ++i) {
      const bool is_nan = i == 1 || i == 2;
      EXPECT_EQ(std::isnan(result.loss[0].real(i)), is_nan) << gamma << ", " << i;
      EXPECT_EQ(std::isnan(result.gradient[0].real(i)), is_nan) << gamma << ", " << i;
    }
    const SigmoidProblem ignored = row_of_four(gamma, std::vector<float>(4, std::nanf("")), -2);
    EXPECT_TRUE(same_bits(cpu_result(ignored), reference_result(ignored))) << gamma;
  }
}

TEST(CpuFocalLoss, InfiniteLogits) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float gamma : kGammas) {
    const SigmoidProblem right = row_of_four(gamma, {-infinity, -infinity, infinity, -infinity}, 2);
    const FocalResult result = cpu_result(right);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(result.loss[0].real(i), 0.0f) << gamma;
      EXPECT_EQ(result.gradient[0].real(i), 0.0f) << gamma;
    }
    const FocalResult wrong = cpu_result(row_of_four(gamma, {infinity, 0.0f, -infinity, 0.0f}, 2));
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}})
      EXPECT_FALSE(std::isfinite(wrong.loss[0].real(i))) << gamma;
  }
}

/// Arrays of a call of the loops, padded.
struct Arrays {
  explicit Arrays(std::int64_t count)
      : logits(padded(count)),
        targets(padded(count)),
        alpha(padded(count)),
        weights(padded(count)),
        upstream(padded(count)),
        losses(padded(count)),
        gradients(padded(count)) {}
  static std::size_t padded(std::int64_t count) {
    return static_cast<std::size_t>(count + cpu::kFocalPadding - 1);
  }
  FocalElements elements() {
    return {logits.data(),   targets.data(), alpha.data(),    weights.data(),
            upstream.data(), losses.data(),  gradients.data()};
  }
  std::vector<float> logits, targets, alpha, weights, upstream, losses, gradients;
};

enum class Instructions { x86_64_v3, x86_64_v4 };

class CpuFocalLoops : public testing::TestWithParam<Instructions> {
 protected:
  void SetUp() override {
    if (vector_loops_ == nullptr) GTEST_SKIP() << "this processor lacks the instructions";
  }
  const FocalLoops* vector_loops_ = GetParam() == Instructions::x86_64_v3
                                        ? cpu::x86_64_v3_focal_loops()
                                        : cpu::x86_64_v4_focal_loops();
  const FocalLoops& generic_ = cpu::kGenericFocalLoops;
  // The order of operations is the same, but for the rounding of products that are added.
  const Tolerance tolerance_ = {1e-6, 4e-6, 0.0, 0.0};
};

INSTANTIATE_TEST_SUITE_P(Instructions, CpuFocalLoops,
                         testing::Values(Instructions::x86_64_v3, Instructions::x86_64_v4));

TEST_P(CpuFocalLoops, ElementsAreThoseOfTheGenericLoops) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  for (const FocalKind kind : {FocalKind::focal, FocalKind::quality, FocalKind::varifocal}) {
    for (const float gamma : {0.0f, 1.0f, 1.5f, 2.0f}) {
      for (const std::int64_t count : {1, 7, 8, 9, 16, 17, 100}) {
        Arrays arrays(count);
        arrays.logits = random_logits(random, static_cast<std::int64_t>(arrays.logits.size()));
        for (std::size_t i = 0; i < arrays.logits.size(); ++i) {
          arrays.targets[i] = random.chance(0.5) ? 0.0f : random.uniform_float(0.0f, 1.0f);
          arrays.alpha[i] = 0.25f;
          arrays.weights[i] = arrays.upstream[i] = random.uniform_float(0.0f, 2.0f);
        }
        Arrays other = arrays;
        const FocalFormula formula = {kind, gamma, 0.1f, true};
        const double sum = vector_loops_->elements(formula, arrays.elements(), count);
        const double expected = generic_.elements(formula, other.elements(), count);
        EXPECT_TRUE(is_near(sum, expected, {1e-6, 1e-6, 0.0, 0.0}));
        arrays.losses.resize(static_cast<std::size_t>(count));
        other.losses.resize(static_cast<std::size_t>(count));
        arrays.gradients.resize(static_cast<std::size_t>(count));
        other.gradients.resize(static_cast<std::size_t>(count));
        EXPECT_TRUE(all_near(arrays.losses, other.losses, tolerance_)) << to_string(kind);
        EXPECT_TRUE(all_near(arrays.gradients, other.gradients, tolerance_)) << to_string(kind);
      }
    }
  }
}

TEST_P(CpuFocalLoops, RowsAreThoseOfTheGenericLoops) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t count : {1, 3, 8, 9, 81}) {
    std::vector<float> row = random_logits(random, count);
    row.push_back(row.front());  // a tie, the first of which counts
    const auto length = static_cast<std::int64_t>(row.size());
    row.resize(Arrays::padded(length), -INFINITY);
    std::vector<float> got(row.size());
    std::vector<float> expected(row.size());
    const RowLargest largest = vector_loops_->largest(row.data(), length);
    const RowLargest generic_largest = generic_.largest(row.data(), length);
    EXPECT_EQ(largest.value, generic_largest.value);
    EXPECT_EQ(largest.place, generic_largest.place);
    EXPECT_EQ(row[static_cast<std::size_t>(largest.place)], largest.value);
    EXPECT_LT(largest.place, length - 1);
    const double sum = vector_loops_->exponentials(row.data(), length, largest, got.data());
    const double generic_sum = generic_.exponentials(row.data(), length, largest, expected.data());
    EXPECT_TRUE(is_near(sum, generic_sum, {0.0, 1e-6, 0.0, 0.0}));
    EXPECT_EQ(got[static_cast<std::size_t>(largest.place)], 1.0f);
    vector_loops_->scale(got.data(), length, 0.5f);
    generic_.scale(expected.data(), length, 0.5f);
    got.resize(static_cast<std::size_t>(length));
    expected.resize(static_cast<std::size_t>(length));
    EXPECT_TRUE(all_near(got, expected, {1e-37, 4e-7, 0.0, 0.0}));
  }
}

}  // namespace
}  // namespace cudet::test
