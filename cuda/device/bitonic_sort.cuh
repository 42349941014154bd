// Sort of 64-bit keys held by a warp or a block, two keys a thread: bitonic (Batcher 1968) within a
// warp, and then runs are merged, each key looking up how many keys of the other run go before it.
//
// Warp w holds positions 64 w ... 64 w + 63: lane l the positions 64 w + l (first) and
// 64 w + 32 + l (second). The 21 steps of a warp are shuffles or within the thread. A merge of runs
// of r keys takes log2(r) + 1 reads of shared memory a key where bitonic steps would take
// log2(r) + 1 exchanges with a barrier for those over a distance of 64 and more. Merges alternate
// between two buffers, so that each needs one barrier only: 5 for 1024 keys.
#pragma once

#include "warp.cuh"

#include <cuda_runtime.h>

namespace cudet::device {

using SortKey = unsigned long long;

constexpr unsigned kSortKeysOfWarp = 2 * kWarpSize;
constexpr unsigned kSortKeysOfBlock = 1024;  ///< at most
constexpr SortKey kLastSortKey = ~SortKey{0};

/// Puts the smaller of both keys into the position that is to have it.
__device__ __forceinline__ SortKey keep_one(SortKey own, SortKey other, bool keep_smaller) {
  return (own < other) == keep_smaller ? own : other;
}

/// Compares keys over a distance of kDistance and less, so that runs of kLength keys are sorted,
/// upwards and downwards in turn.
template <unsigned kLength, unsigned kDistance>
__device__ __forceinline__ void sort_runs(SortKey& first, SortKey& second) {
  const unsigned lane = threadIdx.x % kWarpSize;
  if constexpr (kDistance == kWarpSize) {
    const SortKey smaller = first < second ? first : second;
    second = first < second ? second : first;
    first = smaller;
  } else {
    const bool first_keeps_smaller = ((lane & kLength) == 0) == ((lane & kDistance) == 0);
    const bool second_keeps_smaller =
        kLength == kWarpSize ? !first_keeps_smaller : first_keeps_smaller;
    constexpr auto kLanes = static_cast<int>(kDistance);
    first = keep_one(first, __shfl_xor_sync(kFullWarp, first, kLanes), first_keeps_smaller);
    second = keep_one(second, __shfl_xor_sync(kFullWarp, second, kLanes), second_keeps_smaller);
  }
  if constexpr (kDistance > 1) sort_runs<kLength, kDistance / 2>(first, second);
}

/// Sorts the 64 keys of the warp in ascending order.
__device__ __forceinline__ void sort_warp(SortKey& first, SortKey& second) {
  sort_runs<2, 1>(first, second);
  sort_runs<4, 2>(first, second);
  sort_runs<8, 4>(first, second);
  sort_runs<16, 8>(first, second);
  sort_runs<32, 16>(first, second);
  sort_runs<64, 32>(first, second);
}

/// How many keys of a sorted run go before `key`, which is of the run beside it; `length`, a power
/// of two, is that of both. Only kLastSortKey can be in both: it goes after those of the lower run.
__device__ __forceinline__ unsigned keys_before(const SortKey* run, unsigned length, SortKey key,
                                                bool run_is_lower) {
  const SortKey* at = run;
#pragma unroll
  for (unsigned step = length / 2; step > 0; step /= 2) {
    if (at[step - 1] < key) at += step;
  }
  const auto count = static_cast<unsigned>(at - run) + static_cast<unsigned>(*at < key);
  return run_is_lower && key == kLastSortKey ? length : count;
}

/// Sorts the 2 * blockDim.x keys of the block in ascending order; blockDim.x is a power of two from
/// 32 to 512. No two keys are equal, except that any number may be kLastSortKey. `exchange` is
/// shared memory for 4 * blockDim.x keys, which other threads may still read when this returns. All
/// threads of the block take part; with more than one warp there are barriers.
__device__ __forceinline__ void sort_block(SortKey& first, SortKey& second, SortKey* exchange) {
  sort_warp(first, second);
  const unsigned keys = 2 * blockDim.x;
  const unsigned lane = threadIdx.x % kWarpSize;
  const unsigned place = 2 * (threadIdx.x - lane) + lane;
  SortKey key[2] = {first, second};
  unsigned position[2] = {place, place + kWarpSize};
  SortKey* from = exchange;
  SortKey* to = exchange + keys;
#pragma unroll
  for (unsigned length = kSortKeysOfWarp; length < kSortKeysOfBlock; length *= 2) {
    if (length >= keys) break;
    from[position[0]] = key[0];
    from[position[1]] = key[1];
    __syncthreads();
    const unsigned pair = place & ~(2 * length - 1);  // where the two runs begin
    const bool is_upper = (place & length) != 0;
    const SortKey* const other = from + pair + (is_upper ? 0 : length);
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const unsigned in_run = position[k] & (length - 1);
      position[k] = pair + in_run + keys_before(other, length, key[k], is_upper);
    }
    SortKey* const next = from;
    from = to;
    to = next;
  }
  if (keys == kSortKeysOfWarp) return;
  from[position[0]] = key[0];
  from[position[1]] = key[1];
  __syncthreads();
  first = from[place];
  second = from[place + kWarpSize];
}

}  // namespace cudet::device
