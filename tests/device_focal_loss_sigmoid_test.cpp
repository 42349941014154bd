// sigmoid_focal_loss() on a device against the reference.
#include "support/device_focal.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace cudet::test {
namespace {

const std::vector<DataType> kTypes = {DataType::float32, DataType::float16, DataType::bfloat16};
const std::vector<float> kGammas = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f};
const std::vector<LossReduction> kReductions = {LossReduction::none, LossReduction::sum,
                                                LossReduction::mean, LossReduction::normalised};

HostTensor scalar(float value) {
  return HostTensor::of_reals(DataType::float32, {1}, {value});
}

std::vector<float> uniform_numbers(Random& random, std::size_t count, float low, float high) {
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i)
    values.push_back(random.uniform_float(low, high));
  return values;
}

/// Adds what the reduction needs, and an upstream gradient.
void set_reduction(Random& random, SigmoidProblem& problem, LossReduction reduction) {
  problem.options.reduction = reduction;
  problem.normaliser = HostTensor();
  problem.grad_output.clear();
  if (reduction == LossReduction::normalised) problem.normaliser = scalar(37.5f);
  if (reduction != LossReduction::none) {
    problem.grad_output.push_back(scalar(-1.75f));
    return;
  }
  const DataType type = random.pick(kTypes);
  for (const HostTensor& logits : problem.logits) {
    problem.grad_output.push_back(HostTensor::of_reals(
        type, logits.shape(), uniform_numbers(random, logits.count(), -2.0f, 2.0f)));
  }
}

void add_row_weights(Random& random, SigmoidProblem& problem) {
  problem.row_weights.clear();
  for (const HostTensor& targets : problem.targets) {
    problem.row_weights.push_back(HostTensor::of_reals(
        DataType::float32, targets.shape(), uniform_numbers(random, targets.count(), 0.0f, 2.0f)));
  }
}

class DeviceSigmoidFocalLoss : public testing::TestWithParam<DataType> {};

INSTANTIATE_TEST_SUITE_P(Types, DeviceSigmoidFocalLoss, testing::ValuesIn(kTypes),
                         [](const testing::TestParamInfo<DataType>& parameter) {
                           return std::string(to_string(parameter.param));
                         });

// A vector has 4 or 8 elements, which may end a row.
TEST_P(DeviceSigmoidFocalLoss, RowsOfAllSizes) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t classes : {1, 2, 3, 4, 7, 8, 9, 20, 80, 91, 1030}) {
    for (const std::int64_t rows : {1, 2, 13, 103}) {
      SigmoidProblem problem =
          random_class_problem(random, GetParam(), FocalLayout::rows, {{1, 1, classes, 1, rows}});
      problem.options.gamma = random.pick(kGammas);
      expect_like_reference(problem);
    }
  }
}

// A chunk has 2048 elements, a block 8 chunks.
TEST_P(DeviceSigmoidFocalLoss, EdgesOfChunksAndBlocks) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t elements : {2047, 2048, 2049, 2056, 16383, 16384, 16392}) {
    SigmoidProblem problem =
        random_class_problem(random, GetParam(), FocalLayout::rows, {{1, 1, elements, 1, 1}});
    expect_like_reference(problem);
    // All background: the path without questions.
    problem.targets[0] =
        HostTensor::of_integers(DataType::int32, {1, 1}, std::vector<std::int64_t>{-1});
    expect_like_reference(problem);
  }
}

TEST_P(DeviceSigmoidFocalLoss, HeadsOfAllSizes) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  const std::vector<LevelShape> shapes = {{1, 1, 1, 1, 1},   {1, 1, 80, 5, 7},   {2, 3, 17, 8, 16},
                                          {1, 9, 4, 9, 15},  {2, 1, 16, 10, 13}, {1, 2, 33, 4, 33},
                                          {1, 1, 91, 1, 4},  {3, 1, 2, 16, 24},  {2, 1, 37, 10, 10},
                                          {1, 1, 300, 3, 8}, {1, 2, 9, 20, 14}};
  for (const LevelShape& shape : shapes) {
    SigmoidProblem problem = random_class_problem(random, GetParam(), FocalLayout::head, {shape});
    problem.options.gamma = random.pick(kGammas);
    expect_like_reference(problem);
    add_row_weights(random, problem);  // the kernel for all options
    expect_like_reference(problem);
  }
}

