// Problems and results of match_boxes() in host memory.
#pragma once

#include "host_tensor.h"
#include "random.h"

#include <cudet/matching.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {

struct MatchProblem {
  MatchOptions options;
  HostTensor anchors;  ///< [a, 4] or [batch, a, 4]
  HostTensor boxes;    ///< [g, 4]
  HostTensor offsets;  ///< [batch + 1]
  HostTensor labels;   ///< [g]

  std::int64_t batch() const { return offsets.shape()[0] - 1; }
  std::int64_t a() const { return anchors.shape()[anchors.shape().size() - 2]; }
  std::int64_t g() const { return boxes.shape()[0]; }
  MatchInput input() const;
  std::string describe() const;
};

struct MatchResult {
  HostTensor matches, ious, match_labels, codes, best_anchors, best_anchor_ious;

  MatchOutput output();
};

/// Poisoned outputs of the right shapes.
MatchResult make_match_result(const MatchProblem& problem, DataType index_type = DataType::int32,
                              DataType code_type = DataType::float32);

/// What the reference gives, checked for success; and checks that the CPU mode gives the same.
MatchResult reference_match(const MatchProblem& problem, DataType index_type = DataType::int32,
                            DataType code_type = DataType::float32);

/// Options with the numbers of a random problem: thresholds that many IoUs equal.
MatchOptions random_match_options(Random& random);

/// `boxes_by_image` has the number of boxes of every image; they lie near anchors, or anywhere.
MatchProblem random_match_problem(Random& random, std::int64_t anchors,
                                  const std::vector<std::int64_t>& boxes_by_image,
                                  BoxDistribution distribution, const MatchOptions& options,
                                  bool anchors_by_image = false,
                                  DataType box_type = DataType::float32);

/// Everything equal to the bit, codes within the promise of include/cudet/matching.h.
void expect_same_match(const MatchProblem& problem, const MatchResult& got,
                       const MatchResult& expected);

}  // namespace cudet::test
