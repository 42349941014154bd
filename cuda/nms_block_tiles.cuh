// What a warp of the block kernel knows of its tile: which classes begin in it and which come over
// from earlier tiles, which boxes are left, and what it hands on.
#pragma once

#include "nms_shared_boxes.cuh"
#include "nms_tile.cuh"

#include <cstdint>

namespace cudet::device {

/// Where a thread's k-th box is: in sorted order, and as an element of the image.
struct BlockCandidate {
  unsigned element;
  unsigned rank;  ///< position by score alone
  bool alive;     ///< takes part, and is not suppressed yet
};

/// Position in sorted order of the k-th box that a thread has at first.
__device__ __forceinline__ int position_in_block(int k) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  return 2 * (static_cast<int>(threadIdx.x) - lane) + kWarpSize * k + lane;
}

/// The classes of a tile. The boxes of a class follow each other: a run.
struct TileRuns {
  TileMask starts;  ///< flags the first box of each run, that of the tile among them
  int first_tile;   ///< the tile in which the first class begins

  __device__ bool whole() const { return starts.count() == 1; }  ///< there is one class only
  /// Boxes of the tile of the first class.
  __device__ int first_count() const {
    return whole() ? static_cast<int>(kNmsTile) : first_flag({starts.low & ~1u, starts.high});
  }
};

/// What a tile hands on to later ones: the boxes it kept of the class that goes on there, which
/// have been moved to the start of the class's run.
struct KeptRun {
  int begin, end;  ///< among the shared boxes
  int total;       ///< kept of the class so far
  bool is_full;    ///< no more may be
  bool dense;      ///< most of the boxes that were left were kept
};

/// Exchanges a thread's two boxes.
__device__ __forceinline__ void swap_rows(NmsBox* box, bool* alive) {
  const NmsBox first = box[0];
  box[0] = box[1];
  box[1] = first;
  const bool first_alive = alive[0];
  alive[0] = alive[1];
  alive[1] = first_alive;
}

/// The flags from the start of the run of lane l's first or second box on.
__device__ __forceinline__ TileMask run_from_start(const TileMask& starts, unsigned lane,
                                                   bool second) {
  const auto from_last = [](unsigned flags) {
    return ~0u << (31 - __clz(static_cast<int>(flags)));
  };
  const unsigned up_to_lane = 0xffffffffu >> (31u - lane);
  if (!second) return {from_last(starts.low & up_to_lane), ~0u};
  const unsigned high = starts.high & up_to_lane;
  if (high != 0u) return {0u, from_last(high)};
  return {from_last(starts.low), ~0u};
}

/// The number of the last flag that is set; one is.
__device__ __forceinline__ int last_flag(const TileMask& mask) {
  return mask.high != 0u ? 63 - __clz(static_cast<int>(mask.high))
                         : 31 - __clz(static_cast<int>(mask.low));
}

/// The runs of the tile that starts at `start`; all lanes of its warp take part.
__device__ __forceinline__ TileRuns find_runs(const std::int64_t* classes, int start) {
  TileRuns runs = {};
  bool starts_run[2];
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const int position = position_in_block(k);
    starts_run[k] = position == start || classes[position - 1] != classes[position];
  }
  runs.starts = {__ballot_sync(kFullWarp, starts_run[0]), __ballot_sync(kFullWarp, starts_run[1])};
  runs.first_tile = start / static_cast<int>(kNmsTile);
  while (runs.first_tile > 0 &&
         classes[runs.first_tile * static_cast<int>(kNmsTile) - 1] == classes[start])
    --runs.first_tile;
  return runs;
}

/// Moves the boxes that are left of a tile, 32 at most, together: one a lane, and to the tile's
/// start in shared memory. `places` is shared memory of the warp for 32 positions.
template <NmsTest kTest>
__device__ __forceinline__ void move_together(const NmsArguments& arguments,
                                              const SharedBoxes& tile, std::uint16_t* places,
                                              NmsBox* box, BlockCandidate* mine) {
  const unsigned lane = threadIdx.x % kWarpSize;
  const TileMask left = {__ballot_sync(kFullWarp, mine[0].alive),
                         __ballot_sync(kFullWarp, mine[1].alive)};
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    if (!mine[k].alive) continue;
    const int to = rank_in_tile(left, lane, k == 1);
    tile.store<false, kTest>(to, box[k]);
    places[to] = static_cast<std::uint16_t>(position_in_block(k));
  }
  __syncwarp();
  mine[0].alive = static_cast<int>(lane) < left.count();
  mine[1].alive = false;
  if (!mine[0].alive) return;
  mine[0].rank = places[lane];
  const BoxNumbers numbers = {tile.corners[lane], 0.0f};
  box[0] = make_nms_box<kTest>(arguments, numbers, box[0].class_id);
}

/// How many flags from `begin` to `end`, of the same tile, are set.
__device__ __forceinline__ int count_flags(const unsigned* flags, int begin, int end) {
  int count = 0;
  for (int word = begin / 32; 32 * word < end; ++word) {
    unsigned bits = flags[word];
    if (32 * word < begin) bits &= ~0u << (begin % 32);
    if (end < 32 * word + 32) bits &= (1u << (end % 32)) - 1u;
    count += __popc(bits);
  }
  return count;
}

/// The first kept box that overlaps the box at `position`, as a place among the shared boxes, -1 if
/// none does. Of each tile and class the kept ones, flagged in `kept_places` where they were, lie
/// together from the run's start on.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ int find_suppressor(const NmsArguments& arguments, const NmsBox& box,
                                               const SharedBoxes& boxes,
                                               const unsigned* kept_places, int position) {
  constexpr int kTile = static_cast<int>(kNmsTile);
  int begin = 0;
  if constexpr (kClassAware) {
    begin = position;
    while (begin > 0 && boxes.classes[begin - 1] == box.class_id)
      --begin;
  }
  while (begin < position) {
    const int end = min((begin / kTile + 1) * kTile, position);
    const int kept_end = begin + count_flags(kept_places, begin, end);
    const int suppressor =
        first_overlapping<kTest, !kClassAware>(arguments, box, boxes, begin, kept_end);
    if (suppressor < kept_end) return suppressor;
    begin = end;
  }
  return -1;
}

}  // namespace cudet::device