TEST_P(DeviceSigmoidFocalLoss, SeveralLevels) {
  Random random(4);
  SCOPED_TRACE(random.trace());
  for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
    for (const bool weighted : {false, true}) {
      SigmoidProblem problem = random_class_problem(random, GetParam(), layout,
                                                    {{2, 3, 20, 12, 16},
                                                     {2, 3, 20, 6, 8},
                                                     {2, 3, 20, 3, 5},
                                                     {2, 3, 20, 0, 4},
                                                     {2, 3, 20, 2, 2},
                                                     {2, 3, 20, 1, 1}});
      if (weighted) add_row_weights(random, problem);
      for (const LossReduction reduction : kReductions) {
        set_reduction(random, problem, reduction);
        expect_like_reference(problem);
      }
    }
  }
}

TEST_P(DeviceSigmoidFocalLoss, OptionsOfClassTargets) {
  Random random(5);
  SCOPED_TRACE(random.trace());
  for (const float gamma : kGammas) {
    for (const float alpha : {SigmoidFocalLossOptions::kNoAlpha, 0.0f, 0.25f, 1.0f}) {
      SigmoidProblem problem =
          random_class_problem(random, GetParam(), FocalLayout::rows, {{2, 1, 20, 1, 40}}, 0.3);
      problem.options.gamma = gamma;
      problem.options.alpha = alpha;
      problem.options.background_index = 3;
      problem.options.grad_scale = 128.0f;
      set_reduction(random, problem, random.pick(kReductions));
      expect_like_reference(problem);
      problem.options.label_smoothing = 0.1f;
      expect_like_reference(problem);
      add_row_weights(random, problem);
      expect_like_reference(problem);
      problem.class_alpha =
          HostTensor::of_reals(DataType::float32, {20}, uniform_numbers(random, 20, 0.0f, 1.0f));
      expect_like_reference(problem);
    }
  }
}

SigmoidProblem dense_problem(Random& random, DataType type, FocalLayout layout) {
  SigmoidProblem problem;
  problem.options.targets = FocalTargets::dense;
  problem.options.layout = layout;
  const std::vector<std::int64_t> shape = layout == FocalLayout::head
                                              ? std::vector<std::int64_t>{2, 12, 5, 9}
                                              : std::vector<std::int64_t>{45, 24};
  const std::vector<float> logits = random_logits(random, 45 * 24);
  std::vector<float> targets;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    float t = random.chance(0.5) ? 0.0f : random.uniform_float(0.0f, 1.0f);
    if (random.chance(0.1)) t = 1.0f;
    if (random.chance(0.05)) t = 0.5f;
    targets.push_back(t);
  }
  problem.logits.push_back(HostTensor::of_reals(type, shape, logits));
  problem.targets.push_back(HostTensor::of_reals(random.pick(kTypes), shape, targets));
  return problem;
}

TEST_P(DeviceSigmoidFocalLoss, DenseTargets) {
  Random random(6);
  SCOPED_TRACE(random.trace());
  for (const FocalKind kind : {FocalKind::focal, FocalKind::quality, FocalKind::varifocal}) {
    for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
      for (const float gamma : kGammas) {
        if (kind == FocalKind::quality && gamma == 0.5f) continue;
        SigmoidProblem problem = dense_problem(random, GetParam(), layout);
        problem.options.kind = kind;
        problem.options.gamma = gamma;
        problem.options.alpha = random.pick(std::vector<float>{-1.0f, 0.25f, 0.75f});
        set_reduction(random, problem, random.pick(kReductions));
        expect_like_reference(problem);
        const std::vector<std::int64_t> row_shape = layout == FocalLayout::head
                                                        ? std::vector<std::int64_t>{2, 3, 5, 9}
                                                        : std::vector<std::int64_t>{45};
        const std::size_t rows = layout == FocalLayout::head ? 270 : 45;
        const std::size_t classes = layout == FocalLayout::head ? 4 : 24;
        problem.row_weights = {HostTensor::of_reals(DataType::float32, row_shape,
                                                    uniform_numbers(random, rows, 0.0f, 2.0f))};
        problem.class_alpha =
            HostTensor::of_reals(DataType::float32, {static_cast<std::int64_t>(classes)},
                                 uniform_numbers(random, classes, 0.0f, 1.0f));
        if (kind == FocalKind::focal) problem.options.label_smoothing = 0.2f;
        expect_like_reference(problem);
      }
    }
  }
}

