// Matching: the kernel that looks at all pairs.
//
// Floor: every anchor and box is read once, 16 (a + g) bytes, and 4 or 8 bytes are written for
// each; the pairs, of which a matrix would take 4 a g bytes, stay in registers.
//
// Design: a warp owns 256 neighbouring anchors, eight a lane. The boxes of an image pass through
// shared memory in tiles. Anchors come in the order of their places in the image, so that most
// boxes do not touch the smallest rectangle round a warp's anchors: a lane asks that for two boxes,
// a ballot tells the warp which are left. These are taken two at a time: of both IoUs the larger
// competes with the anchor's best, and only at the end is it asked which of the two it was. A box's
// largest IoU is the maximum over the lanes of a warp, found with one reduction, then over the
// warps of a block, then one 64-bit atomicMax a block and box. That says which warp has the best
// anchor; which of its 256 it is, the finishing kernel asks for each box. A maximum does not depend
// on the order, so results are the same in every run.
//
// Counts: docs/performance.md.
#pragma once

#include "device/shared_memory.cuh"
#include "device/warp.cuh"
#include "matching_parameters.cuh"

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

namespace cudet::device {

constexpr int kMatchTileBoxes = 256;
constexpr int kMatchTilePairs = kMatchTileBoxes / 2;

/// Two boxes of neighbouring places.
struct alignas(16) MatchBoxPair {
  Corners corners[2];
  float areas[2];
};

/// A lane's anchors.
struct LaneAnchors {
  MatchBox boxes[kAnchorsPerThread];
  float best[kAnchorsPerThread];  ///< largest IoU with a box so far, at least 0
  int pair[kAnchorsPerThread];    ///< the boxes with which it was, by place / 2
};

__device__ __forceinline__ Corners warp_bounds(Corners bounds) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    bounds.x1 = fminf(bounds.x1, __shfl_xor_sync(kFullWarp, bounds.x1, offset));
    bounds.y1 = fminf(bounds.y1, __shfl_xor_sync(kFullWarp, bounds.y1, offset));
    bounds.x2 = fmaxf(bounds.x2, __shfl_xor_sync(kFullWarp, bounds.x2, offset));
    bounds.y2 = fmaxf(bounds.y2, __shfl_xor_sync(kFullWarp, bounds.y2, offset));
  }
  return bounds;
}

__device__ __forceinline__ int first_place_of_lane() {
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  return static_cast<int>(blockIdx.x) * static_cast<int>(kMatchBlockAnchors) +
         warp * kWarpSize * kAnchorsPerThread + lane;
}

/// A lane's anchors: at `first_place` and every 32nd from there on, points beyond the last one. Of
/// anchors that are stored as corners all are there at once; the others ask each for its own way.
__device__ __forceinline__ void load_lane_anchors(const MatchParameters& parameters, int image,
                                                  int first_place,
                                                  MatchBox (&anchors)[kAnchorsPerThread]) {
  constexpr int kLast = (kAnchorsPerThread - 1) * kWarpSize;
  Corners corners[kAnchorsPerThread];
  if (are_corners(parameters.anchor_boxes) && first_place < parameters.anchors - kLast) {
    const float4* anchor = static_cast<const float4*>(parameters.anchor_boxes.data) +
                           first_anchor(parameters, image) +
                           anchor_at_place(parameters, first_place);
    const int step = parameters.later_wins ? -kWarpSize : kWarpSize;
#pragma unroll
    for (int k = 0; k < kAnchorsPerThread; ++k) {
      const float4 box = __ldg(anchor);
      corners[k] = {box.x, box.y, box.z, box.w};
      anchor += step;
    }
  } else {
#pragma unroll
    for (int k = 0; k < kAnchorsPerThread; ++k) {
      const int place = first_place + k * kWarpSize;
      corners[k] = {0.0f, 0.0f, 0.0f, 0.0f};
      if (place < parameters.anchors) {
        corners[k] = load_anchor(parameters, image, anchor_at_place(parameters, place));
      }
    }
  }
#pragma unroll
  for (int k = 0; k < kAnchorsPerThread; ++k)
    anchors[k] = make_anchor(corners[k]);
}

/// The smallest rectangle round the anchors with an area of a warp; inverted where there is none.
__device__ __forceinline__ Corners bounds_of_warp(const LaneAnchors& anchors) {
  Corners bounds = {INFINITY, INFINITY, -INFINITY, -INFINITY};
#pragma unroll
  for (int k = 0; k < kAnchorsPerThread; ++k) {
    const Corners& box = anchors.boxes[k].corners;
    if (!(anchors.boxes[k].area > 0.0f)) continue;
    bounds = {fminf(bounds.x1, box.x1), fminf(bounds.y1, box.y1), fmaxf(bounds.x2, box.x2),
              fmaxf(bounds.y2, box.y2)};
  }
  return warp_bounds(bounds);
}

