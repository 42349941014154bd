// Greedy suppression inside a tile by one warp that tests the tile's pairs as it goes, so that
// hardly any is tested whose later box has been suppressed already: for tiles of which few boxes
// are kept. Where most are, all pairs and resolve_tile() are faster, as nothing waits.
#pragma once

#include "nms_shared_boxes.cuh"
#include "nms_tile.cuh"

namespace cudet::device {

/// Settles 32 boxes in their order, those that the lanes have as box[0], against each other and
/// against the other kRows - 1 boxes of each lane: the first one left is kept and tested against
/// all later ones, or several at a time where they suppress few, so that few tests are in vain.
/// On return those of the 32 that are alive are kept, and the others are not hit by them.
template <NmsTest kTest, int kRows>
__device__ __forceinline__ void settle_row(const NmsArguments& arguments, const NmsBox* box,
                                           const SharedBoxes& columns, bool* alive) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  bool careful = kTest != NmsTest::fast;
#pragma unroll
  for (int k = 0; k < kRows; ++k)
    careful = careful || box[k].careful;
  careful = __any_sync(kFullWarp, static_cast<int>(careful)) != 0;
  constexpr int kMany = kRows == 1 ? kSharedBoxGroup : 1;  // two rows need too many registers
  constexpr unsigned kManyFlags = (1u << kMany) - 1u;
  bool few_suppressed = false;
  unsigned left = __ballot_sync(kFullWarp, alive[0]);
  for (unsigned ahead = left; ahead != 0u;) {
    const int first = __ffs(static_cast<int>(ahead)) - 1;
    const bool many = kMany > 1 && few_suppressed && !careful && first % kMany == 0 &&
                      ((ahead >> first) & kManyFlags) == kManyFlags;
    bool takes_part = alive[0] && lane > first;
#pragma unroll
    for (int k = 1; k < kRows; ++k)
      takes_part = takes_part || alive[k];
    if (many) {
      unsigned hits[static_cast<unsigned>(kRows)] = {};  // by which of the many
      if (takes_part) {
        push_overlaps<kRows, kMany>(arguments, box, columns, first, hits);
#pragma unroll
        for (int k = 0; k < kRows; ++k)
          hits[k] = __brev(hits[k]) >> (kWarpSize - kMany - first);
        hits[0] &= (1u << lane) - 1u;
      }
      unsigned kept = ~0u;
      unsigned before;
      do {
        before = kept;
        kept = __ballot_sync(kFullWarp, alive[0] && (hits[0] & before) == 0u);
      } while (kept != before);
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        alive[k] = alive[k] && (hits[k] & kept) == 0u;
    } else if (takes_part) {
#pragma unroll
      for (int k = 0; k < kRows; ++k) {
        if (!alive[k] || (k == 0 && lane <= first)) continue;
        alive[k] = !overlaps<kTest>(arguments, box[k], columns, first);
      }
    }
    const int last = many ? first + kMany - 1 : first;
    const unsigned now = __ballot_sync(kFullWarp, alive[0]);
    // A test against several at once is in vain where the first of them decides.
    few_suppressed = (many ? 8 / kMany : 8) * __popc(left & ~now) <= __popc(now);
    left = now;
    ahead = now & (~1u << last);
  }
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
