#include "match_case.h"

#include "tolerance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

namespace cudet::test {

MatchInput MatchProblem::input() const {
  return {anchors.const_tensor(), boxes.const_tensor(), offsets.const_tensor(),
          labels.const_tensor()};
}

std::string MatchProblem::describe() const {
  std::ostringstream text;
  text << "batch " << batch() << ", a " << a() << ", g " << g() << ", " << to_string(options.forced)
       << ", " << to_string(options.ties) << ", thresholds " << options.low_threshold << " "
       << options.high_threshold << ", " << to_string(options.format) << ", "
       << to_string(boxes.type());
  return text.str();
}

MatchOutput MatchResult::output() {
  return {matches.tensor(), ious.tensor(),         match_labels.tensor(),
          codes.tensor(),   best_anchors.tensor(), best_anchor_ious.tensor()};
}

MatchResult make_match_result(const MatchProblem& problem, DataType index_type,
                              DataType code_type) {
  const std::vector<std::int64_t> by_anchor = {problem.batch(), problem.a()};
  MatchResult result;
  result.matches = HostTensor(index_type, by_anchor);
  result.ious = HostTensor(DataType::float32, by_anchor);
  result.match_labels = HostTensor(index_type, by_anchor);
  result.codes = HostTensor(code_type, {problem.batch(), problem.a(), 4});
  result.best_anchors = HostTensor(index_type, {problem.g()});
  result.best_anchor_ious = HostTensor(DataType::float32, {problem.g()});
  return result;
}

MatchResult reference_match(const MatchProblem& problem, DataType index_type, DataType code_type) {
  MatchResult result = make_match_result(problem, index_type, code_type);
  const Status status = reference::match_boxes(problem.options, problem.input(), result.output());
  EXPECT_TRUE(status.ok()) << status.message();
  MatchResult on_cpu = make_match_result(problem, index_type, code_type);
  const Status cpu_status =
      match_boxes(problem.options, problem.input(), on_cpu.output(), Execution::cpu(2));
  EXPECT_TRUE(cpu_status.ok()) << cpu_status.message();
  expect_same_match(problem, on_cpu, result);
  return result;
}

MatchOptions random_match_options(Random& random) {
  MatchOptions options;
  const std::vector<float> thresholds = {0.0f, 0.125f, 0.25f, 0.3f, 0.5f, 0.7f, 1.0f};
  options.low_threshold = random.pick(thresholds);
  options.high_threshold = std::max(options.low_threshold, random.pick(thresholds));
  options.forced = static_cast<ForcedMatches>(random.integer(0, 2));
  options.ties = static_cast<MatchTies>(random.integer(0, 1));
  options.legacy_offset = random.chance(0.2);
  options.no_match_label = random.integer(-5, 5);
  options.between_thresholds_label = random.integer(-5, 5);
  options.code_weights[1] = 10.0f;
  options.code_weights[3] = 5.0f;
  return options;
}

MatchProblem random_match_problem(Random& random, std::int64_t anchors,
                                  const std::vector<std::int64_t>& boxes_by_image,
                                  BoxDistribution distribution, const MatchOptions& options,
                                  bool anchors_by_image, DataType box_type) {
  const auto batch = static_cast<std::int64_t>(boxes_by_image.size());
  const std::int64_t anchor_count = anchors_by_image ? batch * anchors : anchors;
  std::vector<std::int64_t> offsets = {0};
  for (const std::int64_t count : boxes_by_image)
    offsets.push_back(offsets.back() + count);
  const std::int64_t g = offsets.back();
  // No side between 0 and 2^-50, so that the accuracy of all codes is promised.
  const auto draw = [&](std::int64_t count) {
    std::vector<float> values = random_boxes(random, distribution, count, options.format);
    for (float& value : values)
      if (std::fabs(value) < 0x1p-26f) value = 0.0f;
    return values;
  };
  const std::vector<float> anchor_numbers = draw(anchor_count);
  std::vector<float> numbers = draw(g);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < g; ++i) {
    labels.push_back(random.integer(0, 90));
    if (anchor_count == 0 || random.chance(0.3)) continue;
    const std::int64_t near = random.integer(0, anchor_count - 1);
    const bool identical = random.chance(0.3);
    for (std::int64_t k = 0; k < 4; ++k) {
      numbers[static_cast<std::size_t>(4 * i + k)] =
          anchor_numbers[static_cast<std::size_t>(4 * near + k)] *
          (identical ? 1.0f : random.uniform_float(0.95f, 1.05f));
    }
  }
  std::vector<std::int64_t> anchor_shape = {anchors, 4};
  if (anchors_by_image) anchor_shape.insert(anchor_shape.begin(), batch);
  MatchProblem problem;
  problem.options = options;
  problem.anchors = HostTensor::of_reals(box_type, anchor_shape, anchor_numbers);
  problem.boxes = HostTensor::of_reals(box_type, {g, 4}, numbers);
  problem.offsets = HostTensor::of_integers(random.chance(0.5) ? DataType::int32 : DataType::int64,
                                            {batch + 1}, offsets);
  problem.labels =
      HostTensor::of_integers(random.chance(0.5) ? DataType::int32 : DataType::int64, {g}, labels);
  return problem;
}

void expect_same_match(const MatchProblem& problem, const MatchResult& got,
                       const MatchResult& expected) {
  SCOPED_TRACE(problem.describe());
  const MatchOptions& options = problem.options;
  EXPECT_TRUE(same_bits(got.matches, expected.matches));
  EXPECT_TRUE(same_bits(got.ious, expected.ious));
  EXPECT_TRUE(same_bits(got.match_labels, expected.match_labels));
  EXPECT_TRUE(same_bits(got.best_anchors, expected.best_anchors));
  EXPECT_TRUE(same_bits(got.best_anchor_ious, expected.best_anchor_ious));
  ASSERT_EQ(got.codes.shape(), expected.codes.shape());
  int differences = 0;
  for (std::size_t i = 0; i < expected.codes.count(); ++i) {
    const double weight = double{options.code_weights[i % 4]};
    Tolerance tolerance = tolerance_of(got.codes.type());
    tolerance.absolute *= std::fabs(weight);
    if (i % 4 < 2) {
      const double side_weight = double{options.code_weights[i % 4 + 2]};
      const double ratio = std::exp(double{expected.codes.real(i + 2)} / side_weight);
      tolerance.absolute *= 1.0 + (std::isfinite(ratio) ? ratio : 0.0);
    }
    const double value = double{got.codes.real(i)}, wanted = double{expected.codes.real(i)};
    if (is_near(value, wanted, tolerance)) continue;
    if (++differences <= 5) ADD_FAILURE() << "code " << i << " is " << value << ", not " << wanted;
  }
  EXPECT_EQ(differences, 0);
}

}  // namespace cudet::test
