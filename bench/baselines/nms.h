// NMS as it is usually written (torchvision, mmcv): to compare with, not to use. A sort of the
// scores; a bit for every pair of boxes, of which half are never looked at, each by a division; one
// block that goes through the boxes one after the other, with a barrier for every one that is kept.
#pragma once

#include <cudet/status.h>

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace cudet::bench {

/// One image; everything on the device.
struct BaselineNms {
  const float* boxes;   ///< [n, 4], corners
  const float* scores;  ///< [n]
  std::int64_t n;
  float iou_threshold;
  float score_threshold;  ///< boxes with a score not greater are not kept
  std::int64_t max_outputs;
  std::int32_t* count;    ///< [1]
  std::int32_t* indices;  ///< [max_outputs]
  float* kept_boxes;      ///< [max_outputs, 4]
  float* kept_scores;     ///< [max_outputs]
};

/// Bytes that launch_baseline() needs beside.
std::size_t baseline_workspace_bytes(std::int64_t n);

Status launch_baseline(const BaselineNms& problem, void* workspace, std::size_t workspace_bytes,
                       cudaStream_t stream);

}  // namespace cudet::bench
