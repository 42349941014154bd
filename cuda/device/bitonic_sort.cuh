// Bitonic sort of 64-bit keys held by a warp or a block, two keys a thread (Batcher 1968).
//
// Warp w holds positions 64 w ... 64 w + 63: lane l the positions 64 w + l (first) and
// 64 w + 32 + l (second). Steps over a distance of up to 16 are shuffles, of 32 a comparison within
// the thread, of 64 and more an exchange through shared memory. Exchanges alternate between two
// buffers, so that each needs one barrier only: 10 for 1024 keys.
#pragma once

#include "warp.cuh"

#include <cuda_runtime.h>

namespace cudet::device {

using SortKey = unsigned long long;

/// Puts the smaller of both keys into the position that is to have it.
__device__ __forceinline__ SortKey keep_one(SortKey own, SortKey other, bool keep_smaller) {
  return (own < other) == keep_smaller ? own : other;
}

/// Sorts `keys` keys, of which thread `thread` of those that hold them has these two; `keys` is a
/// power of two from 64 on.
__device__ __forceinline__ void sort_keys(SortKey& first, SortKey& second, unsigned thread,
                                          unsigned keys, SortKey* exchange) {
  const unsigned lane = thread % kWarpSize;
  const unsigned first_position = 2 * (thread - lane) + lane;
  const unsigned second_position = first_position + kWarpSize;
  unsigned buffer = 0;
  for (unsigned length = 2; length <= keys; length *= 2) {
    // Runs of `length` keys become sorted, upwards and downwards in turn.
    const bool first_up = (first_position & length) == 0;
    const bool second_up = (second_position & length) == 0;
    for (unsigned distance = length / 2; distance > 0; distance /= 2) {
      if (distance == kWarpSize) {
        const bool swap = (first > second) == first_up;
        const SortKey larger_place = swap ? first : second;
        first = swap ? second : first;
        second = larger_place;
        continue;
      }
      const bool lower = (first_position & distance) == 0;
      SortKey other_first;
      SortKey other_second;
      if (distance < kWarpSize) {
        other_first = __shfl_xor_sync(kFullWarp, first, static_cast<int>(distance));
        other_second = __shfl_xor_sync(kFullWarp, second, static_cast<int>(distance));
      } else {
        SortKey* const keys_of_block = exchange + buffer * keys;
        keys_of_block[first_position] = first;
        keys_of_block[second_position] = second;
        __syncthreads();
        other_first = keys_of_block[first_position ^ distance];
        other_second = keys_of_block[second_position ^ distance];
        buffer ^= 1;
      }
      first = keep_one(first, other_first, lower == first_up);
      second = keep_one(second, other_second, lower == second_up);
    }
  }
}

/// Sorts the 2 * blockDim.x keys of the block in ascending order; blockDim.x is a power of two from
/// 32 on. `exchange` is shared memory for 4 * blockDim.x keys, which other threads may still read
/// when this returns. All threads of the block take part; with more than one warp there are
/// barriers.
__device__ inline void sort_block(SortKey& first, SortKey& second, SortKey* exchange) {
  sort_keys(first, second, threadIdx.x, 2 * blockDim.x, exchange);
}

/// Sorts the 64 keys of the warp in ascending order.
__device__ __forceinline__ void sort_warp(SortKey& first, SortKey& second) {
  sort_keys(first, second, threadIdx.x % kWarpSize, 2 * kWarpSize, nullptr);
}

}  // namespace cudet::device
