#include "nms.h"

#include <cub/device/device_radix_sort.cuh>

#include <algorithm>

namespace cudet::bench {
namespace {

constexpr int kTile = 64;
constexpr int kThreads = 256;

__host__ __device__ std::int64_t tiles_of(std::int64_t n) {
  return (n + kTile - 1) / kTile;
}

/// The arrays in the workspace.
struct Arrays {
  float* sorted_scores;
  std::int32_t* numbers;  ///< 0 ... n - 1
  std::int32_t* order;    ///< numbers by decreasing score
  float4* sorted_boxes;
  unsigned long long* mask;  ///< [n, tiles]
  unsigned char* keep;       ///< by sorted position
  void* sort_temporary;
  std::size_t sort_bytes;
  std::size_t total;
};

std::size_t sort_bytes_for(std::int64_t n) {
  std::size_t bytes = 0;
  cub::DeviceRadixSort::SortPairsDescending(
      nullptr, bytes, static_cast<const float*>(nullptr), static_cast<float*>(nullptr),
      static_cast<const std::int32_t*>(nullptr), static_cast<std::int32_t*>(nullptr), n);
  return bytes;
}

Arrays lay_out(void* workspace, std::int64_t n) {
  Arrays arrays = {};
  char* const base = static_cast<char*>(workspace);
  const auto take = [&](auto*& pointer, std::int64_t count, std::size_t size) {
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(base + arrays.total);
    arrays.total += (static_cast<std::size_t>(count) * size + 255) / 256 * 256;
  };
  take(arrays.sorted_scores, n, sizeof(float));
  take(arrays.numbers, n, sizeof(std::int32_t));
  take(arrays.order, n, sizeof(std::int32_t));
  take(arrays.sorted_boxes, n, sizeof(float4));
  take(arrays.mask, n * tiles_of(n), sizeof(unsigned long long));
  take(arrays.keep, n, 1);
  arrays.sort_bytes = sort_bytes_for(n);
  char* temporary = nullptr;
  take(temporary, static_cast<std::int64_t>(arrays.sort_bytes), 1);
  arrays.sort_temporary = temporary;
  return arrays;
}

__global__ void number_kernel(std::int32_t* numbers, std::int64_t n) {
  const std::int64_t i = blockIdx.x * std::int64_t{kThreads} + threadIdx.x;
  if (i < n) numbers[i] = static_cast<std::int32_t>(i);
}

__global__ void gather_boxes_kernel(const float* boxes, const std::int32_t* order, std::int64_t n,
                                    float4* sorted) {
  const std::int64_t i = blockIdx.x * std::int64_t{kThreads} + threadIdx.x;
  if (i >= n) return;
  const float* const box = boxes + 4 * static_cast<std::int64_t>(order[i]);
  sorted[i] = make_float4(box[0], box[1], box[2], box[3]);
}

__device__ bool iou_exceeds(const float* a, const float* b, float threshold) {
  const float left = fmaxf(a[0], b[0]), right = fminf(a[2], b[2]);
  const float top = fmaxf(a[1], b[1]), bottom = fminf(a[3], b[3]);
  const float width = fmaxf(right - left, 0.0f), height = fmaxf(bottom - top, 0.0f);
  const float common = __fmul_rn(width, height);
  const float area_a = __fmul_rn(a[2] - a[0], a[3] - a[1]);
  const float area_b = __fmul_rn(b[2] - b[0], b[3] - b[1]);
  return __fdiv_rn(common, area_a + area_b - common) > threshold;
}

/// A block of 64 threads for each pair of tiles, also for those that lie below the diagonal, which
/// have nothing to do.
__global__ void mask_kernel(std::int64_t n, float threshold, const float* boxes,
                            unsigned long long* mask) {
  const std::int64_t row_tile = blockIdx.y, column_tile = blockIdx.x;
  if (row_tile > column_tile) return;
  const auto rows = static_cast<int>(min(n - row_tile * kTile, std::int64_t{kTile}));
  const auto columns = static_cast<int>(min(n - column_tile * kTile, std::int64_t{kTile}));
  __shared__ float block_boxes[kTile * 4];
  const auto thread = static_cast<int>(threadIdx.x);
  if (thread < columns) {
    for (int i = 0; i < 4; ++i)
      block_boxes[4 * thread + i] = boxes[4 * (column_tile * kTile + thread) + i];
  }
  __syncthreads();
  if (thread >= rows) return;
  const std::int64_t row = row_tile * kTile + thread;
  unsigned long long bits = 0;
  for (int i = row_tile == column_tile ? thread + 1 : 0; i < columns; ++i) {
    if (iou_exceeds(boxes + 4 * row, block_boxes + 4 * i, threshold)) bits |= 1ull << i;
  }
  mask[row * tiles_of(n) + column_tile] = bits;
}

/// One block, with the flags of all boxes in shared memory.
__global__ void reduce_kernel(std::int64_t n, const unsigned long long* mask, unsigned char* keep) {
  extern __shared__ unsigned long long removed[];
  const std::int64_t tiles = tiles_of(n);
  for (std::int64_t i = threadIdx.x; i < tiles; i += blockDim.x)
    removed[i] = 0;
  __syncthreads();
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    unsigned long long flags = removed[tile];
    __syncthreads();
    for (int i = 0; i < kTile && tile * kTile + i < n; ++i) {
      const std::int64_t box = tile * kTile + i;
      if (((flags >> i) & 1) != 0) continue;
      if (threadIdx.x == 0) keep[box] = 1;
      for (std::int64_t j = threadIdx.x; j < tiles; j += blockDim.x) {
        if (j >= tile) removed[j] |= mask[box * tiles + j];
      }
      __syncthreads();
      flags = removed[tile];
    }
  }
}

/// One block: the kept boxes, in order.
__global__ void collect_kernel(const BaselineNms problem, const Arrays arrays) {
  __shared__ int counts[kThreads];
  const auto thread = static_cast<int>(threadIdx.x);
  std::int64_t stored = 0;
  for (std::int64_t first = 0; first < problem.n && stored < problem.max_outputs;
       first += kThreads) {
    const std::int64_t i = first + thread;
    const bool kept =
        i < problem.n && arrays.keep[i] != 0 && arrays.sorted_scores[i] > problem.score_threshold;
    counts[thread] = kept ? 1 : 0;
    __syncthreads();
    std::int64_t slot = stored;
    for (int t = 0; t < kThreads; ++t) {
      if (t < thread) slot += counts[t];
      stored += counts[t];
    }
    if (kept && slot < problem.max_outputs) {
      problem.indices[slot] = arrays.order[i];
      problem.kept_scores[slot] = arrays.sorted_scores[i];
      const float4 box = arrays.sorted_boxes[i];
      const float numbers[4] = {box.x, box.y, box.z, box.w};
      for (int k = 0; k < 4; ++k)
        problem.kept_boxes[4 * slot + k] = numbers[k];
    }
    __syncthreads();
  }
  const std::int64_t count = min(stored, problem.max_outputs);
  if (thread == 0) *problem.count = static_cast<std::int32_t>(count);
  for (std::int64_t slot = count + thread; slot < problem.max_outputs; slot += kThreads) {
    problem.indices[slot] = -1;
    problem.kept_scores[slot] = 0.0f;
    for (int k = 0; k < 4; ++k)
      problem.kept_boxes[4 * slot + k] = 0.0f;
  }
}

Status failed(cudaError_t error) {
  return Status::error(StatusCode::cuda_error, "baseline: %s", cudaGetErrorString(error));
}

}  // namespace

