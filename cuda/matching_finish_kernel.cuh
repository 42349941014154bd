// Matching: the kernel that knows every box's largest IoU.
//
// It finds the best anchors among those of the warps that have them, and writes the outputs by box.
// Where matches are forced a warp has the anchors that it had in the first kernel, but forms IoUs
// only with the boxes whose largest IoU one of its anchors has, as the first kernel has noted: a
// few warps a box, however many anchors there are. A match that is forced is written over that of
// the first kernel. For low-quality matches that has noted which pair has the best box of an anchor
// without a match, if it can in the output itself, where now the match comes.
#pragma once

#include "device/warp.cuh"
#include "matching_kernel.cuh"

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

namespace cudet::device {

/// Outputs of a box.
__device__ __forceinline__ void store_best_anchor(const MatchParameters& parameters, int box,
                                                  int anchor, float iou) {
  store_integer(parameters.best_anchors, box, anchor);
  if (parameters.best_anchor_ious != nullptr) parameters.best_anchor_ious[box] = iou;
}

/// Boxes from `begin` to `end`, which have no anchor; shared among the blocks of an image.
__device__ __forceinline__ void store_without_anchor(const MatchParameters& parameters, int begin,
                                                     int end) {
  const unsigned first = static_cast<unsigned>(begin) + blockIdx.x * kMatchThreads + threadIdx.x;
#pragma unroll 1
  for (unsigned box = first; box < static_cast<unsigned>(end); box += gridDim.x * kMatchThreads)
    store_best_anchor(parameters, static_cast<int>(box), -1, 0.0f);
}

/// Bit k tells whether anchor k of this lane has the largest IoU of a box, which is `iou`.
__device__ __forceinline__ unsigned anchors_with_iou(const MatchBox (&anchors)[kAnchorsPerThread],
                                                     const MatchBox& box, float iou) {
  const float least = iou > 0.0f ? iou : -INFINITY;  // not above 0 is 0
  unsigned found = 0;
#pragma unroll
  for (int k = 0; k < kAnchorsPerThread; ++k)
    found |= match_iou(anchors[k], box) >= least ? 1u << k : 0u;
  return found;
}

/// The first of the warp's anchors that `found` names, as a place from the first one on. All lanes
/// get it.
__device__ __forceinline__ int first_found(unsigned found) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int place =
      found != 0 ? (__ffs(static_cast<int>(found)) - 1) * kWarpSize + lane : INT32_MAX;
  return ~warp_max(~place);
}

/// Outputs by box of the boxes whose best anchors the warp has. Returns what is to be forced: bit k
/// for anchor k of this lane. Where best anchors are forced `forced_boxes` gets their boxes.
template <ForcedMatches kForced>
__device__ __forceinline__ unsigned force_boxes(const MatchParameters& parameters,
                                                const BoxRange& range,
                                                const MatchBox (&anchors)[kAnchorsPerThread],
                                                int (&forced_boxes)[kAnchorsPerThread]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int first_place = first_place_of_lane() - lane;
  const int warp = first_place / (kWarpSize * kAnchorsPerThread);
  unsigned forced = 0;
  for (int first = range.begin; first < range.end; first += kWarpSize) {
    const int mine = first + lane;
    const unsigned long long key = mine < range.end ? parameters.best[mine] : 0;
    const bool is_best = mine < range.end && place_of_key(key) == warp;
    bool is_reached = is_best;
    if constexpr (kForced == ForcedMatches::low_quality) {
      const std::int64_t row = std::int64_t{blockIdx.x} * parameters.box_count;
      is_reached = mine < range.end && has_reached(parameters.block_best[row + mine],
                                                   warp % kMatchWarps, iou_of_key(key));
    }
    int best_place = 0;
    unsigned reached = __ballot_sync(kFullWarp, is_reached);
    while (reached != 0) {
      const int next = __ffs(static_cast<int>(reached)) - 1;
      reached &= reached - 1;
      const int box = first + next;
      const float iou = __shfl_sync(kFullWarp, iou_of_key(key), next);
      const unsigned found =
          anchors_with_iou(anchors, make_match_box(load_corners(parameters.boxes, box)), iou);
      const int place = first_found(found);
      if (lane == next) best_place = place;
      if constexpr (kForced == ForcedMatches::low_quality) forced |= found;
      if constexpr (kForced == ForcedMatches::best_anchor) {
        const unsigned best = place % kWarpSize == lane ? 1u << place / kWarpSize : 0;
        forced |= best;
#pragma unroll
        for (int k = 0; k < kAnchorsPerThread; ++k)
          forced_boxes[k] = best == 1u << k ? box : forced_boxes[k];
      }
    }
    if (is_best) {
      store_best_anchor(parameters, mine, anchor_at_place(parameters, first_place + best_place),
                        iou_of_key(key));
    }
  }
  return forced;
}

