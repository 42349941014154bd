// Greedy suppression inside a tile by one warp: settle_row() tests the tile's pairs as it goes, so
// that hardly any is tested whose later box has been suppressed already. Where most boxes are kept,
// overlapping_boxes(), which can go ahead, and settle_flagged() are faster, as nothing waits.
#pragma once

#include "nms_shared_boxes.cuh"
#include "nms_tile.cuh"

namespace cudet::device {

/// Settles 32 boxes in their order, those that the lanes have as box[0], against each other and
/// against the other kRows - 1 boxes of each lane: the first one left is kept and tested against
/// all later ones, so that no test is in vain. Where they suppress few, a group of them is kept at
/// once if shares tell that it suppresses nothing. On return those of the 32 that are alive are
/// kept, and the others are not hit by them.
template <NmsTest kTest, int kRows>
__device__ __forceinline__ void settle_row(const NmsArguments& arguments, const NmsBox* box,
                                           const SharedBoxes& columns, bool* alive) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  constexpr bool kGroups = kRows == 1 && kTest == NmsTest::fast;  // two rows need many registers
  constexpr unsigned kGroupFlags = (1u << kSharedBoxGroup) - 1u;
  bool few_suppressed = false;
  unsigned left = __ballot_sync(kFullWarp, alive[0]);
  for (unsigned ahead = left; ahead != 0u;) {
    const int first = __ffs(static_cast<int>(ahead)) - 1;
    bool takes_part = alive[0] && lane > first;
#pragma unroll
    for (int k = 1; k < kRows; ++k)
      takes_part = takes_part || alive[k];
    if (kGroups && few_suppressed && first % kSharedBoxGroup == 0 &&
        ((ahead >> first) & kGroupFlags) == kGroupFlags) {
      unsigned close = takes_part ? ((1u << lane) - 1u) >> first : 0u;
      clear_far<PairFilter::shares, 1, kSharedBoxGroup>(box, columns.from(first), &close);
      if (__any_sync(kFullWarp, static_cast<int>(close != 0u)) == 0) {
        ahead &= ~(kGroupFlags << first);
        continue;
      }
    }
    if (takes_part) {
#pragma unroll
      for (int k = 0; k < kRows; ++k) {
        if (!alive[k] || (k == 0 && lane <= first)) continue;
        alive[k] = !overlaps<kTest>(arguments, box[k], columns, first);
      }
    }
    const unsigned now = __ballot_sync(kFullWarp, alive[0]);
    few_suppressed = 8 * __popc(left & ~now) <= __popc(now);
    left = now;
    ahead = now & (~1u << first);
  }
}

/// Flags boxes of a tile so that of each two that overlap one is; boxes that are not alive are
/// never flagged, others may be without a cause. A pair is looked at once, but for some in each
/// half: that is a ring, in which each box meets the 16 that follow it.
template <NmsTest kTest>
__device__ __forceinline__ TileMask overlapping_boxes(const NmsArguments& arguments,
                                                      const NmsBox* box, const bool* alive,
                                                      const SharedBoxes& tile) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  bool hit[2] = {false, false};
  if constexpr (kTest == NmsTest::fast) {
    float least[2] = {INFINITY, INFINITY};
#pragma unroll 4
    for (int i = 1; i <= kWarpSize / 2; ++i) {
      const int first = (lane + i) % kWarpSize;
      const int second = first + kWarpSize;
      least[0] = fminf(least[0], share_left(box[0].corners, tile.at(first), tile.share_at(first)));
      least[1] =
          fminf(least[1], share_left(box[1].corners, tile.at(second), tile.share_at(second)));
    }
#pragma unroll 1
    for (int i = 0; i < kWarpSize; i += kSharedBoxGroup) {
      float left = INFINITY;
      least_share_left<1>(box + 1, tile.corners + i, tile.shares[i / kSharedBoxGroup], &left);
      least[1] = fminf(least[1], left);
    }
#pragma unroll
    for (int k = 0; k < 2; ++k)
      hit[k] = least[k] < share_bound(box[k], alive[k]);
  } else {
#pragma unroll 1
    for (int i = 0; i < kWarpSize; ++i) {
      hit[0] = hit[0] || (alive[0] && i > lane && overlaps<kTest>(arguments, box[0], tile, i));
      hit[1] = hit[1] || (alive[1] && overlaps<kTest>(arguments, box[1], tile, i)) ||
               (alive[1] && i > lane && overlaps<kTest>(arguments, box[1], tile, i + kWarpSize));
    }
  }
  return {__ballot_sync(kFullWarp, hit[0]), __ballot_sync(kFullWarp, hit[1])};
}

/// Settles a tile whose overlapping boxes are flagged as overlapping_boxes() does. On return those
/// alive are the kept ones.
template <NmsTest kTest>
__device__ __forceinline__ void settle_flagged(const NmsArguments& arguments, const NmsBox* box,
                                               const SharedBoxes& tile, TileMask flagged,
                                               bool* alive) {
  const unsigned lane = threadIdx.x % kWarpSize;
  TileMask earlier[2] = {};  // which earlier boxes overlap a lane's
  while (any_of(flagged, flagged)) {
    const int other = first_flag(flagged);
    TileMask own = {0u, 0u};
    (other < kWarpSize ? own.low : own.high) = 1u << (other % kWarpSize);
    flagged = {flagged.low & ~own.low, flagged.high & ~own.high};
    bool hit[2];
#pragma unroll
    for (int k = 0; k < 2; ++k)
      hit[k] = alive[k] && !flag_of(own, lane, k == 1) &&
               overlaps<kTest>(arguments, box[k], tile, other);
    const TileMask hits = {__ballot_sync(kFullWarp, hit[0]), __ballot_sync(kFullWarp, hit[1])};
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const TileMask found = flag_of(own, lane, k == 1) ? hits : hit[k] ? own : TileMask{0u, 0u};
      const TileMask before = flags_before(found, lane, k == 1);
      earlier[k] = {earlier[k].low | before.low, earlier[k].high | before.high};
    }
  }
  const TileMask kept = resolve_tile(alive[0], alive[1], earlier[0], earlier[1]);
  alive[0] = flag_of(kept, lane, false);
  alive[1] = flag_of(kept, lane, true);
}

/// Suppression inside each class of a tile, all at the same time, two boxes a lane: every box meets
/// the kept ones before it in its class, one after the other, until one suppresses it. `before`
/// flags the boxes of a lane's classes in front of its own. On return those alive are the kept
/// ones.
template <NmsTest kTest>
__device__ __forceinline__ void settle_classes(const NmsArguments& arguments, const NmsBox* box,
                                               const SharedBoxes& tile, const TileMask* before,
                                               bool* alive) {
  TileMask to_meet[2] = {before[0], before[1]};
  bool working[2];
  do {
    const TileMask left = {__ballot_sync(kFullWarp, alive[0]), __ballot_sync(kFullWarp, alive[1])};
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const unsigned low = to_meet[k].low & left.low;
      const unsigned high = to_meet[k].high & left.high;
      working[k] = alive[k] && (low | high) != 0u;
      if (!working[k]) continue;
      // The first one left has met all kept ones before it, as this box has: it is kept.
      const int other = low != 0u ? __ffs(static_cast<int>(low)) - 1
                                  : kWarpSize + __ffs(static_cast<int>(high)) - 1;
      to_meet[k] = {low & (low - 1u), low != 0u ? high : high & (high - 1u)};
      alive[k] = !overlaps<kTest>(arguments, box[k], tile, other);
    }
  } while (__any_sync(kFullWarp, static_cast<int>(working[0] || working[1])) != 0);
}

}  // namespace cudet::device