std::size_t baseline_workspace_bytes(std::int64_t n) {
  return lay_out(nullptr, n).total;
}

Status launch_baseline(const BaselineNms& problem, void* workspace, std::size_t workspace_bytes,
                       cudaStream_t stream) {
  const std::int64_t n = problem.n;
  const Arrays arrays = lay_out(workspace, n);
  if (arrays.total > workspace_bytes) return failed(cudaErrorMemoryAllocation);
  const auto blocks = static_cast<unsigned>((n + kThreads - 1) / kThreads);
  number_kernel<<<blocks, kThreads, 0, stream>>>(arrays.numbers, n);
  std::size_t sort_bytes = arrays.sort_bytes;
  cudaError_t error = cub::DeviceRadixSort::SortPairsDescending(
      arrays.sort_temporary, sort_bytes, problem.scores, arrays.sorted_scores, arrays.numbers,
      arrays.order, n, 0, 32, stream);
  if (error != cudaSuccess) return failed(error);
  gather_boxes_kernel<<<blocks, kThreads, 0, stream>>>(problem.boxes, arrays.order, n,
                                                       arrays.sorted_boxes);
  const auto tiles = static_cast<unsigned>(tiles_of(n));
  mask_kernel<<<dim3(tiles, tiles), kTile, 0, stream>>>(
      n, problem.iou_threshold, reinterpret_cast<const float*>(arrays.sorted_boxes), arrays.mask);
  error = cudaMemsetAsync(arrays.keep, 0, static_cast<std::size_t>(n), stream);
  if (error != cudaSuccess) return failed(error);
  const unsigned threads = std::min(tiles, unsigned{kTile});
  reduce_kernel<<<1, threads, tiles * sizeof(unsigned long long), stream>>>(n, arrays.mask,
                                                                            arrays.keep);
  collect_kernel<<<1, kThreads, 0, stream>>>(problem, arrays);
  error = cudaGetLastError();
  return error == cudaSuccess ? Status() : failed(error);
}

}  // namespace cudet::bench