/// The box of a pair with which an anchor has the larger IoU, as an index within the image.
__device__ __forceinline__ int better_box_of(const MatchParameters& parameters,
                                             const BoxRange& range, const MatchBox& anchor,
                                             int pair) {
  const int first = box_at_place(parameters, range, 2 * pair);
  if (2 * pair + 1 == range.end - range.begin) return first - range.begin;
  const int second = box_at_place(parameters, range, 2 * pair + 1);
  const MatchBox boxes[] = {make_match_box(load_corners(parameters.boxes, first)),
                            make_match_box(load_corners(parameters.boxes, second))};
  const float least = fmaxf(match_iou(anchor, boxes[0]), 0.0f);
  return (match_iou(anchor, boxes[1]) > least ? second : first) - range.begin;
}

/// Writes the matches that are forced, as force_boxes() tells them, and matches in place of notes.
template <ForcedMatches kForced>
__device__ __forceinline__ void store_forced(const MatchParameters& parameters, int image,
                                             const BoxRange& range,
                                             const MatchBox (&anchors)[kAnchorsPerThread],
                                             unsigned forced,
                                             const int (&forced_boxes)[kAnchorsPerThread]) {
#pragma unroll
  for (int k = 0; k < kAnchorsPerThread; ++k) {
    const int place = first_place_of_lane() + k * kWarpSize;
    if (place >= parameters.anchors) continue;
    const int anchor = anchor_at_place(parameters, place);
    const bool is_forced = (forced >> k & 1u) != 0;
    int box = forced_boxes[k] - range.begin;
    if constexpr (kForced == ForcedMatches::low_quality) {
      const std::int64_t index = std::int64_t{image} * parameters.anchors + anchor;
      const int note = parameters.notes[index];
      if (note >= 0) continue;  // its match is its best box
      if (is_forced) {
        box = better_box_of(parameters, range, anchors[k], pair_of_note(note));
      } else if (parameters.notes_are_matches) {
        parameters.notes[index] = match_of_note(note);
      }
    }
    if (is_forced) store_match(parameters, image, anchor, range.begin, box);
  }
}

/// Boxes of an image that can have an anchor.
__device__ __forceinline__ BoxRange boxes_with_anchors(const MatchParameters& parameters,
                                                       int image) {
  if (parameters.batch == 0 || parameters.anchors == 0) return {0, 0};
  return boxes_of_image(parameters, image);
}

/// Outputs by box of those that belong to no image, or to one without anchors.
__device__ __forceinline__ void store_others(const MatchParameters& parameters, int image,
                                             const BoxRange& range) {
  if (image == 0) store_without_anchor(parameters, 0, range.begin);
  if (image + 1 >= parameters.batch) {
    store_without_anchor(parameters, range.end, parameters.box_count);
  }
}

/// Outputs by box; a warp a box, any number of blocks (x) an image (y).
__global__ void __launch_bounds__(kMatchThreads)
    match_finish_kernel(const MatchParameters parameters) {
  const int image = static_cast<int>(blockIdx.y);
  const BoxRange range = boxes_with_anchors(parameters, image);
  store_others(parameters, image, range);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp =
      static_cast<int>(blockIdx.x) * kMatchWarps + static_cast<int>(threadIdx.x) / kWarpSize;
  for (int box = range.begin + warp; box < range.end;
       box += static_cast<int>(gridDim.x) * kMatchWarps) {
    const unsigned long long key = parameters.best[box];
    const float iou = iou_of_key(key);
    int place = 0;
    if (key != 0) {
      const int first_place = place_of_key(key) * kWarpSize * kAnchorsPerThread;
      MatchBox anchors[kAnchorsPerThread];
      load_lane_anchors(parameters, image, first_place + lane, anchors);
      const MatchBox match_box = make_match_box(load_corners(parameters.boxes, box));
      place = first_place + first_found(anchors_with_iou(anchors, match_box, iou));
    }
    if (lane == 0) store_best_anchor(parameters, box, anchor_at_place(parameters, place), iou);
  }
}

/// Outputs by box and forced matches; blocks as match_kernel() has them, at least one an image.
template <ForcedMatches kForced>
__global__ void __launch_bounds__(kMatchThreads, 2)
    match_force_kernel(const MatchParameters parameters) {
  const int image = static_cast<int>(blockIdx.y);
  const BoxRange range = boxes_with_anchors(parameters, image);
  store_others(parameters, image, range);
  if (range.begin == range.end) return;
  MatchBox anchors[kAnchorsPerThread];
  load_lane_anchors(parameters, image, first_place_of_lane(), anchors);
  int forced_boxes[kAnchorsPerThread] = {};
  const unsigned forced = force_boxes<kForced>(parameters, range, anchors, forced_boxes);
  store_forced<kForced>(parameters, image, range, anchors, forced, forced_boxes);
}

}  // namespace cudet::device