__device__ __forceinline__ bool touches(const Corners& a, const Corners& b) {
  return a.x1 < b.x2 && b.x1 < a.x2 && a.y1 < b.y2 && b.y1 < a.y2;
}

/// Bits of the largest IoU of a box with the warp's anchors; not positive where there is none. As
/// signed integers, positive floats have their order, and all others come before them.
__device__ __forceinline__ int best_of_warp(const float (&ious)[kAnchorsPerThread]) {
  float best = ious[0];
#pragma unroll
  for (int k = 1; k < kAnchorsPerThread; ++k)
    best = fmaxf(best, ious[k]);
  return warp_max(__float_as_int(best));
}

/// Boxes of a tile against the warp's anchors.
template <bool kLooksAtBoxes>
__device__ __forceinline__ void match_tile(const MatchBoxPair* tile, int pairs, int first_pair,
                                           const Corners& bounds, LaneAnchors& anchors,
                                           int* warp_best) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (int first = 0; first < pairs; first += kWarpSize) {
    // The first pair belongs to the highest bit, the one that __clz() finds.
    const int mine = first + kWarpSize - 1 - lane;
    const bool is_near = mine < pairs && (touches(bounds, tile[mine].corners[0]) ||
                                          touches(bounds, tile[mine].corners[1]));
    unsigned near = __ballot_sync(kFullWarp, is_near);
    while (near != 0) {
      const int next = __clz(static_cast<int>(near));
      near ^= 0x80000000u >> next;
      const MatchBoxPair boxes = tile[first + next];
      float ious[2][kAnchorsPerThread];
#pragma unroll
      for (int k = 0; k < kAnchorsPerThread; ++k) {
        ious[0][k] = match_iou(anchors.boxes[k], {boxes.corners[0], boxes.areas[0]});
        ious[1][k] = match_iou(anchors.boxes[k], {boxes.corners[1], boxes.areas[1]});
        const float larger = fmaxf(ious[0][k], ious[1][k]);
        anchors.pair[k] = larger > anchors.best[k] ? first_pair + first + next : anchors.pair[k];
        anchors.best[k] = fmaxf(anchors.best[k], larger);
      }
      if constexpr (kLooksAtBoxes) {
        const int best0 = best_of_warp(ious[0]);
        const int best1 = best_of_warp(ious[1]);
        if (lane == 0) {
          reinterpret_cast<int2*>(warp_best)[first + next] = make_int2(best0, best1);
        }
      }
    }
  }
}

/// Largest IoUs of the block's warps, to the best of the boxes and of this block.
__device__ __forceinline__ void store_block_best(const MatchParameters& parameters,
                                                 const BoxRange& range, int first_place, int boxes,
                                                 const int* warp_best) {
  for (int i = static_cast<int>(threadIdx.x); i < boxes; i += kMatchThreads) {
    unsigned long long key = 0;
    int bits[kMatchWarps];
#pragma unroll
    for (int warp = 0; warp < kMatchWarps; ++warp) {
      bits[warp] = max(warp_best[warp * kMatchTileBoxes + i], 0);
      const int place = static_cast<int>(blockIdx.x) * kMatchWarps + warp;
      if (bits[warp] > 0) key = max(key, best_key(bits[warp], place));
    }
    const int box = box_at_place(parameters, range, first_place + i);
    if (key != 0) atomicMax(parameters.best + box, key);
    if (parameters.block_best == nullptr) continue;
    const unsigned best = __float_as_uint(iou_of_key(key));
    unsigned reached = best;
#pragma unroll
    for (int warp = 0; warp < kMatchWarps; ++warp)
      reached |= static_cast<unsigned>(bits[warp]) == best ? reached_by(warp) : 0u;
    parameters.block_best[std::int64_t{blockIdx.x} * parameters.box_count + box] = reached;
  }
}

/// The box of a lane's best pair that has the best IoU, as an index within the image.
__device__ __forceinline__ int best_box_of(const MatchParameters& parameters, const BoxRange& range,
                                           const MatchBox& anchor, float best, int pair) {
  const int box = box_at_place(parameters, range, 2 * pair);
  if (best > 0.0f) {
    const MatchBox first = make_match_box(load_corners(parameters.boxes, box));
    if (match_iou(anchor, first) != best) {
      return box_at_place(parameters, range, 2 * pair + 1) - range.begin;
    }
  }
  return box - range.begin;
}

