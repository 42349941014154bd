// A tile: 64 boxes in the order in which they are visited, and greedy suppression within it by one
// warp, whose lane l has the boxes l and l + 32.
#pragma once

#include "device/warp.cuh"

#include <cuda_runtime.h>

namespace cudet::device {

/// 64 flags, one a box of a tile; aligned so that one access reads or writes them.
struct alignas(8) TileMask {
  unsigned low, high;

  __device__ int count() const { return __popc(low) + __popc(high); }
  __device__ bool operator!=(const TileMask& other) const {
    return low != other.low || high != other.high;
  }
};

__device__ __forceinline__ bool any_of(const TileMask& a, const TileMask& b) {
  return ((a.low & b.low) | (a.high & b.high)) != 0u;
}

/// Greedy suppression inside one tile, by one warp. Lane l knows boxes l and l + 32: whether they
/// are alive, and which earlier boxes of the tile overlap them. The kept set is the only one in
/// which a box is kept exactly where it is alive and no kept box overlaps it from before; iterating
/// from "all kept" settles one more link of every chain of suppressions in each round, so it ends
/// after as many rounds as the longest chain has links (4 on average, 64 at most), unlike a scan,
/// which takes a step for each kept box.
__device__ __forceinline__ TileMask resolve_tile(bool first_alive, bool second_alive,
                                                 TileMask overlap_first, TileMask overlap_second) {
  TileMask kept = {__ballot_sync(kFullWarp, first_alive), __ballot_sync(kFullWarp, second_alive)};
  TileMask before;
  do {
    before = kept;
    kept.low = __ballot_sync(kFullWarp, first_alive && !any_of(overlap_first, before));
    kept.high = __ballot_sync(kFullWarp, second_alive && !any_of(overlap_second, before));
  } while (kept != before);
  return kept;
}

/// The number of the first flag that is set; one is.
__device__ __forceinline__ int first_flag(const TileMask& mask) {
  return mask.low != 0u ? __ffs(static_cast<int>(mask.low)) - 1
                        : kWarpSize + __ffs(static_cast<int>(mask.high)) - 1;
}

/// The first `limit` of the flags that are set.
__device__ __forceinline__ TileMask first_flags(TileMask mask, int limit) {
  while (mask.count() > limit) {
    if (mask.high != 0u) {
      mask.high &= ~(0x80000000u >> __clz(static_cast<int>(mask.high)));
    } else {
      mask.low &= ~(0x80000000u >> __clz(static_cast<int>(mask.low)));
    }
  }
  return mask;
}

/// The flags before lane l's first box (l) or second box (l + 32).
__device__ __forceinline__ TileMask flags_before(const TileMask& mask, unsigned lane, bool second) {
  const unsigned below = (1u << lane) - 1u;
  return second ? TileMask{mask.low, mask.high & below} : TileMask{mask.low & below, 0u};
}

/// How many flags are set before lane l's first or second box.
__device__ __forceinline__ int rank_in_tile(const TileMask& mask, unsigned lane, bool second) {
  return flags_before(mask, lane, second).count();
}

/// The flag of lane l's first or second box.
__device__ __forceinline__ bool flag_of(const TileMask& mask, unsigned lane, bool second) {
  return (((second ? mask.high : mask.low) >> lane) & 1u) != 0u;
}

}  // namespace cudet::device
