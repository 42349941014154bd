// The two-stage sum of the focal losses: every warp stores what it has added up, the last block to
// arrive adds these partial sums in the order of their positions.
//
// The tree is fixed by shape: a lane adds its elements, the lanes of a warp meet in a butterfly, a
// warp of the last block adds kFocalGroup partial sums in double, and one warp adds the groups.
#pragma once

#include "device/shared_memory.cuh"
#include "device/warp.cuh"

#include "../src/focal_loss_plan.h"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

struct FocalReductionParameters {
  FocalPartial* sums;  ///< null where nothing is summed
  double* group_sums;
  long long* group_counts;
  unsigned* arrived;
  unsigned partials;
  const float* normaliser;  ///< null: 1
  double divisor;           ///< of the sum, beside the normaliser
  float* loss;              ///< null: not wanted
  void* count;              ///< null: not wanted
  bool count_is_64_bit;
};

/// What the sum is divided by on the device. fmaxf() takes the 1 where the normaliser is NaN.
__device__ __forceinline__ float normaliser_of(const float* normaliser) {
  return normaliser == nullptr ? 1.0f : fmaxf(1.0f, *normaliser);
}

/// Sum over the lanes, in every lane; the same bits whichever lane adds.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(kFullWarp, value, offset);
  return value;
}

/// The same where the hardware can do it in one instruction.
__device__ __forceinline__ unsigned warp_count(unsigned value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  return warp_sum(value);
#else
  return __reduce_add_sync(kFullWarp, value);
#endif
}

/// Sum of one group of partial sums by one warp, in every lane.
__device__ __forceinline__ void add_group(const FocalReductionParameters& parameters,
                                          unsigned group, double& sum, unsigned& count) {
  constexpr unsigned kGroup = static_cast<unsigned>(kFocalGroup);
  const unsigned first = group * kGroup;
  const unsigned end = min(first + kGroup, parameters.partials);
  double lane_sum = 0.0;
  unsigned lane_count = 0;  // at most 2^21: a chunk has 2048 elements, a group 1024 chunks
#pragma unroll 2
  for (unsigned i = first + threadIdx.x % kWarpSize; i < end; i += kWarpSize) {
    // Past the first-level cache, which does not see what other blocks have written.
    const uint2 partial = __ldcg(reinterpret_cast<const uint2*>(parameters.sums) + i);
    lane_sum += static_cast<double>(__uint_as_float(partial.x));
    lane_count += partial.y;
  }
  sum = warp_sum(lane_sum);
  count = warp_count(lane_count);
}

/// Adds all partial sums; run by every thread of the last block.
__device__ void finish_reduction(const FocalReductionParameters& parameters) {
  const unsigned lane = threadIdx.x % kWarpSize;
  const unsigned warp = threadIdx.x / kWarpSize;
  const unsigned groups =
      (parameters.partials + static_cast<unsigned>(kFocalGroup) - 1) / kFocalGroup;
  for (unsigned group = warp; group < groups; group += blockDim.x / kWarpSize) {
    double sum;
    unsigned count;
    add_group(parameters, group, sum, count);
    if (lane == 0) {
      parameters.group_sums[group] = sum;
      parameters.group_counts[group] = count;
    }
  }
  __syncthreads();
  if (warp != 0) return;
  double sum = 0.0;
  long long count = 0;
#pragma unroll 1
  for (unsigned group = lane; group < groups; group += kWarpSize) {
    sum += parameters.group_sums[group];
    count += parameters.group_counts[group];
  }
  sum = warp_sum(sum);
  count = warp_sum(count);
  if (lane != 0) return;
  if (parameters.loss != nullptr) {
    const double divisor =
        parameters.divisor * static_cast<double>(normaliser_of(parameters.normaliser));
    *parameters.loss = static_cast<float>(sum / divisor);
  }
  if (parameters.count != nullptr) {
    if (parameters.count_is_64_bit) {
      *static_cast<long long*>(parameters.count) = count;
    } else {
      *static_cast<int*>(parameters.count) = static_cast<int>(count);
    }
  }
}

/// Stores the sums of warp `partial` and finishes the reduction in the last block. Contains
/// barriers: all threads of the block call it, those of warps without work with zeros.
__device__ __forceinline__ void reduce(const FocalReductionParameters& parameters, unsigned partial,
                                       float sum, unsigned count) {
  if (parameters.sums == nullptr) return;
  CUDET_SHARED(bool, is_last);
  sum = warp_sum(sum);
  count = warp_count(count);
  if (threadIdx.x % kWarpSize == 0 && partial < parameters.partials) {
    reinterpret_cast<uint2*>(parameters.sums)[partial] = make_uint2(__float_as_uint(sum), count);
    __threadfence();
  }
  __syncthreads();
  if (threadIdx.x == 0) is_last = atomicAdd(parameters.arrived, 1u) == gridDim.x - 1;
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  finish_reduction(parameters);
}

}  // namespace cudet::device
