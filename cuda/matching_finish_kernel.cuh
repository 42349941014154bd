// Matching: the kernel that knows every box's largest IoU.
//
// It finds the best anchors among those of the warps that have them, writes the outputs by box and
// forces matches. For forced low-quality matches a block looks at the anchors that the block of the
// first kernel had, but only with the boxes whose largest IoU over all anchors is the one that this
// block reached: a few blocks a box, however many anchors there are. Only where an anchor is forced
// are all boxes of the image looked at again.
#pragma once

#include "device/warp.cuh"
#include "matching_kernel.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

/// Place of the first anchor that has the largest IoU of a box, which lies in the warp that the key
/// names. All lanes of a warp call it and get the result.
__device__ __forceinline__ int best_place_of(const MatchParameters& parameters, int image, int box,
                                             unsigned long long key) {
  if (key == 0) return 0;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int first = place_of_key(key) * kWarpSize * kAnchorsPerThread + lane;
  const MatchBox match_box = make_match_box(load_corners(parameters.boxes, box));
  int place = INT32_MAX;
#pragma unroll
  for (int k = kAnchorsPerThread - 1; k >= 0; --k) {
    const MatchBox anchor = load_anchor_at(parameters, image, first + k * kWarpSize);
    if (match_iou(anchor, match_box) == iou_of_key(key)) place = first + k * kWarpSize;
  }
  return ~warp_max(~place);
}

/// Outputs by box of the boxes that belong to an image, or to none and come next; a warp a box.
__device__ __forceinline__ void store_best_anchors(const MatchParameters& parameters, int image,
                                                   const BoxRange& range) {
  const int warp =
      static_cast<int>(blockIdx.x) * kMatchWarps + static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int begin = image == 0 ? 0 : range.begin;
  const int end =
      image + 1 < parameters.batch ? box_offset(parameters, image + 1) : parameters.box_count;
  for (int box = begin + warp; box < end; box += static_cast<int>(gridDim.x) * kMatchWarps) {
    unsigned long long key = 0;
    int anchor = -1;
    if (box >= range.begin && box < range.end && parameters.anchors > 0) {
      key = parameters.best[box];
      const int place = best_place_of(parameters, image, box, key);
      anchor = anchor_at_place(parameters, place);
      __syncwarp();  // all lanes have read the key
      if (lane == 0 && key != 0 && parameters.force_best_anchor) {
        parameters.best[box] = best_key(__float_as_int(iou_of_key(key)), place);
      }
    }
    if (lane != 0) continue;
    store_integer(parameters.best_anchors, box, anchor);
    if (parameters.best_anchor_ious != nullptr) {
      parameters.best_anchor_ious[box] = iou_of_key(key);
    }
  }
}

/// Gives the best anchor of every box this box, unless it is that of a later one too. Places of
/// anchors have taken those of warps in the keys.
__device__ __forceinline__ void force_best_anchors(const MatchParameters& parameters, int image,
                                                   const BoxRange& range) {
  if (parameters.anchors == 0) return;
  for (int box = range.begin + static_cast<int>(threadIdx.x); box < range.end;
       box += kMatchThreads) {
    const int place = place_of_key(parameters.best[box]);
    bool is_last = true;
    for (int other = box + 1; other < range.end; ++other)
      is_last = is_last && place_of_key(parameters.best[other]) != place;
    if (is_last) {
      store_match(parameters, image, anchor_at_place(parameters, place), range.begin,
                  box - range.begin);
    }
  }
}

/// Bit k tells whether anchor k of this lane reaches the largest IoU of some box.
__device__ __forceinline__ unsigned low_quality_matches(const MatchParameters& parameters,
                                                        const BoxRange& range,
                                                        const LaneAnchors& anchors) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const float* block_best = parameters.block_best + std::int64_t{blockIdx.x} * parameters.box_count;
  unsigned forced = 0;
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
        const float iou = fmaxf(match_iou(anchors.boxes[k], match_box), 0.0f);
        forced |= (iou == highest ? 1u : 0u) << k;
      }
    }
  }
  return forced;
}

/// Gives every anchor of the block that reaches the largest IoU of some box its own best box.
__device__ __forceinline__ void force_low_quality(const MatchParameters& parameters, int image,
                                                  const BoxRange& range, MatchBoxPair* tile) {
  LaneAnchors anchors = load_anchors(parameters, image);
  const unsigned forced = low_quality_matches(parameters, range, anchors);
  if (__syncthreads_or(forced != 0) == 0) return;
  match_image<false>(parameters, range, anchors, tile, nullptr);
#pragma unroll
  for (int k = 0; k < kAnchorsPerThread; ++k) {
    const int place = first_place_of_lane() + k * kWarpSize;
    if ((forced >> k & 1u) == 0 || place >= parameters.anchors) continue;
    const int match =
        best_box_of(parameters, range, anchors.boxes[k], anchors.best[k], anchors.pair[k]);
    store_match(parameters, image, anchor_at_place(parameters, place), range.begin, match);
  }
}

/// Blocks as match_kernel() has them for low-quality matches, one an image for forced best anchors,
/// any number of them otherwise.
__global__ void __launch_bounds__(kMatchThreads, 2)
    match_finish_kernel(const MatchParameters parameters) {
  CUDET_SHARED_ARRAY(MatchBoxPair, tile, kMatchTilePairs);
  const int image = static_cast<int>(blockIdx.y);
  BoxRange range = {0, 0};
  if (parameters.batch > 0) range = boxes_of_image(parameters, image);
  store_best_anchors(parameters, image, range);
  if (parameters.force_best_anchor) {
    __syncthreads();
    force_best_anchors(parameters, image, range);
  } else if (parameters.block_best != nullptr && parameters.batch > 0) {
    force_low_quality(parameters, image, range, tile);
  }
}

}  // namespace cudet::device
