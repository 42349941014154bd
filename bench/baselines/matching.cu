#include "matching.h"

#include "matching_element.h"

#include <cuda_runtime.h>

namespace cudet::bench {
namespace {

constexpr int kThreads = 512;

__device__ std::int64_t global_index() {
  return blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
}

__global__ void baseline_pair_kernel(const BaselineMatching problem) {
  const std::int64_t i = global_index();
  if (i < problem.batch * problem.box_count * problem.anchor_count) baseline_pair(problem, i);
}

__global__ void baseline_match_kernel(const BaselineMatching problem) {
  const std::int64_t i = global_index();
  if (i < problem.batch * problem.anchor_count) baseline_match(problem, i);
}

/// One block a box: each thread its share of the row, then a tree in shared memory.
__global__ void baseline_best_anchor_kernel(const BaselineMatching problem) {
  __shared__ float ious[kThreads];
  __shared__ int anchors[kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  const float* row = problem.matrix + blockIdx.x * problem.anchor_count;
  float best = -1.0f;
  int best_anchor = 0;
  for (std::int64_t anchor = thread; anchor < problem.anchor_count; anchor += kThreads) {
    if (row[anchor] > best) {
      best = row[anchor];
      best_anchor = static_cast<int>(anchor);
    }
  }
  ious[thread] = best;
  anchors[thread] = best_anchor;
  for (int step = kThreads / 2; step > 0; step /= 2) {
    __syncthreads();
    if (thread >= step) continue;
    const float other = ious[thread + step];
    const bool first = other == ious[thread] && anchors[thread + step] < anchors[thread];
    if (other > ious[thread] || first) {
      ious[thread] = other;
      anchors[thread] = anchors[thread + step];
    }
  }
  if (thread > 0) return;
  problem.best_anchors[blockIdx.x] = anchors[0];
  problem.best_anchor_ious[blockIdx.x] = ious[0];
}

unsigned blocks_of(std::int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

}  // namespace

Status launch_baseline(const BaselineMatching& problem, cudaStream_t stream) {
  const std::int64_t boxes = problem.batch * problem.box_count;
  baseline_pair_kernel<<<blocks_of(boxes * problem.anchor_count), kThreads, 0, stream>>>(problem);
  if (problem.ious != nullptr) {
    baseline_match_kernel<<<blocks_of(problem.batch * problem.anchor_count), kThreads, 0, stream>>>(
        problem);
    baseline_best_anchor_kernel<<<static_cast<unsigned>(boxes), kThreads, 0, stream>>>(problem);
  }
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return Status();
  return Status::error(StatusCode::cuda_error, "baseline: %s", cudaGetErrorString(error));
}

}  // namespace cudet::bench