TEST_P(DeviceSigmoidFocalLoss, BinaryTargets) {
  Random random(7);
  SCOPED_TRACE(random.trace());
  for (const DataType target_type : {DataType::int32, DataType::int64, DataType::uint8}) {
    SigmoidProblem problem;
    problem.options.targets = FocalTargets::binary;
    const std::vector<float> logits = random_logits(random, 1500);
    std::vector<std::int64_t> targets;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      targets.push_back(target_type == DataType::uint8 ? random.integer(0, 1)
                                                       : random.integer(-2, 1));
    }
    problem.logits.push_back(HostTensor::of_reals(GetParam(), {1500}, logits));
    problem.targets.push_back(HostTensor::of_integers(target_type, {1500}, targets));
    for (const LossReduction reduction : kReductions) {
      set_reduction(random, problem, reduction);
      expect_like_reference(problem);
    }
  }
}

TEST_P(DeviceSigmoidFocalLoss, EachOutputAlone) {
  Random random(8);
  SCOPED_TRACE(random.trace());
  for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
    SigmoidProblem problem =
        random_class_problem(random, GetParam(), layout, {{2, 2, 20, 6, 8}, {2, 2, 20, 3, 5}});
    const FocalResult all = device_result(problem);
    for (const int wanted : {1, 2, 4, 3, 5, 6}) {
      problem.want_loss = (wanted & 1) != 0;
      problem.want_gradient = (wanted & 2) != 0;
      problem.want_positives = (wanted & 4) != 0;
      FocalResult expected;
      if (problem.want_loss) expected.loss = all.loss;
      if (problem.want_gradient) expected.gradient = all.gradient;
      if (problem.want_positives) expected.count = all.count;
      EXPECT_TRUE(same_bits(device_result(problem), expected)) << wanted;
    }
  }
}

// Offsets of 0 ... 15 bytes and more; results do not depend on them.
TEST_P(DeviceSigmoidFocalLoss, AnyByteOffset) {
  Random random(9);
  SCOPED_TRACE(random.trace());
  for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
    // Tiles with positives and without them; planes that begin at whole vectors, at halves,
    // anywhere.
    for (const LevelShape& shape :
         {LevelShape{1, 2, 20, 8, 16}, {1, 2, 20, 10, 10}, {1, 2, 20, 7, 9}}) {
      for (const double positives : {0.0, 0.02}) {
        SigmoidProblem problem =
            random_class_problem(random, GetParam(), layout, {shape}, positives);
        set_reduction(random, problem, LossReduction::normalised);
        const FocalResult expected = device_result(problem);
        for (std::size_t steps = 1; steps < 9; ++steps) {
          EXPECT_TRUE(same_bits(device_result(problem, steps), expected)) << steps << " elements";
        }
      }
    }
  }
}

// Few positives and few ignored rows, as in training: most tiles of a head then have none of them,
// some only one kind.
TEST_P(DeviceSigmoidFocalLoss, FewMarks) {
  Random random(12);
  SCOPED_TRACE(random.trace());
  for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
    for (const double ignored : {0.0, 0.002}) {
      for (const LevelShape& shape : {LevelShape{1, 1, 40, 24, 32}, {1, 1, 40, 18, 22}}) {
        SigmoidProblem problem =
            random_class_problem(random, GetParam(), layout, {shape}, 0.002, ignored);
        expect_like_reference(problem);
        problem.want_gradient = false;
        expect_like_reference(problem);
      }
    }
  }
}

TEST_P(DeviceSigmoidFocalLoss, LossesInTheTypeOfTheLogits) {
  Random random(10);
  SCOPED_TRACE(random.trace());
  SigmoidProblem problem =
      random_class_problem(random, GetParam(), FocalLayout::rows, {{1, 1, 20, 1, 70}});
  problem.options.reduction = LossReduction::none;
  problem.loss_type = GetParam();
  expect_like_reference(problem);
}

