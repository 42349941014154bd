// Properties of nms() on the CPU that hold for every input, tried on random ones.

#include <cudet/nms.h>

#include "support/nms_definition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace cudet::test {
namespace {

using Indices = std::vector<std::int64_t>;

NmsResult run_reference(const NmsProblem& problem) {
  return reference_result(problem, DataType::int64);
}

TEST(NmsProperty, ThresholdsMetExactly) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  int pairs = 0;
  while (pairs < scaled(20000)) {
    const auto distribution =
        static_cast<BoxDistribution>(random.integer(0, kBoxDistributions - 1));
    std::vector<float> boxes = random_boxes(random, distribution, 2);
    if (random.chance(0.2)) rescale_boxes(random, &boxes);
    NmsProblem problem = make_nms_problem(boxes, {2, 1}, 0.5f);
    const float iou = float32_iou(corners_of(problem, 0, 0), corners_of(problem, 0, 1));
    if (!(iou > 0.0f)) continue;
    ++pairs;
    problem.options.iou_threshold = iou;
    ASSERT_EQ(run_reference(problem).kept(0), (Indices{0, 1})) << "at " << iou;
    problem.options.iou_threshold = std::nextafterf(iou, 0.0f);
    ASSERT_EQ(run_reference(problem).kept(0), (Indices{0})) << "one below " << iou;
  }
}

TEST(NmsProperty, RandomProblemsMeetTheDefinition) {
  for (int i = 0; i < scaled(20000); ++i) {
    Random random(1000 + static_cast<std::uint64_t>(i));
    const NmsProblem problem = random_nms_problem(random, 64, 3);
    ASSERT_TRUE(is_nms_of(run_reference(problem), problem)) << random.trace();
  }
}

TEST(NmsProperty, CpuExecutionGivesTheSameForRotatedBoxes) {
  for (int i = 0; i < scaled(300); ++i) {
    Random random(70000 + static_cast<std::uint64_t>(i));
    const NmsProblem problem = random_rotated_problem(random, 100, 5);
    NmsResult on_cpu = make_nms_result(problem, DataType::int64);
    const Status status =
        nms(problem.options, problem.input(), on_cpu.output(), Execution::cpu(i % 3 + 1));
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_TRUE(same_result(on_cpu, run_reference(problem)))
        << random.trace() << problem.describe();
  }
}

TEST(NmsProperty, CpuExecutionGivesTheSame) {
  for (int i = 0; i < scaled(1000); ++i) {
    Random random(50000 + static_cast<std::uint64_t>(i));
    const NmsProblem problem = random_nms_problem(random, 200, 5);
    const NmsResult expected = run_reference(problem);
    for (const int threads : {0, 1, 3}) {
      NmsResult result = make_nms_result(problem, DataType::int64);
      const Status status =
          nms(problem.options, problem.input(), result.output(), Execution::cpu(threads));
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_TRUE(same_result(result, expected)) << random.trace();
    }
  }
}

/// A single image of distinct scores.
NmsProblem distinct_problem(Random& random, std::int64_t n) {
  const auto distribution = static_cast<BoxDistribution>(random.integer(0, kBoxDistributions - 1));
  std::vector<float> scores;
  for (const std::int64_t rank : random.permutation(n))
    scores.push_back(static_cast<float>(rank) - 10.0f);
  NmsProblem problem = make_nms_problem(random_boxes(random, distribution, n), scores,
                                        random.uniform_float(0.0f, 1.0f));
  std::vector<std::int64_t> classes;
  for (std::int64_t i = 0; i < n; ++i)
    classes.push_back(random.integer(0, 2));
  problem.classes = HostTensor::of_integers(DataType::int64, {1, n}, classes);
  return problem;
}

/// The boxes of `problem` at `indices`.
NmsProblem selected(const NmsProblem& problem, const Indices& indices) {
  std::vector<float> boxes;
  std::vector<float> scores;
  std::vector<std::int64_t> classes;
  for (const std::int64_t index : indices) {
    const auto i = static_cast<std::size_t>(index);
    for (std::size_t j = 0; j < 4; ++j)
      boxes.push_back(problem.boxes.real(4 * i + j));
    scores.push_back(problem.scores.real(i));
    classes.push_back(problem.classes.integer(i));
  }
  NmsProblem part = make_nms_problem(boxes, scores, problem.options.iou_threshold);
  part.options = problem.options;
  part.classes = HostTensor::of_integers(DataType::int64,
                                         {1, static_cast<std::int64_t>(scores.size())}, classes);
  return part;
}

TEST(NmsProperty, PermutingTheInputPermutesTheOutput) {
  for (int i = 0; i < scaled(1000); ++i) {
    Random random(60000 + static_cast<std::uint64_t>(i));
    const NmsProblem problem = distinct_problem(random, random.integer(1, 80));
    const Indices order = random.permutation(problem.n());
    Indices back;
    for (const std::int64_t index : run_reference(selected(problem, order)).kept(0))
      back.push_back(order[static_cast<std::size_t>(index)]);
    ASSERT_EQ(back, run_reference(problem).kept(0)) << random.trace();
  }
}

TEST(NmsProperty, ClassAwareIsTheUnionOfTheClasses) {
  for (int i = 0; i < scaled(1000); ++i) {
    Random random(70000 + static_cast<std::uint64_t>(i));
    const NmsProblem problem = distinct_problem(random, random.integer(1, 80));
    Indices expected;
    for (std::int64_t class_id = 0; class_id <= 2; ++class_id) {
      Indices members;
      for (std::int64_t j = 0; j < problem.n(); ++j) {
        if (problem.classes.integer(static_cast<std::size_t>(j)) == class_id) members.push_back(j);
      }
      NmsProblem part = selected(problem, members);
      part.options.class_agnostic = true;
      for (const std::int64_t index : run_reference(part).kept(0))
        expected.push_back(members[static_cast<std::size_t>(index)]);
    }
    std::sort(expected.begin(), expected.end());
    Indices kept = run_reference(problem).kept(0);
    std::sort(kept.begin(), kept.end());
    ASSERT_EQ(kept, expected) << random.trace();
  }
}

TEST(NmsProperty, ALimitTakesThePrefix) {
  for (int i = 0; i < scaled(300); ++i) {
    Random random(80000 + static_cast<std::uint64_t>(i));
    NmsProblem problem = distinct_problem(random, random.integer(1, 40));
    const Indices all = run_reference(problem).kept(0);
    for (std::int64_t limit = 0; limit <= problem.n() + 2; ++limit) {
      problem.options.max_outputs = limit;
      const std::size_t expected = std::min(all.size(), static_cast<std::size_t>(limit));
      ASSERT_EQ(run_reference(problem).kept(0),
                Indices(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(expected)))
          << random.trace();
    }
  }
}

TEST(NmsProperty, WhatIsKeptIsKeptAgain) {
  for (int i = 0; i < scaled(1000); ++i) {
    Random random(90000 + static_cast<std::uint64_t>(i));
    const NmsProblem problem = distinct_problem(random, random.integer(1, 80));
    const Indices kept = run_reference(problem).kept(0);
    Indices everything(kept.size());
    std::iota(everything.begin(), everything.end(), std::int64_t{0});
    ASSERT_EQ(run_reference(selected(problem, kept)).kept(0), everything) << random.trace();
  }
}

}  // namespace
}  // namespace cudet::test
