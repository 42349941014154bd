// NMS of up to 1024 candidates an image by one block: one launch for the whole batch.
//
// Floor      bytes: a box 16 + 4 (+ class), a kept box the same again: 20 KB for 1000 boxes,
//            nothing. Exact greedy suppression must test each box against the kept ones before it
//            in its class, until one suppresses it: for 1000 boxes of one class 21,000 pairs
//            (clustered) to 475,000 (nearly all kept).
// This       reads scores and boxes once, sorts in registers, and tests those pairs and hardly any
//            other; docs/performance.md has the counts. With classes a second sort brings the boxes
//            of a class together. Barriers: 5 a sort, 3 to 4 before and after, and one a tile of
//            the class that has most tiles.
//
// Warp w owns the 64 sorted boxes of tile w, two a lane, so that whether a box is alive never
// leaves its thread. A tile is settled by its warp as soon as its boxes have met all kept ones of
// earlier tiles: classes that begin in the tile at once, in all tiles at the same time, and the
// first class, if it has come over from an earlier tile, when that has been settled, a step for
// each tile between. What a tile keeps of a class that goes on it moves to the start of the class's
// boxes in shared memory, which nobody else reads any more, and in the next step all later tiles
// of the class test what they have left against it.
//
// What an intersection leaves of the shares of two areas rules most pairs out. A box meets one kept
// box after the other; without classes, where nearly all boxes of the last tile were kept, a group
// at a time, and boxes of a tile that overlap each other are looked for all at once, a few tiles
// ahead. (With classes, a run does not begin where a group does.)
#pragma once

#include "device/bitonic_sort.cuh"
#include "device/computed_once.cuh"
#include "device/overlapped_kernel.cuh"
#include "device/shared_memory.cuh"
#include "nms_block_tiles.cuh"
#include "nms_settle.cuh"

namespace cudet::device {

/// Loads or makes the keys of the image's candidates and sorts them by score.
__device__ __forceinline__ void rank_by_score(const NmsArguments& arguments, const NmsImage& image,
                                              SortKey* exchange, BlockCandidate* mine) {
  SortKey keys[2];
#pragma unroll
  for (unsigned k = 0; k < 2; ++k) {
    // Any assignment to threads will do before the sort; this one reads scores coalesced.
    const unsigned i = k * blockDim.x + threadIdx.x;
    keys[k] = ~SortKey{0};
    if (arguments.selected_keys == nullptr) {
      if (i < arguments.elements) write_not_kept(arguments, image, i);
      keys[k] = (static_cast<SortKey>(element_key(arguments, image, i)) << 32) | i;
    } else if (i < arguments.candidates) {
      keys[k] = arguments.selected_keys[image.index * arguments.candidates + i];
    }
  }
  sort_block(keys[0], keys[1], exchange);
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    mine[k].element = static_cast<unsigned>(keys[k]);
    mine[k].rank = static_cast<unsigned>(position_in_block(k));
    mine[k].alive = static_cast<unsigned>(keys[k] >> 32) != kNotACandidate &&
                    mine[k].rank < arguments.candidates;
  }
}

/// Brings the candidates of a class together, in their order by score. The sort takes half a class
/// at a time, as a key has no more room: the lower half, and the upper one where it tells any
/// classes apart.
__device__ __forceinline__ void group_by_class(const NmsArguments& arguments, const NmsImage& image,
                                               SortKey* exchange, std::int64_t* classes,
                                               unsigned* elements, BlockCandidate* mine) {
  constexpr int kRankBits = 10;
  constexpr unsigned kRankMask = (1u << kRankBits) - 1u;
  static_assert(kNmsBlockBoxes == 1 << kRankBits, "ranks have their own bits in the key");
  SortKey keys[2];
  bool wide = false;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const unsigned rank = mine[k].rank;
    elements[rank] = mine[k].element;
    keys[k] = ~SortKey{0};
    if (!mine[k].alive) continue;
    const std::int64_t class_id = load_class(arguments, image, mine[k].element);
    classes[rank] = class_id;
    wide = wide || class_id != static_cast<std::int32_t>(class_id);
    keys[k] = (static_cast<SortKey>(static_cast<std::uint32_t>(class_id)) << kRankBits) | rank;
  }
  wide = __syncthreads_or(static_cast<int>(wide)) != 0;
  sort_block(keys[0], keys[1], exchange);
  if (wide) {
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      if (keys[k] == ~SortKey{0}) continue;
      const unsigned rank = static_cast<unsigned>(keys[k]) & kRankMask;
      const auto upper = static_cast<std::uint32_t>(classes[rank] >> 32);
      const auto place = static_cast<SortKey>(position_in_block(k));
      keys[k] = (static_cast<SortKey>(upper) << (2 * kRankBits)) | (place << kRankBits) | rank;
    }
    sort_block(keys[0], keys[1], exchange);
  }
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    mine[k].alive = keys[k] != ~SortKey{0};
    mine[k].rank = static_cast<unsigned>(keys[k]) & kRankMask;
    if (mine[k].alive) mine[k].element = elements[mine[k].rank];
  }
}