TEST_P(DeviceSigmoidFocalLoss, EveryStreamMode) {
  Random random(11);
  SCOPED_TRACE(random.trace());
  SigmoidProblem problem = random_class_problem(random, GetParam(), FocalLayout::rows,
                                                {{2, 1, 80, 1, 70}, {2, 1, 80, 1, 20}});
  set_reduction(random, problem, LossReduction::normalised);
  const FocalResult exact = reference_result(problem, true);
  for (const StreamMode mode : kStreamModes) {
    DeviceFocal device(problem);
    run_in_mode(
        mode, [&](cudaStream_t stream) { return device.enqueue(stream); }, [&] { device.poison(); },
        [&] {
          expect_near(device.download(), exact, problem.options.reduction, problem.type(),
                      gradient_factor(problem), problem.describe());
        });
  }
}

TEST_P(DeviceSigmoidFocalLoss, GraphOnOtherLogits) {
  Random random(12);
  SCOPED_TRACE(random.trace());
  SigmoidProblem problem =
      random_class_problem(random, GetParam(), FocalLayout::rows, {{1, 1, 80, 1, 40}});
  DeviceFocal device(problem);
  Graph graph([&](cudaStream_t stream) { return device.enqueue(stream); });
  for (int replay = 0; replay < 3; ++replay) {
    problem.logits[0] =
        HostTensor::of_reals(GetParam(), problem.logits[0].shape(), random_logits(random, 40 * 80));
    device.upload_logits(problem.logits);
    device.poison();
    graph.launch();
    expect_near(device.download(), reference_result(problem, true), problem.options.reduction,
                problem.type(), gradient_factor(problem), problem.describe());
  }
}

TEST_P(DeviceSigmoidFocalLoss, NoElements) {
  for (const std::int64_t rows : {0, 5}) {
    SigmoidProblem problem;
    const std::int64_t classes = rows == 0 ? 80 : 0;
    problem.logits.push_back(HostTensor(GetParam(), {rows, classes}));
    problem.targets.push_back(HostTensor::of_integers(
        DataType::int32, {rows}, std::vector<std::int64_t>(static_cast<std::size_t>(rows), 0)));
    problem.options.reduction = LossReduction::mean;
    const FocalResult result = device_result(problem);
    EXPECT_EQ(result.loss[0].real(0), 0.0f);
    EXPECT_EQ(result.count.integer(0), 0);
  }
}

// Normalisers below 1, and NaN, count as 1.
TEST_P(DeviceSigmoidFocalLoss, NormaliserIsAtLeastOne) {
  Random random(13);
  SCOPED_TRACE(random.trace());
  SigmoidProblem problem =
      random_class_problem(random, GetParam(), FocalLayout::rows, {{1, 1, 80, 1, 20}});
  const FocalResult sum = device_result(problem);
  problem.options.reduction = LossReduction::normalised;
  for (const float normaliser : {0.0f, 0.5f, 1.0f, -3.0f, std::nanf("")}) {
    problem.normaliser = scalar(normaliser);
    EXPECT_TRUE(same_bits(device_result(problem), sum)) << normaliser;
  }
}

/// Finite extremes of a type, and of every kind that is special to the kernels.
std::vector<float> extreme_logits(DataType type) {
  const float largest = type == DataType::float32   ? std::numeric_limits<float>::max()
                        : type == DataType::float16 ? 65504.0f
                                                    : 3.38953139e38f;
  std::vector<float> logits;
  for (const float x : {0.0f, 1e-30f, 8.33f, 17.4f, 87.0f, 88.5f, 89.0f, 100.0f, 104.0f, 1000.0f,
                        65504.0f, largest}) {
    logits.push_back(x);
    logits.push_back(-x);
  }
  return logits;
}

TEST_P(DeviceSigmoidFocalLoss, FiniteForExtremeLogits) {
  const std::vector<float> logits = extreme_logits(GetParam());
  const auto n = static_cast<std::int64_t>(logits.size());
  for (const float gamma : kGammas) {
    for (const float smoothing : {0.0f, 0.1f}) {
      for (const std::int64_t target : {0, 1}) {
        SigmoidProblem problem;
        problem.options.targets = FocalTargets::binary;
        problem.options.gamma = gamma;
        problem.options.label_smoothing = smoothing;
        problem.options.reduction = LossReduction::none;
        problem.logits.push_back(HostTensor::of_reals(GetParam(), {n}, logits));
        problem.targets.push_back(HostTensor::of_integers(
            DataType::int32, {n}, std::vector<std::int64_t>(logits.size(), target)));
        const FocalResult result = device_result(problem);
        for (std::size_t i = 0; i < logits.size(); ++i) {
          EXPECT_TRUE(std::isfinite(result.loss[0].real(i)) && result.loss[0].real(i) >= 0.0f)
              << logits[i] << ", " << problem.describe();
          EXPECT_TRUE(std::isfinite(result.gradient[0].real(i)))
              << logits[i] << ", " << problem.describe();
        }
        expect_like_reference(problem);
      }
    }
  }
}

