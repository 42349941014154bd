// NMS of up to 1024 candidates an image by one block: one launch for the whole batch.
//
// Floor      bytes: a box 16 + 4 (+ class), a kept box the same again: 20 KB for 1000 boxes,
//            nothing. Exact greedy suppression must test each kept box against the boxes of its
//            class that are still alive after it: for 1000 boxes of one class 67,000 pairs
//            (clustered) to 479,000 (nearly all kept).
// This       reads scores and boxes once, sorts in registers, and tests, besides those pairs, the
//            64 * 63 / 2 pairs inside each tile. With classes a second sort brings the boxes of a
//            class together, so that pairs of different classes meet in one tile at most. Barriers:
//            10 a sort, 3 to 5 before and after, and one a tile whose last class goes on in the
//            next tile.
//
// Warp w owns the 64 sorted boxes of tile w, two a lane, so that whether a box is alive never
// leaves its thread. First every warp finds which boxes of its tile overlap which. Then tile after
// tile (1) its warp resolves it and publishes what it keeps, (2) every thread tests its later boxes
// against that. There are two buffers for kept boxes: a tile's warp may fill one while slower warps
// still read the other.
#pragma once

#include "device/bitonic_sort.cuh"
#include "device/overlapped_kernel.cuh"
#include "device/shared_memory.cuh"
#include "nms_shared_boxes.cuh"
#include "nms_tile.cuh"

namespace cudet::device {

/// Where a thread's k-th box is: in sorted order, and as an element of the image.
struct BlockCandidate {
  unsigned element;
  unsigned rank;  ///< position by score alone
  bool alive;     ///< takes part, and is not suppressed yet
};

__device__ __forceinline__ int position_in_block(int k) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  return 2 * (static_cast<int>(threadIdx.x) - lane) + kWarpSize * k + lane;
}

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