/// Sorts the image's candidates, by class and score, and loads the boxes of the threads, into
/// registers and shared memory; the caller synchronises.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ void load_in_order(const NmsArguments& arguments,
                                              const SharedBoxes& all_boxes, unsigned* elements,
                                              int* candidate_count, BlockCandidate* mine,
                                              NmsBox* box) {
  const NmsImage image = locate_image(arguments, blockIdx.x);
  // Two keys in the place of a box.
  auto* const exchange = reinterpret_cast<SortKey*>(all_boxes.corners);
  rank_by_score(arguments, image, exchange, mine);
  if constexpr (kClassAware) {
    group_by_class(arguments, image, exchange, all_boxes.classes, elements, mine);
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const int alive_in_warp = __popc(__ballot_sync(kFullWarp, mine[k].alive));
    if (threadIdx.x % kWarpSize == 0) atomicAdd(candidate_count, alive_in_warp);
    BoxNumbers loaded = no_box<kTest>();
    std::int64_t class_id = 0;
    if (mine[k].alive) {
      loaded = load_nms_box<kTest>(arguments, box_position(arguments, image, mine[k].element));
      if constexpr (kClassAware) class_id = load_class(arguments, image, mine[k].element);
    }
    box[k] = make_nms_box<kTest>(arguments, loaded, class_id);
    all_boxes.store<kClassAware, kTest>(position_in_block(k), box[k]);
    if constexpr (!kClassAware) elements[position_in_block(k)] = mine[k].element;
  }
}

