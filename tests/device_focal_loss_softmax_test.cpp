// softmax_focal_loss() and distribution_focal_loss() on a device against the reference.
#include "support/device_focal.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

const std::vector<DataType> kTypes = {DataType::float32, DataType::float16, DataType::bfloat16};
const std::vector<float> kGammas = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f};
const std::vector<LossReduction> kReductions = {LossReduction::none, LossReduction::sum,
                                                LossReduction::mean, LossReduction::normalised};

HostTensor random_reals(Random& random, std::int64_t count, float low, float high) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(random.uniform_float(low, high));
  return HostTensor::of_reals(DataType::float32, {count}, values);
}

void set_reduction(Random& random, RowsProblem& problem, LossReduction reduction) {
  problem.options.reduction = reduction;
  problem.normaliser = HostTensor();
  if (reduction == LossReduction::normalised) {
    problem.normaliser = HostTensor::of_reals(DataType::float32, {1}, {7.25f});
  }
  const bool by_row = reduction == LossReduction::none;
  problem.grad_output = random_reals(random, by_row ? problem.logits.shape()[0] : 1, -2.0f, 2.0f);
}

class DeviceSoftmaxFocalLoss : public testing::TestWithParam<DataType> {};

INSTANTIATE_TEST_SUITE_P(Types, DeviceSoftmaxFocalLoss, testing::ValuesIn(kTypes),
                         [](const testing::TestParamInfo<DataType>& parameter) {
                           return std::string(to_string(parameter.param));
                         });

// One to 32 lanes share a row; rows of more than 6 kB do not fit in shared memory.
TEST_P(DeviceSoftmaxFocalLoss, RowsOfAllSizes) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t classes :
       {1,  2,  3,  4,  8,   15,  16,  17,  21,  31,  32,   33,   34,   63,   64,   66,
        67, 81, 84, 85, 128, 255, 256, 511, 512, 999, 1000, 1024, 1056, 1057, 1535, 1536}) {
    for (const std::int64_t rows : {1, 5}) {
      RowsProblem problem = random_rows_problem(random, GetParam(), rows, classes);
      problem.options.gamma = random.pick(kGammas);
      set_reduction(random, problem, random.pick(kReductions));
      expect_like_reference(problem);
      problem.options.label_smoothing = 0.1f;
      expect_like_reference(problem);
    }
  }
}

TEST_P(DeviceSoftmaxFocalLoss, EdgesOfTiles) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t rows : {7, 8, 9, 31, 32, 33, 63, 64, 65, 255, 256, 257}) {
    for (const std::int64_t classes : {4, 32, 81, 128, 520}) {
      if (classes > 100 && rows > 40) continue;
      expect_like_reference(random_rows_problem(random, GetParam(), rows, classes));
    }
  }
}

TEST_P(DeviceSoftmaxFocalLoss, LongRows) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t classes : {1537, 3100}) {
    for (const float smoothing : {0.0f, 0.1f}) {
      RowsProblem problem = random_rows_problem(random, GetParam(), 9, classes);
      problem.options.label_smoothing = smoothing;
      expect_like_reference(problem);
    }
    expect_like_reference(random_rows_problem(random, GetParam(), 9, classes, true));
  }
}

TEST_P(DeviceSoftmaxFocalLoss, AllOptions) {
  Random random(4);
  SCOPED_TRACE(random.trace());
  for (const float gamma : kGammas) {
    for (const float smoothing : {0.0f, 0.1f, 1.0f}) {
      for (const LossReduction reduction : kReductions) {
        RowsProblem problem = random_rows_problem(random, GetParam(), 40, 21);
        problem.options.gamma = gamma;
        problem.options.label_smoothing = smoothing;
        problem.options.grad_scale = 64.0f;
        set_reduction(random, problem, reduction);
        expect_like_reference(problem);
        problem.class_weights = random_reals(random, 21, 0.0f, 2.0f);
        problem.row_weights = random_reals(random, 40, 0.0f, 2.0f);
        expect_like_reference(problem);
      }
    }
  }
}

TEST_P(DeviceSoftmaxFocalLoss, Distribution) {
  Random random(5);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t bins : {2, 3, 8, 16, 17, 33, 200}) {
    for (const LossReduction reduction : kReductions) {
      RowsProblem problem = random_rows_problem(random, GetParam(), 70, bins, true);
      set_reduction(random, problem, reduction);
      expect_like_reference(problem);
      problem.row_weights = random_reals(random, 70, 0.0f, 2.0f);
      expect_like_reference(problem);
    }
  }
}

TEST_P(DeviceSoftmaxFocalLoss, EachOutputAlone) {
  Random random(6);
  SCOPED_TRACE(random.trace());
  RowsProblem problem = random_rows_problem(random, GetParam(), 45, 81);
  const FocalResult all = device_result(problem);
  for (const int wanted : {1, 2, 4, 3, 5, 6}) {
    problem.want_loss = (wanted & 1) != 0;
    problem.want_gradient = (wanted & 2) != 0;
    problem.want_count = (wanted & 4) != 0;
    FocalResult expected;
    if (problem.want_loss) expected.loss = all.loss;
    if (problem.want_gradient) expected.gradient = all.gradient;
    if (problem.want_count) expected.count = all.count;
    EXPECT_TRUE(same_bits(device_result(problem), expected)) << wanted;
  }
}