/// Of the flags of a tile, those of boxes of the same class as lane l's first or second box. The
/// boxes of a class follow each other; `starts` flags the first of each.
__device__ __forceinline__ TileMask class_run_before(const TileMask& starts, unsigned lane,
                                                     bool second) {
  const auto from_last = [](unsigned flags) {
    return ~0u << (31 - __clz(static_cast<int>(flags)));
  };
  const unsigned up_to_lane = 0xffffffffu >> (31u - lane);
  if (!second) {
    const unsigned low = starts.low & up_to_lane;
    return {low == 0u ? ~0u : from_last(low), 0u};
  }
  const unsigned high = starts.high & up_to_lane;
  if (high != 0u) return {0u, from_last(high)};
  return {starts.low == 0u ? ~0u : from_last(starts.low), ~0u};
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
  CUDET_SHARED_ARRAY(float4, areas, (kSharedAreas<kTest, kBoxes>));
  CUDET_SHARED_ARRAY(std::int64_t, classes, kClassAware ? kBoxes : 1);
  CUDET_SHARED_ARRAY(unsigned, elements, kBoxes);
  CUDET_SHARED_ARRAY(float4, kept_corners, 2 * kTile);
  CUDET_SHARED_ARRAY(float4, kept_areas, (kSharedAreas<kTest, 2 * kTile>));
  CUDET_SHARED_ARRAY(int, kept_in_tile, 2);  // that later tiles must test, in groups
  CUDET_SHARED_ARRAY(int, kept_so_far, 2);   // of the class that goes on in the next tile
  CUDET_SHARED_ARRAY(unsigned, kept_ranks, kBoxes / 32);
  CUDET_SHARED_ARRAY(TileMask, kept_tiles, kTiles);
  CUDET_SHARED(int, candidate_count);

  const NmsImage image = locate_image(arguments, blockIdx.x);
  const unsigned lane = threadIdx.x % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  if (threadIdx.x == 0) candidate_count = 0;
  if (threadIdx.x < kBoxes / 32) kept_ranks[threadIdx.x] = 0u;
  __syncwarp();  // enough for a block of one warp; larger ones pass a barrier in the sort

  BlockCandidate mine[2];
  auto* const exchange = reinterpret_cast<SortKey*>(corners);  // two keys in the place of a box
  rank_by_score(arguments, image, exchange, mine);
  if constexpr (kClassAware) {
    group_by_class(arguments, image, exchange, classes, elements, mine);
  }
  __syncthreads();

  const SharedBoxes all_boxes = {corners, areas, nullptr, classes};
  const SharedBoxes both_kept = {kept_corners, kept_areas, nullptr, nullptr};
  NmsBox box[2];
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const int alive_in_warp = __popc(__ballot_sync(kFullWarp, mine[k].alive));
    if (lane == 0) atomicAdd(&candidate_count, alive_in_warp);
    BoxNumbers loaded = no_box<kTest>();
    std::int64_t class_id = 0;
    if (mine[k].alive) {
      loaded = load_nms_box<kTest>(arguments, box_position(arguments, image, mine[k].element));
      if constexpr (kClassAware) class_id = load_class(arguments, image, mine[k].element);
    }
    box[k] = make_nms_box<kTest>(arguments, loaded, class_id);
    all_boxes.store<kClassAware, kTest>(position_in_block(k), box[k]);
  }
  __syncthreads();

  const int candidates = candidate_count;
  const int tile_start = warp * kTile;
  TileMask earlier[2] = {};  // which earlier boxes of its tile overlap a thread's boxes
  TileMask starts = {1u, 0u};
  if (tile_start < candidates) {
    unsigned bits[2];
    overlaps_of_rows<false, kTest, 2>(arguments, box, all_boxes.from(tile_start), bits);
    earlier[0].low = bits[0];
    earlier[1].low = bits[1];
    overlaps_of_rows<false, kTest, 1>(arguments, box + 1, all_boxes.from(tile_start + kWarpSize),
                                      &earlier[1].high);
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const TileMask before = flags_before({~0u, ~0u}, lane, k == 1);
      earlier[k] = {earlier[k].low & before.low, earlier[k].high & before.high};
    }
    if constexpr (kClassAware) {
      bool starts_class[2];
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const int position = position_in_block(k);
        starts_class[k] = position == 0 || classes[position - 1] != box[k].class_id;
      }
      starts = {__ballot_sync(kFullWarp, starts_class[0]),
                __ballot_sync(kFullWarp, starts_class[1])};
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const TileMask same_class = class_run_before(starts, lane, k == 1);
        earlier[k] = {earlier[k].low & same_class.low, earlier[k].high & same_class.high};
      }
    }
  }

  const std::int64_t limit = min(arguments.class_capacity, arguments.capacity);
  bool kept_mine[2] = {false, false};
  const int tiles = (candidates + kTile - 1) / kTile;
  int buffer = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    const int next = (tile + 1) * kTile;
    const bool goes_on = next < candidates && (!kClassAware || classes[next - 1] == classes[next]);
    if (warp == tile) {
      TileMask kept = resolve_tile(mine[0].alive, mine[1].alive, earlier[0], earlier[1]);
      // Kept boxes before this tile count for the class that has come over from the last one.
      const bool came_over = tile > 0 && (!kClassAware || (starts.low & 1u) == 0u);
      const int kept_before = came_over ? kept_so_far[1 - buffer] : 0;
      bool last_class[2] = {true, true};
      if constexpr (kClassAware) {
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          const TileMask run = class_run_before(starts, lane, k == 1);
          const TileMask before = flags_before(kept, lane, k == 1);
          const bool first_class = (run.low & 1u) != 0u;
          const int rank = __popc(run.low & before.low) + __popc(run.high & before.high) +
                           (first_class ? kept_before : 0);
          kept_mine[k] = flag_of(kept, lane, k == 1) && rank < limit;
          last_class[k] = box[k].class_id == classes[next - 1];
        }
        kept = {__ballot_sync(kFullWarp, kept_mine[0]), __ballot_sync(kFullWarp, kept_mine[1])};
      } else {
        const std::int64_t room = limit - kept_before;
        if (kept.count() > room) kept = first_flags(kept, static_cast<int>(room));
#pragma unroll
        for (int k = 0; k < 2; ++k)
          kept_mine[k] = flag_of(kept, lane, k == 1);
      }
      if (goes_on) {
        const TileMask passed_on = {__ballot_sync(kFullWarp, kept_mine[0] && last_class[0]),
                                    __ballot_sync(kFullWarp, kept_mine[1] && last_class[1])};
        const SharedBoxes kept_boxes = both_kept.from(buffer * kTile);
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          if (!kept_mine[k] || !last_class[k]) continue;
          kept_boxes.store<false, kTest>(rank_in_tile(passed_on, lane, k == 1), box[k]);
        }
        const int count = passed_on.count();
        const int fill = count + static_cast<int>(lane);
        if (fill < round_up_to_group(count)) {
          kept_boxes.store<false, kTest>(fill, make_nms_box<kTest>(arguments, no_box<kTest>(), 0));
        }
        if (lane == 0) {
          kept_in_tile[buffer] = round_up_to_group(count);
          const bool all_one_class = (starts.low & ~1u) == 0u && starts.high == 0u;
          kept_so_far[buffer] = count + (all_one_class ? kept_before : 0);
        }
      }
    }
    if (!goes_on) continue;
    __syncthreads();
    if (!kClassAware && kept_so_far[buffer] >= limit) break;
    if (warp > tile) {
      const SharedBoxes kept_boxes = both_kept.from(buffer * kTile);
      const int kept_count = kept_in_tile[buffer];
      if constexpr (kClassAware) {  // one by one, which takes fewer registers
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          if (!mine[k].alive || box[k].class_id != classes[next]) continue;
          drop_overlapping<false, kTest, 1>(arguments, box + k, kept_boxes, kept_count,
                                            &mine[k].alive);
        }
      } else {
        bool alive[2] = {mine[0].alive, mine[1].alive};
        drop_overlapping<false, kTest, 2>(arguments, box, kept_boxes, kept_count, alive);
        mine[0].alive = alive[0];
        mine[1].alive = alive[1];
      }
    }
    buffer = 1 - buffer;
  }

  // Slots follow the order by score.
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    if (kept_mine[k]) atomicOr(&kept_ranks[mine[k].rank / 32], 1u << (mine[k].rank % 32));
  }
  __syncthreads();
  std::int64_t kept_count = 0;
  for (int word = 0; 32 * word < candidates; ++word)
    kept_count += __popc(kept_ranks[word]);
  kept_count = min(kept_count, arguments.capacity);
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    if (!kept_mine[k]) continue;
    const unsigned rank = mine[k].rank;
    int slot = __popc(kept_ranks[rank / 32] & ((1u << (rank % 32)) - 1u));
    for (unsigned word = 0; word < rank / 32; ++word)
      slot += __popc(kept_ranks[word]);
    kept_mine[k] = slot < kept_count;
    if (!kept_mine[k]) continue;
    write_slot(arguments, image, slot, mine[k].element);
    write_kept(arguments, image, mine[k].element);
  }
  if (threadIdx.x == 0 && arguments.out.count != nullptr) {
    arguments.out.count[image.index] = static_cast<std::int32_t>(kept_count);
  }
  for (std::int64_t slot = kept_count + threadIdx.x; slot < arguments.capacity; slot += blockDim.x)
    write_padding(arguments, image.index, slot);

  if (arguments.out.suppressed_by == nullptr) return;
  const TileMask kept_of_warp = {__ballot_sync(kFullWarp, kept_mine[0]),
                                 __ballot_sync(kFullWarp, kept_mine[1])};
  if (lane == 0) kept_tiles[warp] = kept_of_warp;
#pragma unroll
  for (int k = 0; k < 2; ++k)
    elements[position_in_block(k)] = mine[k].element;
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    if (position_in_block(k) >= candidates || kept_mine[k]) continue;
    for (int position = 0; position < position_in_block(k); ++position) {
      if (!flag_of(kept_tiles[position / kTile], static_cast<unsigned>(position) % kWarpSize,
                   position % kTile >= kWarpSize)) {
        continue;
      }
      if (kClassAware && classes[position] != box[k].class_id) continue;
      if (!overlaps<kTest>(arguments, box[k], all_boxes, position)) continue;
      write_suppressor(arguments, image, mine[k].element, elements[position]);
      break;
    }
  }
}

}  // namespace cudet::device