/// Launched with one block an image and threads = keys / 2, keys being the elements, or the
/// selected ones, rounded up to a power of two and at least one tile.
template <bool kClassAware, NmsTest kTest>
__global__ void __launch_bounds__(kNmsBlockBoxes / 2, kTest == NmsTest::fast ? 2 : 1)
    nms_block_kernel(const NmsArguments arguments) {
  begin_overlapped_kernel();
  constexpr int kBoxes = static_cast<int>(kNmsBlockBoxes);
  constexpr int kTile = static_cast<int>(kNmsTile);
  constexpr int kTiles = kBoxes / kTile;
  CUDET_SHARED_ARRAY(float4, corners, kBoxes);
  CUDET_SHARED_ARRAY(float4, shares, (kSharedAreas<kTest, kBoxes>));
  CUDET_SHARED_ARRAY(std::int64_t, classes, kClassAware ? kBoxes : 1);
  CUDET_SHARED_ARRAY(unsigned, elements, kBoxes);  // by rank
  CUDET_SHARED_ARRAY(std::uint16_t, places, kBoxes / 2);
  CUDET_SHARED_ARRAY(KeptRun, kept_runs, kTiles);
  CUDET_SHARED_ARRAY(TileMask, overlapping, kTiles);
  CUDET_SHARED_ARRAY(unsigned, kept_ranks, kBoxes / 32);
  CUDET_SHARED_ARRAY(unsigned, kept_places, kBoxes / 32);
  CUDET_SHARED(int, candidate_count);
  CUDET_SHARED(int, last_step);

  const unsigned lane = threadIdx.x % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  if (threadIdx.x == 0) {
    candidate_count = 0;
    last_step = 0;
  }
  if (threadIdx.x < kBoxes / 32) {
    kept_ranks[threadIdx.x] = 0u;
    kept_places[threadIdx.x] = 0u;
  }
  __syncwarp();  // enough for a block of one warp; larger ones pass a barrier in the sort

  const SharedBoxes all_boxes = {corners, nullptr, nullptr, classes, shares};
  BlockCandidate mine[2];
  NmsBox box[2];
  load_in_order<kClassAware, kTest>(arguments, all_boxes, elements, &candidate_count, mine, box);
  __syncthreads();

  const int candidates = candidate_count;
#pragma unroll
  for (int k = 0; k < 2; ++k)
    mine[k].alive = position_in_block(k) < candidates;  // as before, without keeping it till here
  const int tile_start = warp * kTile;
  const SharedBoxes tile_boxes = all_boxes.from(tile_start);
  TileRuns runs = {{1u, 0u}, 0};
  if (kClassAware && tile_start < candidates) runs = find_runs(classes, tile_start);
  // When the tile's first class is settled, if there is one; those that begin in it are at once.
  const int first_run_step = tile_start < candidates ? warp - runs.first_tile : -1;
  if (lane == 0) atomicMax(&last_step, first_run_step);
  bool kept[2] = {false, false};
  int left = kTile;          // boxes of the tile that nothing kept has suppressed
  bool one_row = false;      // the first box of each lane is all that is left
  bool pairs_known = false;  // the tile's boxes in `overlapping` are flagged
  for (int step = 0;; ++step) {
    const bool settles_first_run = step == first_run_step;
    const bool settles_others = kClassAware && step == 0 && !runs.whole();
    if (settles_first_run || settles_others) {
      bool kept_mine[2];
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const bool in_first_run = position_in_block(k) < tile_start + runs.first_count();
        kept_mine[k] = mine[k].alive && (settles_first_run || !in_first_run);
        mine[k].alive = mine[k].alive && in_first_run;
      }
      if (kClassAware && !runs.whole()) {
        TileMask before[2];
#pragma unroll
        for (int k = 0; k < 2; ++k)
          before[k] = flags_before(run_from_start(runs.starts, lane, k == 1), lane, k == 1);
        settle_classes<kTest>(arguments, box, tile_boxes, before, kept_mine);
      } else if (pairs_known) {
        settle_flagged<kTest>(arguments, box, tile_boxes, overlapping[warp], kept_mine);
      } else {
        if (!one_row) settle_row<kTest, 2>(arguments, box, tile_boxes, kept_mine);
        if (one_row) swap_rows(box, kept_mine);
        settle_row<kTest, 1>(arguments, box + 1, tile_boxes.from(one_row ? 0 : kWarpSize),
                             kept_mine + 1);
        if (one_row) swap_rows(box, kept_mine);
      }
      // Kept boxes before this tile count for the class that has come over from the last one.
      const int kept_before =
          first_run_step > 0 && settles_first_run ? kept_runs[warp - 1].total : 0;
      const TileMask flags = {__ballot_sync(kFullWarp, kept_mine[0]),
                              __ballot_sync(kFullWarp, kept_mine[1])};
      const int last_run = last_flag(runs.starts);
      const auto limit = static_cast<int>(min(static_cast<std::int64_t>(kBoxes),
                                              min(arguments.class_capacity, arguments.capacity)));
      bool handed_on[2];
      int place[2];
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const TileMask before = flags_before(flags, lane, k == 1);
        const TileMask run = run_from_start(runs.starts, lane, k == 1);
        const int rank = __popc(run.low & before.low) + __popc(run.high & before.high);
        const int run_start = first_flag(run);
        kept_mine[k] = kept_mine[k] && rank + (run_start == 0 ? kept_before : 0) < limit;
        handed_on[k] = kept_mine[k] && run_start == last_run;
        place[k] = tile_start + run_start + rank;
        kept[k] = kept[k] || kept_mine[k];
        if (!kept_mine[k]) continue;
        const unsigned by_score =
            computed_once(mine[k].rank);  // not kept in parts from step to step
        atomicOr(&kept_ranks[by_score / 32], 1u << (by_score % 32));
      }
      const int next = tile_start + kTile;
      const bool goes_on =
          next < candidate_count && (!kClassAware || classes[next - 1] == classes[next]);
      if (goes_on && (last_run == 0 ? settles_first_run : settles_others)) {
        const int count = __popc(__ballot_sync(kFullWarp, handed_on[0])) +
                          __popc(__ballot_sync(kFullWarp, handed_on[1]));
        __syncwarp();  // the tile's boxes have been read
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          if (handed_on[k]) all_boxes.store<false, kTest>(place[k], box[k]);
        }
        const int begin = tile_start + last_run;
        if constexpr (!kClassAware) {
          const int unused = begin + count + static_cast<int>(lane);
          if (unused < begin + round_up_to_group(count)) {
            all_boxes.store<false, kTest>(unused,
                                          make_nms_box<kTest>(arguments, no_box<kTest>(), 0));
          }
        }
        if (lane == 0) {
          const int total = count + (last_run == 0 ? kept_before : 0);
          kept_runs[warp] = {begin, begin + count, total, total >= limit, 16 * count >= 15 * left};
        }
      }
    }
    __syncthreads();
    if (step == last_step || (!kClassAware && kept_runs[step].is_full)) break;
    if (step >= first_run_step || left == 0) continue;

    // The boxes of the first class meet those that its last tile kept.
    const KeptRun others = kept_runs[warp - first_run_step + step];
    bool alive[2] = {mine[0].alive, mine[1].alive};
    if (!kClassAware && others.dense && !one_row) {
      drop_overlapping<false, kTest, 2>(arguments, box, all_boxes, others.begin, others.end, alive);
    } else {
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        alive[k] =
            alive[k] && first_overlapping<kTest, !kClassAware>(
                            arguments, box[k], all_boxes, others.begin, others.end) == others.end;
      }
    }
    mine[0].alive = alive[0];
    mine[1].alive = alive[1];
    if (kClassAware && !runs.whole()) continue;
    left = __popc(__ballot_sync(kFullWarp, alive[0])) + __popc(__ballot_sync(kFullWarp, alive[1]));
    if (pairs_known || one_row) continue;
    if (!kClassAware && others.dense && 16 * left >= 15 * kTile &&
        step / 4 >= (first_run_step - 1) / 4) {
      // Not long before they are needed, and for four tiles at a time: an SM has four schedulers.
      const TileMask flags = overlapping_boxes<kTest>(arguments, box, alive, tile_boxes);
      if (lane == 0) overlapping[warp] = flags;
      __syncwarp();  // the tile may be settled before the next barrier
      pairs_known = true;
    } else if (!kClassAware && left <= kWarpSize) {
      move_together<kTest>(arguments, tile_boxes, places + kWarpSize * warp, box, mine);
      one_row = true;
    }
  }

  unsigned element[2];
