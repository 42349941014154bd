// What the kernels of the matching are told, and what both do with it.
#pragma once

#include "box_array.h"
#include "device/box.cuh"
#include "device/integer_array.cuh"
#include "device/real.cuh"
#include "device/warp.cuh"

#include "../src/matching_plan.h"

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

namespace cudet::device {

constexpr int kMatchThreads = 64;
constexpr int kMatchWarps = kMatchThreads / kWarpSize;
constexpr int kAnchorsPerThread = static_cast<int>(kMatchBlockAnchors) / kMatchThreads;

struct MatchParameters {
  BoxArray anchor_boxes;
  BoxArray boxes;
  IntegerArray offsets;
  IntegerArray labels;
  IntegerArray matches;
  IntegerArray match_labels;
  float* ious;  ///< null: not wanted
  void* codes;  ///< null: not wanted
  DataType code_type;
  IntegerArray best_anchors;
  float* best_anchor_ious;   ///< null: not wanted
  unsigned long long* best;  ///< by box: best_key() of its largest IoU and of a warp that has it
  /// By block of anchors and box: largest IoU, and reached_by() of each warp that has it;
  /// low_quality alone.
  unsigned* block_best;
  int* notes;              ///< by image and anchor: match_note(); low_quality alone
  bool notes_are_matches;  ///< `notes` is the output `matches`
  int batch;
  int anchors;  ///< of an image
  int box_count;
  bool anchors_by_image;
  bool later_wins;
  float low_threshold;
  float high_threshold;
  float code_weights[4];
  long long no_match_label;
  long long between_thresholds_label;
};

/// Boxes of an image.
struct BoxRange {
  int begin, end;
};

__device__ __forceinline__ int box_offset(const MatchParameters& parameters, int image) {
  const long long offset = load_integer(parameters.offsets, image);
  return static_cast<int>(max(0ll, min(offset, static_cast<long long>(parameters.box_count))));
}

__device__ __forceinline__ BoxRange boxes_of_image(const MatchParameters& parameters, int image) {
  const int begin = box_offset(parameters, image);
  return {begin, max(begin, box_offset(parameters, image + 1))};
}

/// A box of which IoUs are formed. An invalid one is a point, which overlaps nothing.
struct MatchBox {
  Corners corners;
  float area;
};

__device__ __forceinline__ MatchBox make_anchor(Corners corners) {
  const bool valid = is_valid(corners);
  corners = {valid ? corners.x1 : 0.0f, valid ? corners.y1 : 0.0f, valid ? corners.x2 : 0.0f,
             valid ? corners.y2 : 0.0f};
  return {corners, area(corners)};
}

/// A box without area has no intersection with area; with an area of 1 no union is empty, and no
/// quotient NaN.
__device__ __forceinline__ MatchBox make_match_box(const Corners& corners) {
  MatchBox box = make_anchor(corners);
  if (box.area == 0.0f) box.area = 1.0f;
  return box;
}

/// IoU of an anchor and a box; not above 0 where they are apart. Never NaN, never above 1: the
/// rounded intersection is at most each rounded area.
__device__ __forceinline__ float match_iou(const MatchBox& anchor, const MatchBox& box) {
  const float overlap = intersection(anchor.corners, box.corners);
  return __fdiv_rn(overlap, __fsub_rn(__fadd_rn(box.area, anchor.area), overlap));
}

__device__ __forceinline__ std::int64_t first_anchor(const MatchParameters& parameters, int image) {
  return parameters.anchors_by_image ? std::int64_t{image} * parameters.anchors : 0;
}

__device__ __forceinline__ Corners load_anchor(const MatchParameters& parameters, int image,
                                               int anchor) {
  return load_corners(parameters.anchor_boxes, first_anchor(parameters, image) + anchor);
}

// Anchors, and the boxes of an image, are counted by *place*: from the first one on, or from the
// last one backwards where later ones win ties. In either case the lower place wins.

__device__ __forceinline__ int anchor_at_place(const MatchParameters& parameters, int place) {
  return parameters.later_wins ? parameters.anchors - 1 - place : place;
}

__device__ __forceinline__ int box_at_place(const MatchParameters& parameters,
                                            const BoxRange& range, int place) {
  return parameters.later_wins ? range.end - 1 - place : range.begin + place;
}

/// An IoU above 0 and a place as one number: the greatest one is the best.
__device__ __forceinline__ unsigned long long best_key(int iou_bits, int place) {
  return static_cast<unsigned long long>(static_cast<unsigned>(iou_bits)) << 32 |
         ~static_cast<unsigned>(place);
}

/// The place in a key; that in 0, which stands for no overlap, is the one that wins among zeros.
__device__ __forceinline__ int place_of_key(unsigned long long key) {
  return key == 0 ? 0 : static_cast<int>(~static_cast<unsigned>(key));
}

__device__ __forceinline__ float iou_of_key(unsigned long long key) {
  return __uint_as_float(static_cast<unsigned>(key >> 32));
}

/// The bit of a block's warp next to an IoU, of which the two upper bits are 0, since it is at most
/// 1.
__device__ __forceinline__ unsigned reached_by(int warp) {
  static_assert(kMatchWarps <= 2, "no bit for the third");
  return 0x40000000u << warp;
}

/// Whether a warp of the block reached this IoU, by what the block has noted.
__device__ __forceinline__ bool has_reached(unsigned block_best, int warp, float iou) {
  return (block_best & reached_by(warp)) != 0 && (block_best & 0x3fffffffu) == __float_as_uint(iou);
}

__device__ __forceinline__ void store_codes(const MatchParameters& parameters, std::int64_t index,
                                            const Corners& anchor, const Corners& box) {
  const float width = __fsub_rn(anchor.x2, anchor.x1);
  const float height = __fsub_rn(anchor.y2, anchor.y1);
  // Differences of corners are exact where the boxes are close, those of centres are not.
  const float dx =
      __fmul_rn(0.5f, __fadd_rn(__fsub_rn(box.x1, anchor.x1), __fsub_rn(box.x2, anchor.x2)));
  const float dy =
      __fmul_rn(0.5f, __fadd_rn(__fsub_rn(box.y1, anchor.y1), __fsub_rn(box.y2, anchor.y2)));
  const float codes[] = {__fdiv_rn(dx, width), __fdiv_rn(dy, height),
                         logf(__fdiv_rn(__fsub_rn(box.x2, box.x1), width)),
                         logf(__fdiv_rn(__fsub_rn(box.y2, box.y1), height))};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    store_real(parameters.codes, parameters.code_type, 4 * index + k,
               __fmul_rn(parameters.code_weights[k], codes[k]));
  }
}

