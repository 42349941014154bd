// Matching: the kernel that knows every box's best.
//
// It writes the outputs by box and forces matches. For forced low-quality matches a block looks at
// the anchors that the block of the first kernel had, but only with the boxes whose largest IoU
// over all anchors is the one that this block reached: a few blocks a box, however many anchors
// there are.
#pragma once

#include "device/warp.cuh"
#include "matching_kernel.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

/// Outputs by box of the boxes that belong to an image, or to none and come next.
__device__ __forceinline__ void store_best_anchors(const MatchParameters& parameters, int image,
                                                   const BoxRange& range) {
  const int begin = image == 0 ? 0 : range.begin;
  const int end =
      image + 1 < parameters.batch ? box_offset(parameters, image + 1) : parameters.box_count;
  for (int box = begin + static_cast<int>(threadIdx.x); box < end; box += kMatchThreads) {
    const bool is_matched = box >= range.begin && box < range.end && parameters.anchors > 0;
    const unsigned long long key = is_matched ? parameters.best[box] : 0;
    store_integer(parameters.best_anchors, box, is_matched ? anchor_of_key(parameters, key) : -1);
    if (parameters.best_anchor_ious != nullptr) {
      parameters.best_anchor_ious[box] = iou_of_key(key);
    }
  }
}

/// Gives the best anchor of every box this box, unless it is that of a later one too.
__device__ __forceinline__ void force_best_anchors(const MatchParameters& parameters, int image,
                                                   const BoxRange& range) {
  if (parameters.anchors == 0) return;
  for (int box = range.begin + static_cast<int>(threadIdx.x); box < range.end;
       box += kMatchThreads) {
    const int anchor = anchor_of_key(parameters, parameters.best[box]);
    bool is_last = true;
    for (int other = box + 1; other < range.end; ++other) {
      is_last = is_last && anchor_of_key(parameters, parameters.best[other]) != anchor;
    }
    if (is_last) store_match(parameters, image, anchor, range.begin, box - range.begin);
  }
}

/// The box with which an anchor has its largest IoU.
__device__ __forceinline__ int best_box(const MatchParameters& parameters, const BoxRange& range,
                                        const MatchBox& anchor) {
  float best = 0.0f;
  int best_place = 0;
  for (int place = 0; place < range.end - range.begin; ++place) {
    const Corners corners = load_corners(parameters.boxes, box_at_place(parameters, range, place));
    const float iou = match_iou(anchor, make_match_box(corners));
    if (iou > best) {
      best = iou;
      best_place = place;
    }
  }
  return box_at_place(parameters, range, best_place) - range.begin;
}

/// Gives every anchor of the block that reaches the largest IoU of some box its own best box.
__device__ __forceinline__ void force_low_quality(const MatchParameters& parameters, int image,
                                                  const BoxRange& range) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int first = first_place_of_lane();
  const float* block_best = parameters.block_best + std::int64_t{blockIdx.x} * parameters.box_count;
  MatchBox anchors[kAnchorsPerThread];
  unsigned forced = 0;  // bit k: anchor k of this lane
#pragma unroll
  for (int k = 0; k < kAnchorsPerThread; ++k) {
    anchors[k] = load_anchor_at(parameters, image, first + k * kWarpSize);
  }
  for (int first_box = range.begin; first_box < range.end; first_box += kWarpSize) {
    const int mine = first_box + lane;
    const bool is_reached =
        mine < range.end && block_best[mine] == iou_of_key(parameters.best[mine]);
    unsigned reached = __ballot_sync(kFullWarp, is_reached);
    while (reached != 0) {
      const int box = first_box + __ffs(static_cast<int>(reached)) - 1;
      reached &= reached - 1;
      const MatchBox match_box = make_match_box(load_corners(parameters.boxes, box));
      const float highest = iou_of_key(parameters.best[box]);
#pragma unroll
      for (int k = 0; k < kAnchorsPerThread; ++k) {
        const float iou = fmaxf(match_iou(anchors[k], match_box), 0.0f);
        forced |= (iou == highest ? 1u : 0u) << k;
      }
    }
  }
#pragma unroll 1
  for (int k = 0; k < kAnchorsPerThread; ++k) {
    const int place = first + k * kWarpSize;
    if ((forced >> k & 1u) == 0 || place >= parameters.anchors) continue;
    const MatchBox anchor = load_anchor_at(parameters, image, place);
    store_match(parameters, image, anchor_at_place(parameters, place), range.begin,
                best_box(parameters, range, anchor));
  }
}

/// Blocks as match_kernel() has them, or one an image where no block has anchors to look at.
__global__ void __launch_bounds__(kMatchThreads, 2)
    match_finish_kernel(const MatchParameters parameters) {
  const int image = static_cast<int>(blockIdx.y);
  BoxRange range = {0, 0};
  if (parameters.batch > 0) range = boxes_of_image(parameters, image);
  if (blockIdx.x == 0) {
    store_best_anchors(parameters, image, range);
    if (parameters.force_best_anchor) force_best_anchors(parameters, image, range);
  }
  if (parameters.block_best != nullptr && parameters.batch > 0) {
    force_low_quality(parameters, image, range);
  }
}

}  // namespace cudet::device
