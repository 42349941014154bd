#include "limits.h"

#include <cuda_runtime_api.h>

namespace cudet::bench {
namespace {

constexpr int kThreads = 256;
constexpr int kChains = 8;  // of operations side by side, to hide their latency
constexpr int kSteps = 16;  // in a chain, a round

Status status_of_launch(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return Status();
  return Status::error(StatusCode::cuda_error, "%s: %s", kernel, cudaGetErrorString(error));
}

__global__ void copy_kernel(uint4* to, const uint4* from, std::size_t count) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * kThreads;
  for (std::size_t i = blockIdx.x * static_cast<std::size_t>(kThreads) + threadIdx.x; i < count;
       i += step) {
    to[i] = from[i];
  }
}

__global__ void multiply_add_kernel(std::int64_t rounds, float factor, float summand, float* sink) {
  float values[kChains];
  for (int i = 0; i < kChains; ++i)
    values[i] = static_cast<float>(threadIdx.x + i);
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < kChains; ++i)
        values[i] = __fmaf_rn(values[i], factor, summand);
    }
  }
  float sum = 0.0f;
  for (int i = 0; i < kChains; ++i)
    sum += values[i];
  if (sum != sum) *sink = sum;
}

}  // namespace

double operations_of_multiply_add(std::int64_t threads, std::int64_t rounds) {
  return 2.0 * kChains * kSteps * static_cast<double>(threads) * static_cast<double>(rounds);
}

Status launch_copy(void* to, const void* from, std::size_t bytes, int multiprocessors,
                   cudaStream_t stream) {
  const int blocks = 16 * multiprocessors;
  copy_kernel<<<blocks, kThreads, 0, stream>>>(static_cast<uint4*>(to),
                                               static_cast<const uint4*>(from), bytes / 16);
  return status_of_launch("copy");
}

Status launch_multiply_add(std::int64_t threads, std::int64_t rounds, float* sink,
                           cudaStream_t stream) {
  multiply_add_kernel<<<static_cast<unsigned>(threads / kThreads), kThreads, 0, stream>>>(
      rounds, 0.5f, 1.0f, sink);
  return status_of_launch("multiply-add");
}

}  // namespace cudet::bench
