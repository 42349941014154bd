// One NMS call of gpu_bench, on made-up or on real candidates.
#pragma once

#include "workload.h"

#include <cudet/nms.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace cudet::bench {

/// Candidates of a batch of images, padded to n boxes each. `classes` and `counts` may be empty;
/// with scores of several classes a box takes part once for each.
struct NmsProblem {
  NmsOptions options;
  std::int64_t batch = 0;
  std::int64_t n = 0;
  std::vector<float> boxes;  // [batch, n, 4]
  std::int64_t score_classes = 1;
  std::vector<float> scores;          // [batch, n, score_classes]
  std::vector<std::int32_t> classes;  // [batch, n]
  std::vector<std::int32_t> counts;   // [batch]

  std::int64_t slots() const {
    return options.max_outputs == NmsOptions::kNoLimit ? n * score_classes : options.max_outputs;
  }
  bool has_classes() const { return !classes.empty() || score_classes > 1; }
};

/// What the detector's own post-processing keeps of every image, as indices of the candidates.
struct OfficialResult {
  std::vector<std::vector<std::int32_t>> keep;
  bool ordered = true;  ///< the order counts too; false: each image's result is compared as a set
};

/// Asks for all outputs that a detector needs: count, indices, boxes, scores, and classes where
/// there are any.
std::unique_ptr<Case> make_nms_case(Device& device, NmsProblem problem,
                                    std::optional<OfficialResult> official = std::nullopt);

}  // namespace cudet::bench