/// What an anchor has got, and without a match the pair that has its best box, for the case that
/// this is forced.
__device__ __forceinline__ int match_note(int match, int pair) {
  if (match >= 0) return match;
  return ~(2 * pair + (match == static_cast<int>(MatchOutput::kBetweenThresholds) ? 1 : 0));
}

__device__ __forceinline__ int match_of_note(int note) {
  if (note >= 0) return note;
  return static_cast<int>((~note & 1) != 0 ? MatchOutput::kBetweenThresholds
                                           : MatchOutput::kNoMatch);
}

__device__ __forceinline__ int pair_of_note(int note) {
  return ~note / 2;
}

/// Writes what an anchor has got: `match` is a box of the image, or one of the two constants.
__device__ __forceinline__ void store_match(const MatchParameters& parameters, int image,
                                            int anchor, int first_box, int match) {
  const std::int64_t index = std::int64_t{image} * parameters.anchors + anchor;
  store_integer(parameters.matches, index, match);
  if (parameters.match_labels.data != nullptr) {
    const long long label = match >= 0 ? load_integer(parameters.labels, first_box + match)
                            : match == MatchOutput::kNoMatch ? parameters.no_match_label
                                                             : parameters.between_thresholds_label;
    store_integer(parameters.match_labels, index, label);
  }
  if (parameters.codes == nullptr) return;
  Corners box = {0.0f, 0.0f, 0.0f, 0.0f};
  Corners anchor_box = box;
  bool is_coded = false;
  if (match >= 0) {
    anchor_box = load_anchor(parameters, image, anchor);
    box = load_corners(parameters.boxes, first_box + match);
    is_coded = is_valid(anchor_box) && is_valid(box);
  }
  if (is_coded) {
    store_codes(parameters, index, anchor_box, box);
  } else {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      store_real(parameters.codes, parameters.code_type, 4 * index + k, 0.0f);
  }
}

}  // namespace cudet::device