/// Stages the boxes from place `first_place` on; a box is added where one is missing to a pair.
__device__ __forceinline__ void stage_boxes(const MatchParameters& parameters,
                                            const BoxRange& range, int first_place, int boxes,
                                            MatchBoxPair* tile) {
  for (int i = static_cast<int>(threadIdx.x); i < boxes + boxes % 2; i += kMatchThreads) {
    MatchBox box = {{0.0f, 0.0f, 0.0f, 0.0f}, 1.0f};
    if (i < boxes) {
      const int index = box_at_place(parameters, range, first_place + i);
      box = make_match_box(load_corners(parameters.boxes, index));
    }
    tile[i / 2].corners[i % 2] = box.corners;
    tile[i / 2].areas[i % 2] = box.area;
  }
}

__device__ __forceinline__ LaneAnchors load_anchors(const MatchParameters& parameters, int image) {
  LaneAnchors anchors;
  load_lane_anchors(parameters, image, first_place_of_lane(), anchors.boxes);
#pragma unroll
  for (int k = 0; k < kAnchorsPerThread; ++k) {
    anchors.best[k] = 0.0f;
    anchors.pair[k] = 0;
  }
  return anchors;
}

/// All boxes of an image against the block's anchors. All threads of the block call it.
template <bool kLooksAtBoxes>
__device__ __forceinline__ void match_image(const MatchParameters& parameters,
                                            const BoxRange& range, LaneAnchors& anchors,
                                            MatchBoxPair* tile, int* warp_best) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int count = range.end - range.begin;
  const Corners bounds = bounds_of_warp(anchors);
  for (int first_place = 0; first_place < count; first_place += kMatchTileBoxes) {
    const int boxes = min(count - first_place, kMatchTileBoxes);
    stage_boxes(parameters, range, first_place, boxes, tile);
    if constexpr (kLooksAtBoxes) {
      for (int i = static_cast<int>(threadIdx.x); i < kMatchWarps * kMatchTileBoxes;
           i += kMatchThreads)
        warp_best[i] = 0;
    }
    __syncthreads();
    match_tile<kLooksAtBoxes>(tile, (boxes + 1) / 2, first_place / 2, bounds, anchors,
                              kLooksAtBoxes ? warp_best + warp * kMatchTileBoxes : nullptr);
    __syncthreads();
    if constexpr (kLooksAtBoxes) {
      store_block_best(parameters, range, first_place, boxes, warp_best);
      __syncthreads();
    }
  }
}

/// One block for 512 anchors (x) of an image (y).
template <bool kLooksAtBoxes>
__global__ void __launch_bounds__(kMatchThreads) match_kernel(const MatchParameters parameters) {
  CUDET_SHARED_ARRAY(MatchBoxPair, tile, kMatchTilePairs);
  CUDET_SHARED_ARRAY(int2, warp_best, kLooksAtBoxes ? kMatchWarps * kMatchTilePairs : 1);
  const int image = static_cast<int>(blockIdx.y);
  const BoxRange range = boxes_of_image(parameters, image);
  const bool has_boxes = range.end > range.begin;
  LaneAnchors anchors = load_anchors(parameters, image);
  match_image<kLooksAtBoxes>(parameters, range, anchors, tile, reinterpret_cast<int*>(warp_best));

#pragma unroll
  for (int k = 0; k < kAnchorsPerThread; ++k) {
    const int place = first_place_of_lane() + k * kWarpSize;
    if (place >= parameters.anchors) continue;
    const int anchor = anchor_at_place(parameters, place);
    if (parameters.ious != nullptr) {
      // A maximum of zeros may be -0.
      parameters.ious[std::int64_t{image} * parameters.anchors + anchor] =
          __fadd_rn(anchors.best[k], 0.0f);
    }
    int match = static_cast<int>(MatchOutput::kNoMatch);
    if (has_boxes && anchors.best[k] >= parameters.high_threshold) {
      match = best_box_of(parameters, range, anchors.boxes[k], anchors.best[k], anchors.pair[k]);
    } else if (has_boxes && anchors.best[k] >= parameters.low_threshold) {
      match = static_cast<int>(MatchOutput::kBetweenThresholds);
    }
    store_match(parameters, image, anchor, range.begin, match);
    if constexpr (kLooksAtBoxes) {
      if (has_boxes && parameters.notes != nullptr) {
        parameters.notes[std::int64_t{image} * parameters.anchors + anchor] =
            match_note(match, anchors.pair[k]);
      }
    }
  }
}

}  // namespace cudet::device
