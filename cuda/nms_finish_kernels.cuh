// What may follow the panels, and the second sort of matrix NMS: the limit of boxes a class, which
// kept box suppressed which, and the means of boxes.
#pragma once

#include "device/shared_memory.cuh"
#include "nms_shared_boxes.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

constexpr double kLargestDouble = 1.7976931348623157e308;

/// Drops kept boxes whose class has its limit already, and writes the slots; a block an image. What
/// such a box suppressed stays suppressed: it is of the same class and comes later, so the limit
/// drops it too. The list of kept boxes becomes shorter in place; a box's rank in its class is
/// counted in what is left of the list before it, and in its own part of the list. Without a limit
/// this only writes the slots.
__global__ void __launch_bounds__(kNmsThreads)
    nms_limit_kernel(const NmsArguments arguments, const NmsWorkspace workspace) {
  begin_overlapped_kernel();
  CUDET_SHARED_ARRAY(std::int64_t, classes, kNmsThreads);
  CUDET_SHARED_ARRAY(int, counts, kNmsThreads / kWarpSize);
  const NmsImage image = locate_image(arguments, blockIdx.x);
  NmsImageState& state = workspace.state[image.index];
  const std::int64_t start = image.index * arguments.candidates;
  std::uint32_t* const kept = workspace.kept + start;
  const auto thread = static_cast<int>(threadIdx.x);
  const unsigned lane = threadIdx.x % kWarpSize;
  const auto all = static_cast<std::int64_t>(state.kept);
  __syncthreads();  // before the first thread replaces it
  std::int64_t stored = 0;
  for (std::int64_t first = 0; first < all && stored < arguments.capacity; first += kNmsThreads) {
    const bool exists = first + thread < all;
    const std::uint32_t position = exists ? kept[first + thread] : 0u;
    const bool has_classes = workspace.limit_classes;
    const std::int64_t own = exists && has_classes ? workspace.classes[start + position] : 0;
    std::int64_t rank = 0;
    for (std::int64_t other = 0; has_classes && other < stored; other += kNmsThreads) {
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
    for (int i = 0; has_classes && i < thread; ++i)
      rank += classes[i] == own ? 1 : 0;
    // Without classes, all boxes are of one.
    const bool stays = exists && (has_classes ? rank : first + thread) < arguments.class_capacity;
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
      const bool decayed = workspace.scores != nullptr;
      const std::uint32_t element =
          (decayed ? workspace.elements : workspace.order)[start + position];
      write_slot(arguments, image, slot, element,
                 decayed ? workspace.scores + start + position : nullptr);
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
template <bool kClassAware, NmsTest kTest>
__global__ void __launch_bounds__(kNmsThreads, kTest == NmsTest::rotated ? 2 : 4)
    nms_suppressor_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                          unsigned blocks_per_image) {
  begin_overlapped_kernel();
  CUDET_SHARED_ARRAY(float4, kept_corners, (kSharedCorners<kTest, kNmsThreads>));
  CUDET_SHARED_ARRAY(pinned::RotatedBox, kept_rotated, (kSharedRotated<kTest, kNmsThreads>));
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
  const SharedBoxes kept_boxes = {kept_corners, nullptr, kept_rotated, kept_classes};
  bool searching = position < state.candidates;
  const NmsBox box =
      load_sorted_box<kClassAware, kTest>(arguments, workspace, start + position, end);
  for (std::int64_t first = 0; first < kept_count; first += kNmsThreads) {
    if (__syncthreads_or(static_cast<int>(searching)) == 0) break;
    if (first + threadIdx.x < kept_count) {
      const std::uint32_t mine = kept[first + threadIdx.x];
      kept_positions[threadIdx.x] = mine;
      kept_boxes.store<kClassAware, kTest>(
          static_cast<int>(threadIdx.x),
          load_sorted_box<kClassAware, kTest>(arguments, workspace, start + mine, end));
    }
    __syncthreads();
    const auto staged = static_cast<int>(min(kept_count - first, std::int64_t{kNmsThreads}));
    for (int i = 0; i < staged && searching; ++i) {
      if (kept_positions[i] >= position) {  // kept itself, or nothing before it suppresses it
        searching = false;
        break;
      }
      if (kClassAware && kept_classes[i] != box.class_id) continue;
      if (!overlaps<kTest>(arguments, box, kept_boxes, i)) continue;
      if (arguments.out.suppressed_by != nullptr) {
        write_suppressor(arguments, image, workspace.order[start + position],
                         workspace.order[start + kept_positions[i]]);
      }
      if (workspace.suppressors != nullptr) {
        workspace.suppressors[start + position] = kept_positions[i];
      }
      searching = false;
    }
  }
}

/// A kept box a thread: the mean of its four numbers and of those of the boxes that it is the first
/// to suppress. All threads of a warp read the same suppressor at a time.
__global__ void __launch_bounds__(kNmsThreads)
    nms_vote_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                    unsigned blocks_per_image) {
  begin_overlapped_kernel();
  const BlockOfImage where = block_of_image(blocks_per_image);
  const NmsImage image = locate_image(arguments, where.image);
  const NmsImageState& state = workspace.state[where.image];
  const std::int64_t start = where.image * arguments.candidates;
  const std::int64_t slot = where.block * kNmsThreads + threadIdx.x;
  if (slot >= state.kept || slot >= arguments.capacity) return;
  const std::uint32_t own = workspace.kept[start + slot];
  double sums[4] = {0.0, 0.0, 0.0, 0.0};
  double weights = 0.0;
  for (std::uint32_t position = own; position < state.candidates; ++position) {
    if (position != own && workspace.suppressors[start + position] != own) continue;
    const std::uint32_t element = workspace.order[start + position];
    const auto weight = static_cast<double>(activated_score(arguments, image, element));
    const Corners box = load_box(arguments.boxes, box_position(arguments, image, element));
    const float numbers[4] = {box.x1, box.y1, box.x2, box.y2};
    weights = __dadd_rn(weights, weight);
    for (int i = 0; i < 4; ++i)
      sums[i] = __dadd_rn(sums[i], __dmul_rn(weight, static_cast<double>(numbers[i])));
  }
  bool finite = weights > 0.0 && weights <= kLargestDouble;
  for (int i = 0; i < 4; ++i)
    finite = finite && sums[i] >= -kLargestDouble && sums[i] <= kLargestDouble;
  if (!finite) return;
  const DataType type = arguments.boxes.type;
  const std::int64_t to = 4 * (where.image * arguments.capacity + slot);
  for (int i = 0; i < 4; ++i) {
    const auto mean = static_cast<float>(sums[i] / weights);
    store_bits(arguments.out.boxes, to + i, bytes_of(type), bits_of(mean, type));
  }
}

}  // namespace cudet::device
