// What may follow the panels: the limit of boxes a class, and which kept box suppressed which.
#pragma once

#include "device/shared_memory.cuh"
#include "nms_overlap.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

/// Drops kept boxes whose class has its limit already, and writes the slots; a block an image. What
/// such a box suppressed stays suppressed: it is of the same class and comes later, so the limit
/// drops it too. The list of kept boxes becomes shorter in place; a box's rank in its class is
/// counted in what is left of the list before it, and in its own part of the list.
__global__ void __launch_bounds__(kNmsThreads)
    nms_limit_kernel(const NmsArguments arguments, const NmsWorkspace workspace) {
  CUDET_SHARED_ARRAY(std::int64_t, classes, kNmsThreads);
  CUDET_SHARED_ARRAY(int, counts, kNmsThreads / kWarpSize);
  const NmsImage image = locate_image(arguments, blockIdx.x);
  NmsImageState& state = workspace.state[image.index];
  const std::int64_t start = image.index * arguments.candidates;
  std::uint32_t* const kept = workspace.kept + start;
  const auto thread = static_cast<int>(threadIdx.x);
  const unsigned lane = threadIdx.x % kWarpSize;
  const auto all = static_cast<std::int64_t>(state.kept);
  std::int64_t stored = 0;
  for (std::int64_t first = 0; first < all && stored < arguments.capacity; first += kNmsThreads) {
    const bool exists = first + thread < all;
    const std::uint32_t position = exists ? kept[first + thread] : 0u;
    const std::int64_t own = exists ? workspace.classes[start + position] : 0;
    std::int64_t rank = 0;
    for (std::int64_t other = 0; other < stored; other += kNmsThreads) {
      if (other + thread < stored)
        classes[thread] = workspace.classes[start + kept[other + thread]];
      __syncthreads();
      const auto end = static_cast<int>(min(stored - other, std::int64_t{kNmsThreads}));
      for (int i = 0; i < end; ++i)
        rank += classes[i] == own ? 1 : 0;
      __syncthreads();
    }
    classes[thread] = own;
    __syncthreads();
    for (int i = 0; i < thread; ++i)
      rank += classes[i] == own ? 1 : 0;
    const bool stays = exists && rank < arguments.class_capacity;
    const unsigned flags = __ballot_sync(kFullWarp, stays);
    if (lane == 0) counts[thread / kWarpSize] = __popc(flags);
    __syncthreads();
    std::int64_t slot = stored + __popc(flags & ((1u << lane) - 1u));
    for (int warp = 0; warp < kNmsThreads / kWarpSize; ++warp) {
      if (warp < thread / kWarpSize) slot += counts[warp];
      stored += counts[warp];
    }
    if (stays && slot < arguments.capacity) {
      kept[slot] = position;
      const std::uint32_t element = workspace.order[start + position];
      write_slot(arguments, image, slot, element);
      write_kept(arguments, image, element);
    }
    __syncthreads();
  }
  if (thread != 0) return;
  const std::int64_t count = min(stored, arguments.capacity);
  state.kept = static_cast<std::uint32_t>(count);
  if (arguments.out.count != nullptr) {
    arguments.out.count[image.index] = static_cast<std::int32_t>(count);
  }
}

/// For each box that takes part and is not kept, the first kept one before it that suppresses it: a
/// sorted position a thread, kept boxes by way of shared memory.
template <bool kClassAware, bool kGeneral>
__global__ void __launch_bounds__(kNmsThreads)
    nms_suppressor_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                          unsigned blocks_per_image) {
  CUDET_SHARED_ARRAY(float4, kept_corners, kNmsThreads);
  CUDET_SHARED_ARRAY(std::int64_t, kept_classes, kClassAware ? kNmsThreads : 1);
  CUDET_SHARED_ARRAY(std::uint32_t, kept_positions, kNmsThreads);
  const BlockOfImage where = block_of_image(blocks_per_image);
  const NmsImage image = locate_image(arguments, where.image);
  const NmsImageState& state = workspace.state[where.image];
  const std::int64_t start = where.image * arguments.candidates;
  const std::int64_t end = start + state.candidates;
  const std::int64_t position = where.block * kNmsThreads + threadIdx.x;
  const std::uint32_t* const kept = workspace.kept + start;
  const auto kept_count = static_cast<std::int64_t>(state.kept);
  bool searching = position < state.candidates;
  const NmsBox box =
      load_sorted_box<kClassAware, kGeneral>(arguments, workspace, start + position, end);
  for (std::int64_t first = 0; first < kept_count; first += kNmsThreads) {
    if (__syncthreads_or(static_cast<int>(searching)) == 0) break;
    if (first + threadIdx.x < kept_count) {
      const std::uint32_t mine = kept[first + threadIdx.x];
      kept_positions[threadIdx.x] = mine;
      kept_corners[threadIdx.x] = workspace.boxes[start + mine];
      if constexpr (kClassAware) kept_classes[threadIdx.x] = workspace.classes[start + mine];
    }
    __syncthreads();
    const auto staged = static_cast<int>(min(kept_count - first, std::int64_t{kNmsThreads}));
    for (int i = 0; i < staged && searching; ++i) {
      if (kept_positions[i] >= position) {  // kept itself, or nothing before it suppresses it
        searching = false;
        break;
      }
      if (kClassAware && kept_classes[i] != box.class_id) continue;
      const float4 c = kept_corners[i];
      if (!overlaps<kGeneral>(arguments, box, {c.x, c.y, c.z, c.w})) continue;
      write_suppressor(arguments, image, workspace.order[start + position],
                       workspace.order[start + kept_positions[i]]);
      searching = false;
    }
  }
}

}  // namespace cudet::device