TEST_P(DeviceSoftmaxFocalLoss, AnyByteOffset) {
  Random random(7);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t classes : {64, 81}) {
    RowsProblem problem = random_rows_problem(random, GetParam(), 45, classes);
    set_reduction(random, problem, LossReduction::none);
    const FocalResult expected = device_result(problem);
    for (std::size_t steps = 1; steps < 9; ++steps) {
      EXPECT_TRUE(same_bits(device_result(problem, steps), expected))
          << classes << " classes, " << steps << " elements";
    }
  }
}

TEST_P(DeviceSoftmaxFocalLoss, EveryStreamMode) {
  Random random(8);
  SCOPED_TRACE(random.trace());
  for (const bool distribution : {false, true}) {
    RowsProblem problem = random_rows_problem(random, GetParam(), 70, 33, distribution);
    set_reduction(random, problem, LossReduction::normalised);
    const FocalResult exact = reference_result(problem, true);
    for (const StreamMode mode : kStreamModes) {
      DeviceFocal device(problem);
      run_in_mode(
          mode, [&](cudaStream_t stream) { return device.enqueue(stream); },
          [&] { device.poison(); },
          [&] {
            expect_near(device.download(), exact, problem.options.reduction, GetParam(),
                        gradient_factor(problem), problem.describe());
          });
    }
  }
}

TEST_P(DeviceSoftmaxFocalLoss, NoRows) {
  for (const bool distribution : {false, true}) {
    RowsProblem problem;
    problem.distribution = distribution;
    problem.options.reduction = LossReduction::mean;
    problem.logits = HostTensor(GetParam(), {0, 17});
    problem.targets = HostTensor(distribution ? DataType::float32 : DataType::int64, {0});
    const FocalResult result = device_result(problem);
    EXPECT_EQ(result.loss[0].real(0), 0.0f);
    if (!distribution) {
      EXPECT_EQ(result.count.integer(0), 0);
    }
  }
}

TEST_P(DeviceSoftmaxFocalLoss, FiniteForExtremeLogits) {
  const float half_range = GetParam() == DataType::float16 ? 65504.0f : 1.5e38f;
  for (const float extreme : {88.0f, 100.0f, 1000.0f, half_range}) {
    for (const float gamma : kGammas) {
      for (const float smoothing : {0.0f, 0.1f}) {
        RowsProblem problem;
        problem.options.gamma = gamma;
        problem.options.label_smoothing = smoothing;
        problem.options.reduction = LossReduction::none;
        problem.logits = HostTensor::of_reals(
            GetParam(), {6, 3},
            {extreme, -extreme, 0.0f, extreme, -extreme, 0.0f, extreme, -extreme, 0.0f,  //
             extreme, extreme, 0.0f, 0.0f, 0.0f, 0.0f, -extreme, -extreme, -extreme});
        problem.targets = HostTensor::of_integers(DataType::int32, {6}, {0, 1, 2, 0, 1, 2});
        const FocalResult result = device_result(problem);
        for (std::size_t i = 0; i < 6; ++i)
          EXPECT_TRUE(std::isfinite(result.loss[0].real(i))) << problem.describe();
        for (std::size_t i = 0; i < 18; ++i)
          EXPECT_TRUE(std::isfinite(result.gradient[0].real(i))) << problem.describe();
        expect_like_reference(problem);
      }
    }
  }
}

TEST(DeviceSoftmaxFocalLossSpecial, NanStaysInItsRow) {
  Random random(9);
  for (const bool distribution : {false, true}) {
    RowsProblem problem = random_rows_problem(random, DataType::float32, 6, 17, distribution);
    problem.options.reduction = LossReduction::none;
    if (!distribution) {
      problem.targets = HostTensor::of_integers(DataType::int32, {6}, {0, 1, 2, 3, 4, 5});
    }
    const FocalResult clean = device_result(problem);
    if (distribution) {
      problem.targets.set_real(3, std::nanf(""));
    } else {
      problem.logits.set_real(3 * 17 + 8, std::nanf(""));
    }
    const FocalResult result = device_result(problem);
    for (std::size_t row = 0; row < 6; ++row) {
      EXPECT_EQ(std::isnan(result.loss[0].real(row)), row == 3);
      for (std::size_t c = 0; c < 17; ++c) {
        const float gradient = result.gradient[0].real(17 * row + c);
        EXPECT_EQ(std::isnan(gradient), row == 3);
        if (row != 3) {
          EXPECT_EQ(gradient, clean.gradient[0].real(17 * row + c));
        }
      }
    }
  }
}

TEST(DeviceSoftmaxFocalLossSpecial, MinusInfinityIsAnImpossibleClass) {
  const float infinity = std::numeric_limits<float>::infinity();
  RowsProblem problem;
  problem.logits = HostTensor::of_reals(DataType::float32, {2, 4},
                                        {1.0f, -infinity, 2.0f, 0.5f, 0.0f, 0.0f, -infinity, 3.0f});
  problem.targets = HostTensor::of_integers(DataType::int32, {2}, {0, 3});
  problem.options.reduction = LossReduction::none;
  expect_like_reference(problem);
  const FocalResult result = device_result(problem);
  EXPECT_TRUE(std::isfinite(result.loss[0].real(0)));
  EXPECT_EQ(result.gradient[0].real(1), 0.0f);
}

}  // namespace
}  // namespace cudet::test
