// The steps of the baseline for CPU and GPU.
#pragma once

#include "matching.h"

#include <cmath>

#if defined(__CUDACC__)
#define CUDET_BASELINE_MATCHING_FUNCTION __host__ __device__ inline
#else
#define CUDET_BASELINE_MATCHING_FUNCTION inline
#endif

namespace cudet::bench {

CUDET_BASELINE_MATCHING_FUNCTION float baseline_iou(const float* a, const float* b) {
  const float width = fmaxf(fminf(a[2], b[2]) - fmaxf(a[0], b[0]), 0.0f);
  const float height = fmaxf(fminf(a[3], b[3]) - fmaxf(a[1], b[1]), 0.0f);
  const float intersection = width * height;
  const float area_a = (a[2] - a[0]) * (a[3] - a[1]);
  const float area_b = (b[2] - b[0]) * (b[3] - b[1]);
  const float union_area = area_a + area_b - intersection;
  return union_area > 0.0f ? intersection / union_area : 0.0f;
}

/// Pair `i` of all images.
CUDET_BASELINE_MATCHING_FUNCTION void baseline_pair(const BaselineMatching& problem,
                                                    std::int64_t i) {
  const std::int64_t box = i / problem.anchor_count;
  const std::int64_t image = problem.anchors_by_image ? box / problem.box_count : 0;
  const std::int64_t anchor = image * problem.anchor_count + i % problem.anchor_count;
  problem.matrix[i] = baseline_iou(problem.boxes + 4 * box, problem.anchors + 4 * anchor);
}

/// Best box of anchor `i` of all images.
CUDET_BASELINE_MATCHING_FUNCTION void baseline_match(const BaselineMatching& problem,
                                                     std::int64_t i) {
  const std::int64_t image = i / problem.anchor_count;
  const float* column =
      problem.matrix + image * problem.box_count * problem.anchor_count + i % problem.anchor_count;
  float best = 0.0f;
  std::int32_t match = 0;
  for (std::int64_t box = 0; box < problem.box_count; ++box) {
    const float iou = column[box * problem.anchor_count];
    if (iou > best) {
      best = iou;
      match = static_cast<std::int32_t>(box);
    }
  }
  problem.ious[i] = best;
  problem.matches[i] = best >= 0.5f ? match : best >= 0.4f ? -2 : -1;
}

}  // namespace cudet::bench
