// IoU matrix and matching as they are usually written: to compare with, not to use. One thread a
// pair, its boxes by a division, both areas anew for each pair; the matrix goes to memory and is
// read twice, once for the best box of each anchor and once for the best anchor of each box. Images
// are worked off one after the other.
#pragma once

#include <cudet/execution.h>
#include <cudet/status.h>

#include <cstdint>

namespace cudet::bench {

struct BaselineMatching {
  const float* boxes;    ///< [batch, box_count, 4], xyxy
  const float* anchors;  ///< [batch, anchor_count, 4], or [anchor_count, 4] for all images
  std::int64_t batch;
  std::int64_t box_count;
  std::int64_t anchor_count;
  bool anchors_by_image;
  float* matrix;  ///< [batch, box_count, anchor_count]
  float* ious;    ///< [batch, anchor_count]: of its best box; null: the matrix alone is wanted
  std::int32_t* matches;       ///< [batch, anchor_count]: that box; -1 below 0.4, -2 below 0.5
  std::int32_t* best_anchors;  ///< [batch, box_count]
  float* best_anchor_ious;     ///< [batch, box_count]
};

/// On a stream, where gpu_bench was built with CUDA, or in loops on the CPU.
Status run_baseline(const BaselineMatching& problem, const Execution& execution);

/// The former half of it, in matching.cu.
Status launch_baseline(const BaselineMatching& problem, cudaStream_t stream);

}  // namespace cudet::bench
