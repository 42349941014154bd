// Matrix NMS: every box looks at the boxes before it, and no decision waits for another.
//
// Work       n^2 metrics, half of all pairs twice: first for the largest metric of each box, then
// for
//            the decay, which needs those of others; storing them would take n^2 / 2 floats.
#pragma once

#include "device/shared_memory.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

/// The boxes before a sorted position, by way of shared memory: calls visit(metric, i) for each one
/// of the same class. All threads of the block take part.
template <NmsTest kTest, class Visit>
__device__ __forceinline__ void for_each_earlier_box(const NmsArguments& arguments,
                                                     const NmsWorkspace& workspace,
                                                     std::int64_t start, std::int64_t position,
                                                     std::int64_t candidates, bool with_overlaps,
                                                     Visit visit) {
  CUDET_SHARED_ARRAY(float4, corners, (kSharedCorners<kTest, kNmsThreads>));
  CUDET_SHARED_ARRAY(pinned::RotatedBox, rotated, (kSharedRotated<kTest, kNmsThreads>));
  CUDET_SHARED_ARRAY(std::int64_t, classes, kNmsThreads);
  CUDET_SHARED_ARRAY(float, overlaps, kNmsThreads);
  const bool exists = position < candidates;
  const bool compare = arguments.class_aware;
  const SharedBoxes boxes = {corners, nullptr, rotated, classes};
  const auto load = [&](std::int64_t p) {
    const std::int64_t class_id = compare ? workspace.classes[start + p] : 0;
    return make_nms_box<kTest>(arguments, sorted_numbers<kTest>(workspace, start + p), class_id);
  };
  const NmsBox box = exists ? load(position) : make_nms_box<kTest>(arguments, no_box<kTest>(), 0);
  const std::int64_t block_end = position - threadIdx.x + kNmsThreads;
  for (std::int64_t first = 0; first < min(block_end, candidates); first += kNmsThreads) {
    const std::int64_t mine = first + threadIdx.x;
    if (mine < candidates) {
      boxes.store<true, kTest>(static_cast<int>(threadIdx.x), load(mine));
      if (with_overlaps) overlaps[threadIdx.x] = workspace.overlaps[start + mine];
    }
    __syncthreads();
    const auto end =
        static_cast<int>(min(std::int64_t{kNmsThreads}, min(position, candidates) - first));
    for (int i = 0; exists && i < end; ++i) {
      if (classes[i] != box.class_id) continue;
      visit(metric_with<kTest>(arguments, box, boxes, i), with_overlaps ? overlaps[i] : 0.0f);
    }
    __syncthreads();
  }
}

/// A sorted position a thread: the largest metric with a box before it.
template <NmsTest kTest>
__global__ void __launch_bounds__(kNmsThreads)
    nms_largest_overlap_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                               unsigned blocks_per_image) {
  begin_overlapped_kernel();
  const BlockOfImage where = block_of_image(blocks_per_image);
  const std::int64_t start = where.image * arguments.candidates;
  const std::int64_t position = where.block * kNmsThreads + threadIdx.x;
  const auto candidates = static_cast<std::int64_t>(workspace.state[where.image].candidates);
  float largest = 0.0f;
  for_each_earlier_box<kTest>(arguments, workspace, start, position, candidates, false,
                              [&](float value, float) { largest = fmaxf(largest, value); });
  if (position < candidates) workspace.overlaps[start + position] = largest;
}

/// A sorted position a thread: the decayed score and its sort key. `keys` and `order` are buffers
/// that the sort begins with.
template <NmsTest kTest>
__global__ void __launch_bounds__(kNmsThreads, kTest == NmsTest::rotated ? 2 : 4)
    nms_decay_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                     std::uint64_t* keys, std::uint32_t* order, unsigned blocks_per_image) {
  begin_overlapped_kernel();
  const BlockOfImage where = block_of_image(blocks_per_image);
  const std::int64_t start = where.image * arguments.candidates;
  const std::int64_t position = where.block * kNmsThreads + threadIdx.x;
  const auto candidates = static_cast<std::int64_t>(workspace.state[where.image].candidates);
  const bool gaussian = arguments.method == NmsMethod::matrix_gaussian;
  // Gaussian: the largest difference of squares, of which one exponential makes the decay.
  float extreme = gaussian ? 0.0f : 1.0f;
  for_each_earlier_box<kTest>(
      arguments, workspace, start, position, candidates, true, [&](float value, float largest) {
        if (gaussian) {
          const float difference = __fsub_rn(__fmul_rn(value, value), __fmul_rn(largest, largest));
          extreme = fmaxf(extreme, difference);
        } else {
          const float compensation = __fsub_rn(1.0f, largest);
          if (!(compensation > 0.0f)) return;
          const float decay = __fdiv_rn(fmaxf(__fsub_rn(1.0f, value), 0.0f), compensation);
          extreme = fminf(extreme, decay);
        }
      });
  if (position >= arguments.candidates) return;
  unsigned key = kNotACandidate;
  if (position < candidates) {
    const NmsImage image = locate_image(arguments, where.image);
    const float decay =
        gaussian ? pinned::exp_of_nonpositive(-__fdiv_rn(extreme, arguments.sigma)) : extreme;
    const float score =
        __fmul_rn(activated_score(arguments, image, workspace.elements[start + position]), decay);
    workspace.scores[start + position] = score;
    key = score_key(score, {arguments.decayed_score_threshold, true});
  }
  keys[start + position] = (static_cast<std::uint64_t>(where.image) << 32) | key;
  order[start + position] = static_cast<std::uint32_t>(position);
}

/// A place in the order of decayed scores a thread: how many boxes there are to keep.
__global__ void __launch_bounds__(kNmsThreads)
    nms_count_decayed_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                             unsigned blocks_per_image) {
  begin_overlapped_kernel();
  const BlockOfImage where = block_of_image(blocks_per_image);
  const std::int64_t start = where.image * arguments.candidates;
  const std::int64_t place = where.block * kNmsThreads + threadIdx.x;
  if (place >= arguments.candidates) return;
  const auto is_kept = [&](std::int64_t p) {
    return static_cast<unsigned>(workspace.keys[start + p]) != kNotACandidate;
  };
  if (is_kept(place) && (place + 1 == arguments.candidates || !is_kept(place + 1))) {
    workspace.state[where.image].kept = static_cast<std::uint32_t>(place + 1);
  }
}

}  // namespace cudet::device
