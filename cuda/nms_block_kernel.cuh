// NMS of an image of up to 1024 boxes by one block: one launch for the whole batch, no workspace.
//
// Floor      bytes: a box 16 + 4 (+ class), a kept box the same again: 20 KB for 1000 boxes,
// nothing.
//            Exact greedy suppression must test each kept box against the boxes that are still
//            alive after it: for 1000 boxes 67,000 pairs (clustered) to 479,000 (nearly all kept).
// This       reads scores and boxes once, sorts in registers, and tests, besides those pairs, the
//            64 * 63 / 2 pairs inside each tile. 10 barriers of the sort, 2 before, 2 a tile.
//
// Warp w owns the 64 sorted boxes of tile w, two a lane, so that whether a box is alive never
// leaves its thread. Tile after tile: (1) the whole block finds which boxes of the tile overlap
// which, (2) the tile's own warp resolves it, (3) every thread tests its later boxes against the
// kept ones.
#pragma once

#include "device/block_sort.cuh"
#include "device/shared_memory.cuh"
#include "nms_common.cuh"

namespace cudet::device {

/// Launched with one block an image and threads = keys / 2, keys being n rounded up to a power of
/// two and at least one tile.
template <bool kClassAware>
__global__ void __launch_bounds__(kNmsBlockBoxes / 2)
    nms_block_kernel(const NmsArguments arguments) {
  constexpr int kBoxes = static_cast<int>(kNmsBlockBoxes);
  constexpr int kTile = static_cast<int>(kNmsTile);
  constexpr int kGroup = 8;  // overlaps that a thread finds at a time: one byte
  CUDET_SHARED_ARRAY(float4, corners, kBoxes);
  CUDET_SHARED_ARRAY(float, areas, kBoxes);
  CUDET_SHARED_ARRAY(std::int64_t, classes, kClassAware ? kBoxes : 1);
  CUDET_SHARED_ARRAY(TileMask, earlier_overlaps, kTile);
  CUDET_SHARED_ARRAY(std::uint16_t, kept_indices, kBoxes);
  CUDET_SHARED_ARRAY(float4, kept_corners, kTile);
  CUDET_SHARED_ARRAY(float, kept_areas, kTile);
  CUDET_SHARED_ARRAY(std::int64_t, kept_classes, kClassAware ? kTile : 1);
  CUDET_SHARED(int, kept_in_tile);
  CUDET_SHARED(int, candidate_count);
  CUDET_SHARED(int, kept_count);

  const std::int64_t image = blockIdx.x;
  const std::int64_t image_start = image * arguments.n;
  const unsigned lane = threadIdx.x % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const IouThreshold& threshold = arguments.iou_threshold;
  if (threadIdx.x == 0) {
    candidate_count = 0;
    kept_count = 0;
  }
  __syncwarp();  // enough for a block of one warp; larger ones pass a barrier in the sort

  // Any assignment of boxes to threads will do before the sort; this one reads scores coalesced.
  const std::int64_t n = boxes_of_image(arguments, image);
  SortKey keys[2];
  for (unsigned k = 0; k < 2; ++k) {
    const unsigned index = k * blockDim.x + threadIdx.x;
    unsigned key = kNotACandidate;
    if (index < n) {
      key = score_key(load_real(arguments.scores, arguments.score_type, image_start + index),
                      arguments.score_threshold);
    }
    keys[k] = (static_cast<SortKey>(key) << 32) | index;
  }
  // The sort exchanges keys where the corners will lie; two keys take the place of one box.
  sort_block(keys[0], keys[1], reinterpret_cast<SortKey*>(corners));
  __syncthreads();

  // From here on a thread's two boxes are those at positions 64 * warp + lane and + 32.
  const SharedBoxes all_boxes = {corners, areas, classes};
  const SharedBoxes kept_boxes = {kept_corners, kept_areas, kept_classes};
  bool alive[2];
  NmsBox box[2];
  for (int k = 0; k < 2; ++k) {
    alive[k] = static_cast<unsigned>(keys[k] >> 32) != kNotACandidate;
    const int alive_in_warp = __popc(__ballot_sync(kFullWarp, alive[k]));
    if (lane == 0) atomicAdd(&candidate_count, alive_in_warp);
    if (!alive[k]) continue;
    const int position = kTile * warp + kWarpSize * k + static_cast<int>(lane);
    const std::int64_t element = image_start + static_cast<unsigned>(keys[k]);
    box[k] = make_nms_box(load_nms_box(arguments.boxes, element), threshold);
    if constexpr (kClassAware) box[k].class_id = load_class(arguments, element);
    all_boxes.store<kClassAware>(position, box[k]);
  }
  __syncthreads();

  const int candidates = candidate_count;
  const auto overlaps_box = [&](int earlier, const NmsBox& later) {
    if constexpr (kClassAware) {
      if (classes[earlier] != later.class_id) return false;
    }
    const float4 c = corners[earlier];
    return overlaps(later, {c.x, c.y, c.z, c.w}, areas[earlier], threshold);
  };

  for (int tile = 0; tile * kTile < candidates; ++tile) {
    const int start = tile * kTile;
    for (int unit = static_cast<int>(threadIdx.x); unit < kTile * kTile / kGroup;
         unit += static_cast<int>(blockDim.x)) {
      const int row = unit % kTile;
      const int group = unit / kTile;
      const int later = start + row;
      unsigned bits = 0;
      if (later < candidates) {
        NmsBox later_box = make_nms_box(corners[later], threshold);
        if constexpr (kClassAware) later_box.class_id = classes[later];
        const int end = min(kGroup, row - group * kGroup);
        for (int i = 0; i < end; ++i) {
          if (overlaps_box(start + group * kGroup + i, later_box)) bits |= 1u << i;
        }
      }
      reinterpret_cast<std::uint8_t*>(earlier_overlaps + row)[group] =
          static_cast<std::uint8_t>(bits);
    }
    __syncthreads();

    if (warp == tile) {
      TileMask kept = resolve_tile(alive[0], alive[1], earlier_overlaps[lane],
                                   earlier_overlaps[lane + kWarpSize]);
      const int kept_before = kept_count;
      const std::int64_t room = arguments.capacity - kept_before;
      if (kept.count() > room) kept = first_flags(kept, static_cast<int>(room));
      for (int k = 0; k < 2; ++k) {
        if ((((k == 0 ? kept.low : kept.high) >> lane) & 1u) != 0u) {
          const int rank = rank_in_tile(kept, lane, k == 1);
          kept_indices[kept_before + rank] = static_cast<std::uint16_t>(keys[k]);
          kept_boxes.store<kClassAware>(rank, box[k]);
        }
      }
      const int fill = kept.count() + static_cast<int>(lane);
      if (fill < round_up_to_group(kept.count())) kept_boxes.store<kClassAware>(fill, NmsBox());
      __syncwarp();  // all lanes have read kept_count
      if (lane == 0) {
        kept_in_tile = round_up_to_group(kept.count());
        kept_count = kept_before + kept.count();
      }
    }
    __syncthreads();

    if (kept_count >= arguments.capacity) break;
    if (warp <= tile) continue;
    for (int k = 0; k < 2; ++k) {
      if (!alive[k]) continue;
      alive[k] = !overlaps_any<kClassAware>(box[k], kept_boxes, kept_in_tile, threshold);
    }
  }

  const int kept = kept_count;
  if (threadIdx.x == 0 && arguments.out.count != nullptr) arguments.out.count[image] = kept;
  for (std::int64_t slot = threadIdx.x; slot < arguments.capacity; slot += blockDim.x) {
    write_slot(arguments, image, slot, slot < kept ? kept_indices[slot] : kPadding);
  }
}

}  // namespace cudet::device
