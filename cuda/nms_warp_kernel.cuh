// NMS of up to 64 elements an image by one warp, eight images a block: one launch for the whole
// batch, no barrier, no workspace.
//
// Floor      as in nms_block_kernel.cuh; what counts here is how many images an SM works on at a
//            time. A warp an image needs 1.3 KB of shared memory (2.8 KB for rotated boxes), so
//            that all warps that an SM can hold are at work.
// This       sorts in registers, tests each pair of the tile that the image is, and settles it by
//            ballots.
#pragma once

#include "device/bitonic_sort.cuh"
#include "device/overlapped_kernel.cuh"
#include "device/shared_memory.cuh"
#include "nms_shared_boxes.cuh"
#include "nms_tile.cuh"

namespace cudet::device {

constexpr int kNmsWarpImages = 8;  // a block
constexpr int kNmsWarpThreads = kNmsWarpImages * kWarpSize;

/// Which boxes of the tile are of the same class as `box`.
__device__ __forceinline__ TileMask same_class(const NmsBox& box, const SharedBoxes& boxes) {
  TileMask same = {0u, 0u};
  for (int i = 0; i < kWarpSize; ++i) {
    same.low |= static_cast<unsigned>(boxes.classes[i] == box.class_id) << i;
    same.high |= static_cast<unsigned>(boxes.classes[kWarpSize + i] == box.class_id) << i;
  }
  return same;
}

template <bool kClassAware, NmsTest kTest>
__global__ void __launch_bounds__(kNmsWarpThreads, kTest == NmsTest::fast && !kClassAware ? 4 : 2)
    nms_warp_kernel(const NmsArguments arguments, std::int64_t batch) {
  begin_overlapped_kernel();
  constexpr int kTile = static_cast<int>(kNmsTile);
  constexpr int kBoxes = kNmsWarpImages * kTile;
  CUDET_SHARED_ARRAY(float4, corners, (kSharedCorners<kTest, kBoxes>));
  CUDET_SHARED_ARRAY(float4, areas, (kSharedAreas<kTest, kBoxes>));
  CUDET_SHARED_ARRAY(pinned::RotatedBox, rotated, (kSharedRotated<kTest, kBoxes>));
  CUDET_SHARED_ARRAY(std::int64_t, classes, kClassAware ? kBoxes : 1);
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const unsigned lane = threadIdx.x % kWarpSize;
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kNmsWarpImages + warp;
  if (index >= batch) return;
  const NmsImage image = locate_image(arguments, index);

  SortKey keys[2];
  for (unsigned k = 0; k < 2; ++k) {
    const unsigned element = lane + kWarpSize * k;
    if (element < arguments.elements) write_not_kept(arguments, image, element);
    keys[k] = (static_cast<SortKey>(element_key(arguments, image, element)) << 32) | element;
  }
  sort_warp(keys[0], keys[1]);

  const SharedBoxes all = SharedBoxes{corners, areas, rotated, classes}.from(warp * kTile);
  unsigned elements[2];
  bool takes_part[2];
  NmsBox boxes[2];
  for (int k = 0; k < 2; ++k) {
    const auto position = static_cast<int>(lane) + kWarpSize * k;
    elements[k] = static_cast<unsigned>(keys[k]);
    takes_part[k] =
        static_cast<unsigned>(keys[k] >> 32) != kNotACandidate && position < arguments.candidates;
    BoxNumbers numbers = no_box<kTest>();
    std::int64_t class_id = 0;
    if (takes_part[k]) {
      numbers = load_nms_box<kTest>(arguments, box_position(arguments, image, elements[k]));
      if constexpr (kClassAware) class_id = load_class(arguments, image, elements[k]);
    }
    boxes[k] = make_nms_box<kTest>(arguments, numbers, class_id);
    all.store<kClassAware, kTest>(position, boxes[k]);
  }
  __syncwarp();

  unsigned low[2];
  unsigned high;
  overlaps_of_rows<kClassAware, kTest, 2>(arguments, boxes, all, low);
  overlaps_of_rows<kClassAware, kTest, 1>(arguments, boxes + 1, all.from(kWarpSize), &high);
  const TileMask earlier[2] = {flags_before({low[0], 0u}, lane, false),
                               flags_before({low[1], high}, lane, true)};
  TileMask kept = resolve_tile(takes_part[0], takes_part[1], earlier[0], earlier[1]);
  if (arguments.class_capacity < kTile) {
    bool has_room[2];
    for (int k = 0; k < 2; ++k) {
      TileMask before = flags_before(kept, lane, k == 1);
      if constexpr (kClassAware) {
        const TileMask same = same_class(boxes[k], all);
        before = {before.low & same.low, before.high & same.high};
      }
      has_room[k] = before.count() < arguments.class_capacity;
    }
    kept.low &= __ballot_sync(kFullWarp, has_room[0]);
    kept.high &= __ballot_sync(kFullWarp, has_room[1]);
  }
  if (kept.count() > arguments.capacity) {
    kept = first_flags(kept, static_cast<int>(arguments.capacity));
  }

  const int count = kept.count();
  for (int k = 0; k < 2; ++k) {
    if (!flag_of(kept, lane, k == 1)) continue;
    write_slot(arguments, image, rank_in_tile(kept, lane, k == 1), elements[k]);
    write_kept(arguments, image, elements[k]);
  }
  if (lane == 0 && arguments.out.count != nullptr) arguments.out.count[index] = count;
  for (std::int64_t slot = count + static_cast<int>(lane); slot < arguments.capacity;
       slot += kWarpSize)
    write_padding(arguments, index, slot);

  if (arguments.out.suppressed_by == nullptr) return;
  for (int k = 0; k < 2; ++k) {
    const TileMask hits = {earlier[k].low & kept.low, earlier[k].high & kept.high};
    const unsigned word = hits.low != 0u ? hits.low : hits.high;
    const int first = word == 0u ? 0 : __ffs(static_cast<int>(word)) - 1;
    const unsigned in_low = __shfl_sync(kFullWarp, elements[0], first);
    const unsigned in_high = __shfl_sync(kFullWarp, elements[1], first);
    if (word == 0u || !takes_part[k] || flag_of(kept, lane, k == 1)) continue;
    write_suppressor(arguments, image, elements[k], hits.low != 0u ? in_low : in_high);
  }
}

}  // namespace cudet::device
