// nms() on a device where more elements come in than take part: the selection of the best ones,
// dense scores, ragged batches, and the limits of classes, against the reference, bit for bit.

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

void expect_on_device(const NmsProblem& problem, StreamMode mode = StreamMode::other_stream) {
  expect_on_device(problem, reference_result(problem), mode);
}

/// Dense scores of `classes` classes over clustered boxes.
NmsProblem dense_problem(Random& random, std::int64_t batch, std::int64_t n, std::int64_t classes,
                         ScoreDistribution distribution = ScoreDistribution::uniform) {
  NmsProblem problem;
  problem.boxes = HostTensor::of_reals(DataType::float32, {batch, n, 4},
                                       random_boxes(random, BoxDistribution::clustered, batch * n));
  problem.scores = HostTensor::of_reals(DataType::float32, {batch, n, classes},
                                        random_scores(random, distribution, batch * n * classes));
  return problem;
}

class DeviceNmsTopK : public testing::TestWithParam<std::int64_t> {};

TEST_P(DeviceNmsTopK, TakesTheBestOfFlatAndDenseScores) {
  Random random(static_cast<std::uint64_t>(GetParam()));
  SCOPED_TRACE(random.trace());
  SomeCases cases(GetParam());
  for (const ScoreDistribution distribution :
       {ScoreDistribution::uniform, ScoreDistribution::ties, ScoreDistribution::special}) {
    NmsProblem dense = dense_problem(random, 2, 700, 4, distribution);
    dense.options.pre_nms_top_k = GetParam();
    dense.options.max_outputs = 300;
    const NmsResult expected = reference_result(dense);
    for (const StreamMode mode : kStreamModes) {
      // Modes change nothing of how ties are broken.
      if (distribution == ScoreDistribution::uniform || mode == StreamMode::other_stream) {
        if (cases.takes_next()) expect_on_device(dense, expected, mode);
      }
    }

    NmsProblem flat = random_images(random, 1, 2800, BoxDistribution::clustered, distribution);
    flat.options = dense.options;
    if (cases.takes_next()) expect_on_device(flat);
  }
}

TEST_P(DeviceNmsTopK, OfEqualScoresTheFirst) {
  Random random(100 + static_cast<std::uint64_t>(GetParam()));
  SCOPED_TRACE(random.trace());
  for (const ScoreLayout layout : {ScoreLayout::box_class, ScoreLayout::class_box}) {
    NmsProblem problem = dense_problem(random, 1, 600, 5);
    const std::int64_t second = layout == ScoreLayout::box_class ? 600 : 5;
    problem.scores = HostTensor::of_reals(DataType::float32, {1, second, 3000 / second},
                                          std::vector<float>(3000, 0.25f));
    problem.options.score_layout = layout;
    problem.options.pre_nms_top_k = GetParam();
    expect_on_device(problem);
  }
}
INSTANTIATE_TEST_SUITE_P(K, DeviceNmsTopK,
                         testing::Values(0, 1, 63, 64, 100, 1000, 1023, 1024, 1025, 2047, 2799,
                                         2800, 3000),
                         testing::PrintToStringParamName());

TEST(DeviceNmsDense, LayoutsAndSizes) {
  SomeCases cases;
  for (const std::int64_t n : {0, 1, 12, 13, 80, 400}) {
    for (const bool class_box : {false, true}) {
      for (const bool boxes_per_class : {false, true}) {
        Random random(static_cast<std::uint64_t>(n * 4 + (class_box ? 2 : 0) + boxes_per_class));
        SCOPED_TRACE(random.trace());
        NmsProblem problem = dense_problem(random, 2, n, 80, ScoreDistribution::uniform);
        if (class_box) {
          problem.options.score_layout = ScoreLayout::class_box;
          problem.scores =
              HostTensor::of_reals(DataType::float32, {2, 80, n}, problem.scores.reals());
        }
        if (boxes_per_class) {
          problem.boxes =
              HostTensor::of_reals(DataType::float32, {2, n, 80, 4},
                                   random_boxes(random, BoxDistribution::clustered, 2 * n * 80));
        }
        problem.options.score_threshold = 0.9f;
        problem.options.pre_nms_top_k = 1000;
        problem.options.max_outputs = 100;
        for (const bool agnostic : {false, true}) {
          problem.options.class_agnostic = agnostic;
          if (cases.takes_next()) expect_on_device(problem);
        }
      }
    }
  }
}