#pragma unroll
  for (int k = 0; k < 2; ++k)
    element[k] = elements[mine[k].rank];

  // Slots follow the order by score.
  const NmsImage image = locate_image(arguments, blockIdx.x);  // again: fewer registers until here
  static_assert(kBoxes == kWarpSize * 32, "a lane a word");
  const int in_word = __popc(kept_ranks[lane]);
  int up_to_word = in_word;
#pragma unroll
  for (int offset = 1; offset < kWarpSize; offset *= 2) {
    const int before = __shfl_up_sync(kFullWarp, up_to_word, static_cast<unsigned>(offset));
    if (static_cast<int>(lane) >= offset) up_to_word += before;
  }
  const std::int64_t kept_count =
      min(static_cast<std::int64_t>(__shfl_sync(kFullWarp, up_to_word, kWarpSize - 1)),
          arguments.capacity);
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const unsigned word = mine[k].rank / 32;
    int slot = __shfl_sync(kFullWarp, up_to_word - in_word, static_cast<int>(word));
    if (!kept[k]) continue;
    slot += __popc(kept_ranks[word] & ((1u << (mine[k].rank % 32)) - 1u));
    kept[k] = slot < kept_count;
    if (!kept[k]) continue;
    write_slot(arguments, image, slot, element[k]);
    write_kept(arguments, image, element[k]);
  }
  if (threadIdx.x == 0 && arguments.out.count != nullptr) {
    arguments.out.count[image.index] = static_cast<std::int32_t>(kept_count);
  }
  for (std::int64_t slot = kept_count + threadIdx.x; slot < arguments.capacity; slot += blockDim.x)
    write_padding(arguments, image.index, slot);

  if (arguments.out.suppressed_by == nullptr) return;
  // Kept boxes move to the start of their runs, where those that were handed on are already.
  unsigned first_element[2];  // of the positions that the thread had at first
  int position[2];            // of its boxes now
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    first_element[k] = kClassAware ? element[k] : elements[position_in_block(k)];
    position[k] = kClassAware ? position_in_block(k) : static_cast<int>(mine[k].rank);
    if (kept[k]) atomicOr(&kept_places[position[k] / 32], 1u << (position[k] % 32));
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    if (!kept[k]) continue;
    const int run_start = tile_start + first_flag(run_from_start(runs.starts, lane, k == 1));
    const int place = run_start + count_flags(kept_places, run_start, position[k]);
    all_boxes.store<false, kTest>(place, box[k]);
    elements[place] = element[k];
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const int first_position = position_in_block(k);
    const bool is_kept = ((kept_places[first_position / 32] >> (first_position % 32)) & 1u) != 0u;
    if (first_position >= candidate_count || is_kept) continue;
    const BoxNumbers numbers =
        load_nms_box<kTest>(arguments, box_position(arguments, image, first_element[k]));
    const NmsBox mine_at_first =
        make_nms_box<kTest>(arguments, numbers, kClassAware ? classes[first_position] : 0);
    const int suppressor = find_suppressor<kClassAware, kTest>(arguments, mine_at_first, all_boxes,
                                                               kept_places, first_position);
    if (suppressor < 0) continue;
    write_suppressor(arguments, image, first_element[k], elements[suppressor]);
  }
}

}  // namespace cudet::device
