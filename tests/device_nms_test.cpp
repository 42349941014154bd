// nms() on a device against the reference, bit for bit: all sizes at which the kernels change their
// ways, pointers of every alignment, streams and graphs.

#include <cudet/nms.h>

#include "support/device_nms.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#if defined(CUDET_EMULATED)
#include "../cuda/emulation/device.h"
#endif

namespace cudet::test {
namespace {

/// `batch` images of clustered boxes with three classes.
NmsProblem clustered_problem(Random& random, std::int64_t batch, std::int64_t n) {
  NmsProblem problem =
      random_images(random, batch, n, BoxDistribution::clustered, ScoreDistribution::uniform);
  std::vector<std::int64_t> classes;
  for (std::int64_t i = 0; i < batch * n; ++i)
    classes.push_back(random.integer(0, 2));
  problem.classes = HostTensor::of_integers(DataType::int32, {batch, n}, classes);
  return problem;
}

void expect_on_device(const NmsProblem& problem, StreamMode mode = StreamMode::other_stream) {
  expect_on_device(problem, reference_result(problem), mode);
}

class DeviceNmsSizes : public testing::TestWithParam<std::int64_t> {};

TEST_P(DeviceNmsSizes, EqualsTheReference) {
  const std::int64_t n = GetParam();
  Random random(static_cast<std::uint64_t>(n));
  SCOPED_TRACE(random.trace());
  NmsProblem problem = clustered_problem(random, n <= 1025 ? 2 : 1, n);
  const NmsResult expected = reference_result(problem);
  SomeCases cases(n);
  for (const StreamMode mode : kStreamModes) {
    if (cases.takes_next()) expect_on_device(problem, expected, mode);
  }

  problem.options.class_agnostic = true;
  problem.options.max_outputs = n / 3;
  expect_on_device(problem);
}

TEST_P(DeviceNmsSizes, TiesAndSpecialBoxes) {
  const std::int64_t n = GetParam();
  Random random(10000 + static_cast<std::uint64_t>(n));
  SCOPED_TRACE(random.trace());
  NmsProblem problem = make_nms_problem(
      random_boxes(random, n % 2 == 0 ? BoxDistribution::integer_grid : BoxDistribution::special,
                   n),
      random_scores(random, ScoreDistribution::ties, n), 0.5f);
  expect_on_device(problem);
}
INSTANTIATE_TEST_SUITE_P(N, DeviceNmsSizes,
                         testing::Values(0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256,
                                         257, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049,
                                         4095, 4096, 4097, 9001),
                         testing::PrintToStringParamName());

TEST(DeviceNms, BatchSizes) {
  SomeCases cases;
  for (const std::int64_t batch : {0, 1, 3, 16, 17, 65}) {
    for (const std::int64_t n : {0, 70, 300, 1100}) {
      if (!cases.takes_next()) continue;
      Random random(static_cast<std::uint64_t>(batch * 10000 + n));
      SCOPED_TRACE(random.trace());
      NmsProblem problem = clustered_problem(random, batch, n);
      std::vector<std::int64_t> counts;
      for (std::int64_t b = 0; b < batch; ++b)
        counts.push_back(b % 3 == 0 ? n : random.integer(-1, n + 1));
      problem.counts = HostTensor::of_integers(DataType::int32, {batch}, counts);
      problem.options.max_outputs = 50;
      expect_on_device(problem, StreamMode::default_stream);
    }
  }
}

class DeviceNmsTypes : public testing::TestWithParam<DataType> {};

TEST_P(DeviceNmsTypes, PointersOfAnyAlignment) {
  SomeCases cases(static_cast<std::int64_t>(GetParam()));
  for (const std::int64_t n : {50, 1030}) {
    Random random(static_cast<std::uint64_t>(n));
    SCOPED_TRACE(random.trace());
    const NmsProblem wide = clustered_problem(random, 1, n);
    NmsProblem problem = wide;
    problem.boxes = HostTensor::of_reals(GetParam(), {1, n, 4}, wide.boxes.reals());
    problem.scores = HostTensor::of_reals(GetParam(), {1, n}, wide.scores.reals());
    problem.classes = HostTensor::of_integers(DataType::int64, {1, n}, wide.classes.integers());
    problem.options.max_outputs = n / 2 + 1;
    const NmsResult expected = reference_result(problem, DataType::int64);
    for (const std::size_t steps : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 31u, 63u}) {
      if (!cases.takes_next()) continue;
      SCOPED_TRACE("offsets of " + std::to_string(steps) + " elements and more");
      expect_on_device(problem, expected, StreamMode::other_stream, steps);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Types, DeviceNmsTypes,
                         testing::Values(DataType::float32, DataType::float16, DataType::bfloat16),
                         [](const auto& type) { return std::string(to_string(type.param)); });

TEST(DeviceNms, WorkspacesOfAnyAlignment) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  const NmsProblem problem = clustered_problem(random, 1, 1100);
  const NmsResult expected = reference_result(problem);
  SomeCases cases;
  for (const std::size_t offset : {0u, 1u, 2u, 3u, 7u, 8u, 15u, 16u, 17u, 127u, 128u, 255u}) {
    if (!cases.takes_next()) continue;
    SCOPED_TRACE("offset " + std::to_string(offset));
    expect_on_device(problem, expected, StreamMode::other_stream, 0, offset);
  }
}

TEST(DeviceNms, AGraphReadsChangedInputs) {
  for (const std::int64_t n : {100, 700, 1500, 4500}) {
    Random random(static_cast<std::uint64_t>(n));
    SCOPED_TRACE(random.trace());
    NmsProblem problem = clustered_problem(random, 2, n);
    problem.options.score_threshold = 0.3f;
    problem.counts = HostTensor::of_integers(DataType::int32, {2}, {n, n});
    DeviceNms device(problem);
    Graph graph([&](cudaStream_t stream) { return device.enqueue(stream); });
    for (int replay = 0; replay < 4; ++replay) {
      SCOPED_TRACE("replay " + std::to_string(replay));
      NmsProblem changed = clustered_problem(random, 2, n);
      changed.options = problem.options;
      changed.counts = HostTensor::of_integers(DataType::int32, {2},
                                               {random.integer(0, n), random.integer(0, n)});
      if (replay == 2) {  // nothing passes the score threshold
        changed.scores = HostTensor::of_reals(
            DataType::float32, {2, n}, std::vector<float>(static_cast<std::size_t>(2 * n), 0.1f));
      }
      device.upload(changed);
      device.poison();
      graph.launch();
      EXPECT_TRUE(same_result(device.download(), reference_result(changed)));
    }
  }
}

TEST(DeviceNms, AWorkspaceTooSmallLaunchesNothing) {
  Random random(5);
  NmsProblem problem = clustered_problem(random, 1, 1200);
  problem.classes = HostTensor();
  std::size_t bytes = 0;
  ASSERT_TRUE(nms_workspace_size(problem.options, problem.input(), &bytes).ok());
  ASSERT_GT(bytes, 0u);
  const DeviceTensor boxes(problem.boxes);
  const DeviceTensor scores(problem.scores);
  const DeviceArray<std::int32_t> count(1);
  const Workspace workspace(bytes);
  NmsInput input;
  input.boxes = boxes.tensor();
  input.scores = scores.tensor();
  NmsOutput output;
  output.count = count.tensor({1});
  const std::vector<std::int32_t> before = count.download();
  const Status status =
      nms(problem.options, input, output, Execution::cuda(nullptr, workspace.data(), bytes - 1));
  EXPECT_STREQ(to_string(status.code()), "invalid_argument");
  EXPECT_EQ(status.message(), "nms: workspace must have " + std::to_string(bytes) +
                                  " bytes or more, got " + std::to_string(bytes - 1));
  EXPECT_EQ(count.download(), before);
}

TEST(DeviceNms, QuotientsBetweenTwoSubnormalNumbers) {
  // Intersections k * 2^-149 and a union of 2: every odd k is a tie of the division.
  SomeCases cases;
  for (const bool panels : {false, true}) {
    for (int k = 1; k <= (panels ? 3 : 6); ++k) {
      for (const float threshold : {0.0f, 0x1p-149f, 0x2p-149f, 0x3p-149f, 0x4p-149f}) {
        SCOPED_TRACE("k " + std::to_string(k));
        std::vector<float> boxes = {0, 0, 2, 1, 0, 0, static_cast<float>(k) * 0x1p-75f, 0x1p-74f};
        boxes.resize(panels ? 4 * 1025 : boxes.size());
        std::vector<float> scores(boxes.size() / 4, 0.5f);
        for (const float score : {1.0f, 0.25f}) {
          scores[0] = score;  // before the small box, and after it
          if (cases.takes_next()) expect_on_device(make_nms_problem(boxes, scores, threshold));
        }
      }
    }
  }
}

/// Sizes of one block, of one panel and of several.
class DeviceNmsPatterns : public testing::TestWithParam<std::int64_t> {
 protected:
  static std::vector<float> falling_scores(std::int64_t n) {
    std::vector<float> scores;
    for (std::int64_t i = 0; i < n; ++i)
      scores.push_back(static_cast<float>(n - i));
    return scores;
  }
  /// Boxes of 2 x 1 at distance `step` from each other.
  static std::vector<float> row_of_boxes(std::int64_t n, float step) {
    std::vector<float> boxes;
    for (std::int64_t i = 0; i < n; ++i) {
      const float x = step * static_cast<float>(i);
      boxes.insert(boxes.end(), {x, 0.0f, x + 2.0f, 1.0f});
    }
    return boxes;
  }
};

TEST_P(DeviceNmsPatterns, AChainDropsEverySecond) {
  const std::int64_t n = GetParam();
  const NmsProblem problem = make_nms_problem(row_of_boxes(n, 1.0f), falling_scores(n), 0.3f);
  const NmsResult expected = reference_result(problem);
  EXPECT_EQ(expected.count.integer(0), (n + 1) / 2);
  expect_on_device(problem, expected, StreamMode::other_stream);

  // The same from the other end, so that every decision waits for the one before it.
  std::vector<float> rising = falling_scores(n);
  for (float& score : rising)
    score = -score;
  expect_on_device(make_nms_problem(row_of_boxes(n, 1.0f), rising, 0.3f));
}

TEST_P(DeviceNmsPatterns, IdenticalBoxesLeaveOne) {
  const std::int64_t n = GetParam();
  const NmsProblem problem = make_nms_problem(
      row_of_boxes(n, 0.0f), std::vector<float>(static_cast<std::size_t>(n), 0.5f), 0.5f);
  const NmsResult expected = reference_result(problem);
  EXPECT_EQ(expected.count.integer(0), 1);
  expect_on_device(problem, expected, StreamMode::other_stream);
}

TEST_P(DeviceNmsPatterns, BoxesApartAllStay) {
  const std::int64_t n = GetParam();
  const NmsProblem problem = make_nms_problem(row_of_boxes(n, 2.0f), falling_scores(n), 0.0f);
  const NmsResult expected = reference_result(problem);
  EXPECT_EQ(expected.count.integer(0), n);
  expect_on_device(problem, expected, StreamMode::other_stream);
}

TEST_P(DeviceNmsPatterns, NothingAboveTheScoreThreshold) {
  const std::int64_t n = GetParam();
  NmsProblem problem = make_nms_problem(row_of_boxes(n, 2.0f), falling_scores(n), 0.5f);
  problem.options.score_threshold = static_cast<float>(n);
  const NmsResult expected = reference_result(problem);
  EXPECT_EQ(expected.count.integer(0), 0);
  expect_on_device(problem, expected, StreamMode::other_stream);
}

TEST_P(DeviceNmsPatterns, LimitsRoundTheNumberKept) {
  const std::int64_t n = GetParam();
  NmsProblem problem = make_nms_problem(row_of_boxes(n, 1.0f), falling_scores(n), 0.3f);
  const std::int64_t kept = (n + 1) / 2;
  SomeCases cases(n);
  for (const std::int64_t limit :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{33}, kept - 1, kept, kept + 1, n, n + 700}) {
    problem.options.max_outputs = limit;
    if (cases.takes_next()) expect_on_device(problem);
  }
}

TEST_P(DeviceNmsPatterns, EveryBoxItsOwnClass) {
  const std::int64_t n = GetParam();
  NmsProblem problem = make_nms_problem(row_of_boxes(n, 0.0f), falling_scores(n), 0.5f);
  std::vector<std::int64_t> classes;
  for (std::int64_t i = 0; i < n; ++i)
    classes.push_back(i << 32);
  problem.classes = HostTensor::of_integers(DataType::int64, {1, n}, classes);
  const NmsResult expected = reference_result(problem);
  EXPECT_EQ(expected.count.integer(0), n);
  expect_on_device(problem, expected, StreamMode::other_stream);
}
INSTANTIATE_TEST_SUITE_P(N, DeviceNmsPatterns, testing::Values(200, 1024, 1100, 4200),
                         testing::PrintToStringParamName());

TEST(DeviceNms, EveryOutputMayBeAbsent) {
  for (const std::int64_t n : {90, 1100}) {
    Random random(static_cast<std::uint64_t>(n));
    SCOPED_TRACE(random.trace());
    const NmsProblem problem = clustered_problem(random, 2, n);
    const NmsResult expected = reference_result(problem);
    const DeviceTensor boxes(problem.boxes);
    const DeviceTensor scores(problem.scores);
    const DeviceTensor classes(problem.classes);
    std::size_t bytes = 0;
    ASSERT_TRUE(nms_workspace_size(problem.options, problem.input(), &bytes).ok());
    const Workspace workspace(bytes);
    NmsInput problem_input;
    problem_input.boxes = boxes.const_tensor();
    problem_input.scores = scores.const_tensor();
    problem_input.classes = classes.const_tensor();
    SomeCases cases(n);
    for (unsigned mask = 0; mask < 128; ++mask) {
      if (!cases.takes_next()) continue;
      SCOPED_TRACE("outputs " + std::to_string(mask));
      NmsResult wanted = expected;
      std::vector<DeviceTensor> outputs;
      for (unsigned bit = 0; bit < 7; ++bit) {
        HostTensor* const output = wanted.all()[bit];
        if ((mask >> bit & 1u) == 0u) *output = HostTensor();
        outputs.emplace_back(*output);
        outputs.back().poison();
      }
      const NmsOutput output = {outputs[0].tensor(), outputs[1].tensor(), outputs[2].tensor(),
                                outputs[3].tensor(), outputs[4].tensor(), outputs[5].tensor(),
                                outputs[6].tensor()};
      const Status status = nms(problem.options, problem_input, output,
                                Execution::cuda(nullptr, workspace.data(), bytes));
      EXPECT_TRUE(status.ok()) << status.message();
      const NmsResult got = {outputs[0].download(), outputs[1].download(), outputs[2].download(),
                             outputs[3].download(), outputs[4].download(), outputs[5].download(),
                             outputs[6].download()};
      EXPECT_TRUE(same_result(got, wanted));
    }
  }
}

TEST(DeviceNms, RunsAtTheSameTimeOnTwoStreams) {
  Random random(8);
  SCOPED_TRACE(random.trace());
  const NmsProblem problems[] = {clustered_problem(random, 2, 1300),
                                 clustered_problem(random, 2, 1200)};
  DeviceNms first(problems[0]);
  DeviceNms second(problems[1]);
  const Stream streams[2];
  for (int round = 0; round < 3; ++round) {
    first.poison();
    second.poison();
    const Status status_of_first = first.enqueue(streams[0].get());
    const Status status_of_second = second.enqueue(streams[1].get());
    EXPECT_TRUE(status_of_first.ok()) << status_of_first.message();
    EXPECT_TRUE(status_of_second.ok()) << status_of_second.message();
    EXPECT_TRUE(same_result(first.download(), reference_result(problems[0])));
    EXPECT_TRUE(same_result(second.download(), reference_result(problems[1])));
  }
}

#if defined(CUDET_EMULATED)
TEST(DeviceNms, OnlyEnqueues) {
  for (const std::int64_t n : {1, 64, 65, 256, 257, 1024, 1025, 4096, 4097}) {
    SCOPED_TRACE("n " + std::to_string(n));
    Random random(static_cast<std::uint64_t>(n));
    const NmsProblem problem = clustered_problem(random, 3, n);
    const DeviceNms device(problem);
    emulation::mark();
    const Status status = device.enqueue(nullptr);
    const emulation::Counters counters = emulation::counters();
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(counters.allocations, 0);
    EXPECT_EQ(counters.frees, 0);
    EXPECT_EQ(counters.synchronizations, 0);
    EXPECT_EQ(counters.memory_operations, 0);
    if (n <= 256) {
      EXPECT_EQ(counters.launches, 1);
      EXPECT_EQ(device.workspace_bytes(), 0u);
    } else if (n <= 4096) {  // ranks, the panel, and what suppressed each box
      EXPECT_EQ(counters.launches, 3);
    }
  }
}

TEST(DeviceNms, OrderOfExecutionDoesNotMatter) {
  const std::uint64_t seed_before = emulation::seed();
  Random random(9);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t n : {300, 1300}) {
    const NmsProblem problem = clustered_problem(random, 2, n);
    const NmsResult expected = reference_result(problem);
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      SCOPED_TRACE("order " + std::to_string(seed));
      emulation::set_seed(seed);
      expect_on_device(problem, expected, StreamMode::other_stream);
    }
  }
  emulation::set_seed(seed_before);
}

TEST(DeviceNms, DeferredStreams) {
  Random random(10);
  SCOPED_TRACE(random.trace());
  const bool deferred_before = emulation::deferred();
  emulation::set_deferred(true);
  for (const std::int64_t n : {300, 1300}) {
    const NmsProblem problem = clustered_problem(random, 2, n);
    const NmsResult expected = reference_result(problem);
    for (const StreamMode mode : kStreamModes)
      expect_on_device(problem, expected, mode);
  }
  emulation::set_deferred(deferred_before);
}
#endif

}  // namespace
}  // namespace cudet::test