TEST(DeviceNmsDense, MoreThanOneBlockOfCandidates) {
  SomeCases cases;
  for (const std::int64_t top_k : {std::int64_t{-1}, std::int64_t{1500}}) {
    Random random(7 + static_cast<std::uint64_t>(top_k + 1));
    SCOPED_TRACE(random.trace());
    NmsProblem problem = dense_problem(random, 2, 500, 6, ScoreDistribution::ties);
    problem.options.pre_nms_top_k = top_k;
    problem.options.background_class = 0;
    expect_on_device(problem);
    for (const std::int64_t limit : {0, 1, 7, 64, 300}) {
      problem.options.max_outputs_per_class = limit;
      for (const std::int64_t outputs : {std::int64_t{-1}, std::int64_t{40}}) {
        problem.options.max_outputs = outputs;
        if (cases.takes_next()) expect_on_device(problem);
      }
    }
    problem.options.class_agnostic = true;
    expect_on_device(problem);
  }
}

TEST(DeviceNmsClasses, OfEveryWidthAndLimit) {
  SomeCases cases;
  for (const std::int64_t n : {60, 500, 1024, 1400}) {
    for (const std::int64_t step : {std::int64_t{1}, std::int64_t{1} << 32, std::int64_t{1} << 40,
                                    -(std::int64_t{1} << 31)}) {
      for (const std::int64_t classes : {1, 2, 7, 100}) {
        if (!cases.takes_next()) continue;
        Random random(static_cast<std::uint64_t>(n + classes));
        SCOPED_TRACE(random.trace());
        NmsProblem problem;
        problem.boxes = HostTensor::of_reals(DataType::float32, {1, n, 4},
                                             random_boxes(random, BoxDistribution::clustered, n));
        problem.scores = HostTensor::of_reals(DataType::float32, {1, n},
                                              random_scores(random, ScoreDistribution::uniform, n));
        std::vector<std::int64_t> ids;
        for (std::int64_t i = 0; i < n; ++i)
          ids.push_back(random.integer(0, classes - 1) * step + random.integer(0, 1));
        problem.classes = HostTensor::of_integers(DataType::int64, {1, n}, ids);
        expect_on_device(problem);
        problem.options.max_outputs_per_class = random.integer(0, 12);
        problem.options.max_outputs = random.integer(0, n);
        problem.options.pre_nms_top_k = random.integer(0, n);
        expect_on_device(problem);
      }
    }
  }
}

TEST(DeviceNmsRagged, ImagesOfDifferentSizes) {
  const std::int64_t total = 3000;
  SomeCases cases;
  for (const std::int64_t most : {std::int64_t{-1}, std::int64_t{900}, std::int64_t{1700}}) {
    for (const DataType type : {DataType::int32, DataType::int64}) {
      if (!cases.takes_next()) continue;
      Random random(static_cast<std::uint64_t>(most + 5));
      SCOPED_TRACE(random.trace());
      NmsProblem problem;
      problem.boxes = HostTensor::of_reals(DataType::float16, {total, 4},
                                           random_boxes(random, BoxDistribution::clustered, total));
      problem.scores = HostTensor::of_reals(
          DataType::float16, {total}, random_scores(random, ScoreDistribution::uniform, total));
      problem.offsets = HostTensor::of_integers(type, {6}, {0, 1, 1, 850, 2500, total});
      problem.max_image_boxes = most;
      problem.options.max_outputs = 200;
      expect_on_device(problem);
    }
  }
}

TEST(DeviceNmsRagged, AGraphReadsChangedOffsets) {
  Random random(11);
  SCOPED_TRACE(random.trace());
  NmsProblem problem = dense_problem(random, 1, 400, 4);
  problem.boxes = HostTensor::of_reals(DataType::float32, {400, 4}, problem.boxes.reals());
  problem.scores = HostTensor::of_reals(DataType::float32, {400, 4}, problem.scores.reals());
  problem.options.pre_nms_top_k = 300;
  problem.offsets = HostTensor::of_integers(DataType::int32, {3}, {0, 400, 400});
  DeviceNms device(problem);
  Graph graph([&](cudaStream_t stream) { return device.enqueue(stream); });
  for (const std::int64_t middle : {400, 0, 17, 399}) {
    problem.offsets = HostTensor::of_integers(DataType::int32, {3}, {0, middle, 400});
    device.upload(problem);
    device.poison();
    graph.launch();
    EXPECT_TRUE(same_result(device.download(), reference_result(problem)));
  }
}

#if defined(CUDET_EMULATED)
TEST(DeviceNmsTopK, NeverSortsTheWholeImage) {
  Random random(12);
  NmsProblem problem = dense_problem(random, 1, 2000, 20);
  problem.options.pre_nms_top_k = 1000;
  const DeviceNms device(problem);
  EXPECT_LE(device.workspace_bytes(), 40000u * 4u);  // not even a place for each score
  emulation::mark();
  const Status status = device.enqueue(nullptr);
  EXPECT_TRUE(status.ok()) << status.message();
  const emulation::Counters counters = emulation::counters();
  EXPECT_EQ(counters.allocations, 0);
  EXPECT_EQ(counters.synchronizations, 0);
  EXPECT_EQ(counters.memory_operations, 0);
  EXPECT_LE(counters.launches, 8);
}
#endif

}  // namespace
}  // namespace cudet::test