// The kernels for usual options, which sum: rows of one logit, so that sums stay in range.
TEST_P(DeviceSigmoidFocalLoss, GradientsOfExtremeLogitsInAllKernels) {
  for (const float logit : extreme_logits(GetParam())) {
    for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
      for (const float gamma : {0.0f, 0.5f, 2.0f}) {
        Random random(14);
        SigmoidProblem problem =
            random_class_problem(random, GetParam(), layout, {{1, 1, 16, 1, 4}}, 0.5);
        problem.options.gamma = gamma;
        problem.logits[0] = HostTensor::of_reals(GetParam(), problem.logits[0].shape(),
                                                 std::vector<float>(64, logit));
        problem.want_loss = std::fabs(logit) < 1e36f;
        expect_like_reference(problem);
      }
    }
  }
}

TEST(DeviceSigmoidFocalLossSpecial, NanStaysWhereItIs) {
  Random random(15);
  SigmoidProblem problem = random_class_problem(random, DataType::float32, FocalLayout::rows,
                                                {{1, 1, 80, 1, 30}}, 0.0, 0.0);
  const FocalResult clean = device_result(problem);
  problem.logits[0].set_real(1234, std::nanf(""));
  const FocalResult result = device_result(problem);
  EXPECT_TRUE(std::isnan(result.loss[0].real(0)));
  for (std::size_t i = 0; i < 2400; ++i) {
    if (i == 1234) {
      EXPECT_TRUE(std::isnan(result.gradient[0].real(i)));
    } else {
      EXPECT_EQ(result.gradient[0].real(i), clean.gradient[0].real(i));
    }
  }
}

TEST(DeviceSigmoidFocalLossSpecial, IgnoredNanIsNoNan) {
  Random random(16);
  SigmoidProblem problem = random_class_problem(random, DataType::float32, FocalLayout::rows,
                                                {{1, 1, 80, 1, 30}}, 0.1, 0.0);
  problem.targets[0].set_integer(3, problem.options.ignore_index);
  for (std::size_t i = 3 * 80; i < 4 * 80; ++i)
    problem.logits[0].set_real(i, std::nanf(""));
  expect_like_reference(problem);
  add_row_weights(random, problem);
  expect_like_reference(problem);
}

TEST(DeviceSigmoidFocalLossSpecial, InfiniteLogitOnTheRightSide) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float gamma : kGammas) {
    SigmoidProblem problem;
    problem.options.gamma = gamma;
    problem.logits.push_back(
        HostTensor::of_reals(DataType::float32, {2, 8}, std::vector<float>(16, -infinity)));
    problem.logits[0].set_real(11, infinity);
    problem.targets.push_back(HostTensor::of_integers(DataType::int64, {2}, {-1, 3}));
    const FocalResult result = device_result(problem);
    EXPECT_EQ(result.loss[0].real(0), 0.0f);
    for (std::size_t i = 0; i < 16; ++i)
      EXPECT_EQ(result.gradient[0].real(i), 0.0f) << i;
    // And on the wrong one.
    problem.logits[0].set_real(5, infinity);
    const FocalResult wrong = device_result(problem);
    EXPECT_FALSE(std::isfinite(wrong.loss[0].real(0)));
  }
}

// Relative accuracy of easy negatives: no absolute tolerance.
TEST(DeviceSigmoidFocalLossSpecial, EasyNegativesKeepRelativeAccuracy) {
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
    const FocalResult got = device_result(problem);
    const FocalResult exact = reference_result(problem, true);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const Tolerance tolerance = {1e-37, 1e-5, 0.0, 0.0};
      const double loss = double{exact.loss[0].real(i)};
      const double gradient = double{exact.gradient[0].real(i)};
      EXPECT_TRUE(is_near(double{got.loss[0].real(i)}, loss, tolerance)) << logits[i];
      EXPECT_TRUE(is_near(double{got.gradient[0].real(i)}, gradient, tolerance)) << logits[i];
    }
  }
}

}  // namespace
}  // namespace cudet::test
