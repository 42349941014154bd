// The two-stage sum of a loss: every block stores the sum of its threads, the last block to arrive
// adds these partial sums in double.
//
// The tree is fixed by the number of elements: a warp meets in a butterfly, the warps of a block in
// order; of the last block, a thread adds every 256th partial sum, and again butterfly and order.
#pragma once

#include "device/shared_memory.cuh"
#include "device/warp.cuh"
#include "loss_reduction.h"

#include <cuda_runtime.h>

namespace cudet::device {

constexpr int kLossBlockThreads = static_cast<int>(kLossBlockElements);

/// max(1, normaliser); 1 for NaN and where there is none.
__device__ __forceinline__ float loss_normaliser(const LossReductionParameters& parameters) {
  return parameters.normaliser == nullptr ? 1.0f : fmaxf(1.0f, *parameters.normaliser);
}

/// What `gradient factors` are divided by: mean and normaliser.
__device__ __forceinline__ float loss_divisor(const LossReductionParameters& parameters) {
  return __fmul_rn(static_cast<float>(parameters.count), loss_normaliser(parameters));
}

__device__ __forceinline__ float add_rn(float a, float b) {
  return __fadd_rn(a, b);
}
__device__ __forceinline__ double add_rn(double a, double b) {
  return __dadd_rn(a, b);
}

/// Sum over the block, in its first thread. Contains a barrier.
template <class T>
__device__ __forceinline__ T block_sum(T value, T* warp_sums) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2)
    value = add_rn(value, __shfl_xor_sync(kFullWarp, value, offset));
  if (threadIdx.x % kWarpSize == 0) warp_sums[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  if (threadIdx.x == 0) {
    value = warp_sums[0];
    for (int warp = 1; warp < kLossBlockThreads / kWarpSize; ++warp)
      value = add_rn(value, warp_sums[warp]);
  }
  return value;
}

/// Adds the losses of all threads of the grid, that of a thread without an element being 0. All
/// threads of a block call it.
__device__ __forceinline__ void reduce_loss(const LossReductionParameters& parameters,
                                            float value) {
  if (parameters.loss == nullptr) return;
  CUDET_SHARED_ARRAY(float, warp_sums, kLossBlockThreads / kWarpSize);
  CUDET_SHARED_ARRAY(double, wide_warp_sums, kLossBlockThreads / kWarpSize);
  CUDET_SHARED(bool, is_last);
  const float partial = block_sum(value, warp_sums);
  if (threadIdx.x == 0) {
    parameters.partials[blockIdx.x] = partial;
    __threadfence();
    is_last = gridDim.x == 1 || atomicAdd(parameters.arrived, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  double sum = 0.0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kLossBlockThreads)
    sum = __dadd_rn(sum, static_cast<double>(__ldcg(parameters.partials + i)));
  sum = block_sum(sum, wide_warp_sums);
  if (threadIdx.x == 0) {
    const double divisor =
        __dmul_rn(parameters.count, static_cast<double>(loss_normaliser(parameters)));
    *parameters.loss = static_cast<float>(sum / divisor);
  }
}

}  // namespace cudet::device
