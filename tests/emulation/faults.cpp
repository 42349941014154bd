// Kernels with faults that a sanitizer must report, one a run: emulation_faults NAME.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>

#include "cuda/emulation/device.h"

namespace {

constexpr unsigned int kThreads = 64;

__global__ void global_write_past_end(float* data) {
  data[threadIdx.x == 0 ? kThreads : kThreads - 1] = 1.0f;
}

__global__ void global_read_past_end(float* data) {
  if (threadIdx.x == 0) data[0] = data[kThreads];
}

__global__ void global_read_before_start(float* data) {
  if (threadIdx.x == 0) data[0] = data[-1];
}

__global__ void use_after_free(float* data) {
  data[0] = data[1];
}

__global__ void shared_write_past_end(float* data) {
  CUDET_SHARED_ARRAY(float, values, kThreads);
  values[threadIdx.x + (threadIdx.x == kThreads - 1 ? 1 : 0)] = data[threadIdx.x];
}

__device__ void write_through(float* values, unsigned int index) {
  values[index] = 1.0f;
}

__global__ void shared_write_through_pointer(float*) {
  CUDET_SHARED_ARRAY(float, values, kThreads);
  write_through(values, threadIdx.x + 1);
}

__global__ void dynamic_shared_read_past_end(float* data) {
  CUDET_DYNAMIC_SHARED(float, values);
  values[threadIdx.x] = 0.0f;
  __syncthreads();
  data[threadIdx.x] = values[threadIdx.x + 1];
}

__global__ void misaligned_float4(float* data) {
  data[0] = reinterpret_cast<const float4*>(data + 1)->x;
}

// Each thread reads its neighbour's element of shared memory.
template <bool kWithBarrier>
__global__ void exchange_in_block(float* data) {
  CUDET_SHARED_ARRAY(float, values, kThreads);
  values[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (kWithBarrier) __syncthreads();
  data[threadIdx.x] = values[(threadIdx.x + 1) % kThreads];
}

enum class WarpOrder { kNone, kShuffle, kSync };

template <WarpOrder kOrder>
__global__ void exchange_in_warp(float* data) {
  CUDET_SHARED_ARRAY(float, values, 32);
  const unsigned int lane = threadIdx.x % 32;
  if (threadIdx.x >= 32) return;
  values[lane] = static_cast<float>(lane);
  if (kOrder == WarpOrder::kShuffle) __shfl_sync(0xFFFFFFFFu, 1, 0);
  if (kOrder == WarpOrder::kSync) __syncwarp();
  data[lane] = values[lane ^ 1u];
}

// All blocks write to the same place. Their barriers order nothing between them.
__global__ void racing_blocks(float* data) {
  __syncthreads();
  if (threadIdx.x == 0) data[0] = static_cast<float>(blockIdx.x);
}

// The last block sums up what all wrote.
template <bool kWithFence>
__global__ void last_block(float* data) {
  auto* ticket = reinterpret_cast<unsigned int*>(data + 32);
  if (threadIdx.x != 0) return;
  data[blockIdx.x] = 1.0f;
  if (kWithFence) __threadfence();
  if (atomicAdd(ticket, 1u) != gridDim.x - 1) return;
  if (kWithFence) __threadfence();
  for (unsigned int i = 1; i < gridDim.x; ++i)
    data[0] += data[i];
}

struct Fault {
  const char* name;
  void (*kernel)(float*);
  unsigned int blocks = 1;
};

const Fault kFaults[] = {
    {"global_write_past_end", global_write_past_end},
    {"global_read_past_end", global_read_past_end},
    {"global_read_before_start", global_read_before_start},
    {"use_after_free", use_after_free},
    {"shared_write_past_end", shared_write_past_end},
    {"shared_write_through_pointer", shared_write_through_pointer},
    {"dynamic_shared_read_past_end", dynamic_shared_read_past_end},
    {"misaligned_float4", misaligned_float4},
    {"missing_syncthreads", exchange_in_block<false>},
    {"correct_syncthreads", exchange_in_block<true>},
    {"missing_syncwarp", exchange_in_warp<WarpOrder::kNone>},
    {"shuffle_is_no_barrier", exchange_in_warp<WarpOrder::kShuffle>},
    {"correct_syncwarp", exchange_in_warp<WarpOrder::kSync>},
    {"racing_blocks", racing_blocks, 4},
    {"missing_threadfence", last_block<false>, 4},
    {"correct_threadfence", last_block<true>, 4},
};

int run_fault(const Fault& fault) {
  float* data = nullptr;
  cudaMalloc(&data, kThreads * sizeof(float));
  cudaMemset(data, 0, kThreads * sizeof(float));
  const bool after_free = std::strcmp(fault.name, "use_after_free") == 0;
  if (after_free) cudaFree(data);
  cudaLaunchConfig_t config{};
  config.gridDim = fault.blocks;
  config.blockDim = kThreads;
  config.dynamicSmemBytes = kThreads * sizeof(float);
  cudaLaunchKernelEx(&config, fault.kernel, data);
  const cudaError_t error = cudaDeviceSynchronize();
  if (!after_free) cudaFree(data);
  if (error == cudaSuccess) std::puts("ended well");
  return error == cudaSuccess ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  for (const Fault& fault : kFaults) {
    if (argc == 2 && std::strcmp(argv[1], fault.name) == 0) return run_fault(fault);
  }
  std::fputs("usage: emulation_faults NAME, a name of the table in faults.cpp\n", stderr);
  return 2;
}
