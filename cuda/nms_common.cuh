// What the NMS kernels share: their arguments, the order of scores, the pair test, the resolution
// of one tile of 64 boxes, and the output slots.
#pragma once

#include "device/box.cuh"
#include "device/real.cuh"
#include "device/warp.cuh"

#include "../src/nms_plan.h"
#include "iou_threshold.h"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

/// Padded outputs; a null pointer is an output that nobody wants.
struct NmsSlots {
  std::int32_t* count;
  void* indices;
  bool indices_are_64_bit;
  void* boxes;
  void* scores;
  void* classes;
};

struct NmsArguments {
  BoxArray boxes;
  const void* scores;
  DataType score_type;
  const void* classes;
  bool classes_are_64_bit;
  const std::int32_t* counts;
  std::int64_t n;
  std::int64_t capacity;
  IouThreshold iou_threshold;
  float score_threshold;
  NmsSlots out;
};

/// Boxes that image `image` really has.
__device__ __forceinline__ std::int64_t boxes_of_image(const NmsArguments& arguments,
                                                       std::int64_t image) {
  if (arguments.counts == nullptr) return arguments.n;
  const std::int64_t count = arguments.counts[image];
  return count < 0 ? 0 : (count > arguments.n ? arguments.n : count);
}

__device__ __forceinline__ std::int64_t load_class(const NmsArguments& arguments,
                                                   std::int64_t element) {
  return arguments.classes_are_64_bit
             ? static_cast<const std::int64_t*>(arguments.classes)[element]
             : static_cast<const std::int32_t*>(arguments.classes)[element];
}

/// Sorts after every candidate.
constexpr unsigned kNotACandidate = 0xffffffffu;

/// A number that orders candidates by decreasing score: equal for equal scores (-0 and 0 too),
/// kNotACandidate for a score that does not pass the threshold, which NaN never does. The bits of
/// positive floats grow with them and those of negative ones fall; flipping evens that out.
__device__ __forceinline__ unsigned score_key(float score, float threshold) {
  if (!(score > threshold)) return kNotACandidate;
  const unsigned bits = score == 0.0f ? 0u : __float_as_uint(score);
  const unsigned ascending = (bits >> 31) != 0u ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

/// Corners of box `element` of all images; of an invalid one those of the empty box at the origin,
/// whose intersection with every valid box is not positive.
__device__ __forceinline__ float4 load_nms_box(const BoxArray& boxes, std::int64_t element) {
  const Corners box = load_corners(boxes, element);
  return is_valid(box) ? make_float4(box.x1, box.y1, box.x2, box.y2)
                       : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
}

/// Negative where the IoU, as a correctly rounded division gives it, exceeds the threshold; never
/// NaN and never -0 otherwise, so that the sign bit is the decision. See iou_threshold.h.
__device__ __forceinline__ float threshold_margin(float intersection, float union_area,
                                                  const IouThreshold& threshold) {
  return __fmaf_rn(threshold.half_step, union_area,
                   __fmaf_rn(threshold.value, union_area, -intersection));
}

/// The same decision for unions however small.
__device__ __forceinline__ bool exceeds_carefully(float intersection, float union_area,
                                                  const IouThreshold& threshold) {
  const double bound = threshold.midpoint * static_cast<double>(union_area);
  const auto value = static_cast<double>(intersection);
  return value > bound || (threshold.odd && value == bound && value > 0.0);
}

/// A box in registers, as the loops over other boxes need it.
struct NmsBox {
  Corners corners;
  float area;
  bool careful;  ///< unions with this box may be too small for the margin
  std::int64_t class_id;
};

__device__ __forceinline__ NmsBox make_nms_box(float4 corners, const IouThreshold& threshold) {
  const Corners box = {corners.x, corners.y, corners.z, corners.w};
  const float box_area = area(box);
  return {box, box_area, box_area < threshold.careful_below, 0};
}

/// True where the IoU of two boxes, both loaded by load_nms_box(), exceeds the threshold.
__device__ __forceinline__ bool overlaps(const NmsBox& box, const Corners& other, float other_area,
                                         const IouThreshold& threshold) {
  const float common = intersection(box.corners, other);
  const float union_area = __fsub_rn(__fadd_rn(box.area, other_area), common);
  return box.careful ? exceeds_carefully(common, union_area, threshold)
                     : threshold_margin(common, union_area, threshold) < 0.0f;
}

/// Boxes in shared memory that many threads compare theirs with.
struct SharedBoxes {
  float4* corners;
  float* areas;
  std::int64_t* classes;  ///< where kClassAware

  /// Stores `box` as number `i`.
  template <bool kClassAware>
  __device__ void store(int i, const NmsBox& box) const {
    corners[i] = make_float4(box.corners.x1, box.corners.y1, box.corners.x2, box.corners.y2);
    areas[i] = box.area;
    if constexpr (kClassAware) classes[i] = box.class_id;
  }
};

/// Shared boxes come in groups, filled up with empty boxes, which overlap nothing: a thread looks
/// at its result once a group and not after each box.
constexpr int kSharedBoxGroup = 4;

__device__ __forceinline__ int round_up_to_group(int count) {
  return (count + kSharedBoxGroup - 1) / kSharedBoxGroup * kSharedBoxGroup;
}

/// True where `box` overlaps one of the first `count` shared boxes, a multiple of kSharedBoxGroup.
template <bool kClassAware>
__device__ __forceinline__ bool overlaps_any(const NmsBox& box, const SharedBoxes& others,
                                             int count, const IouThreshold& threshold) {
  for (int first = 0; first < count; first += kSharedBoxGroup) {
    unsigned signs = 0u;
#pragma unroll
    for (int i = 0; i < kSharedBoxGroup; ++i) {
      const float4 c = others.corners[first + i];
      const float common = intersection(box.corners, {c.x, c.y, c.z, c.w});
      const float union_area = __fsub_rn(__fadd_rn(box.area, others.areas[first + i]), common);
      unsigned sign = __float_as_uint(threshold_margin(common, union_area, threshold));
      if (box.careful) sign = exceeds_carefully(common, union_area, threshold) ? ~0u : 0u;
      if constexpr (kClassAware) {
        if (others.classes[first + i] != box.class_id) sign = 0u;
      }
      signs |= sign;
    }
    if ((signs >> 31) != 0u) return true;
  }
  return false;
}

/// 64 flags, one a box of a tile.
struct TileMask {
  unsigned low, high;

  __device__ int count() const { return __popc(low) + __popc(high); }
  __device__ bool operator!=(const TileMask& other) const {
    return low != other.low || high != other.high;
  }
};

__device__ __forceinline__ bool any_of(const TileMask& a, const TileMask& b) {
  return ((a.low & b.low) | (a.high & b.high)) != 0u;
}

/// Greedy suppression inside one tile, by one warp. Lane l knows boxes l and l + 32: whether they
/// are alive, and which earlier boxes of the tile overlap them. The kept set is the only one in
/// which a box is kept exactly where it is alive and no kept box overlaps it from before; iterating
/// from "all kept" settles one more link of every chain of suppressions in each round, so it ends
/// after as many rounds as the longest chain has links (4 on average, 64 at most), unlike a scan,
/// which takes a step for each kept box.
__device__ __forceinline__ TileMask resolve_tile(bool first_alive, bool second_alive,
                                                 TileMask overlap_first, TileMask overlap_second) {
  TileMask kept = {__ballot_sync(kFullWarp, first_alive), __ballot_sync(kFullWarp, second_alive)};
  TileMask before;
  do {
    before = kept;
    kept.low = __ballot_sync(kFullWarp, first_alive && !any_of(overlap_first, before));
    kept.high = __ballot_sync(kFullWarp, second_alive && !any_of(overlap_second, before));
  } while (kept != before);
  return kept;
}

/// The first `limit` of the flags that are set.
__device__ __forceinline__ TileMask first_flags(TileMask mask, int limit) {
  while (mask.count() > limit) {
    if (mask.high != 0u) {
      mask.high &= ~(0x80000000u >> __clz(static_cast<int>(mask.high)));
    } else {
      mask.low &= ~(0x80000000u >> __clz(static_cast<int>(mask.low)));
    }
  }
  return mask;
}

/// Flags set before lane l's first box (l) or second box (l + 32).
__device__ __forceinline__ int rank_in_tile(const TileMask& mask, unsigned lane, bool second) {
  const unsigned below = (1u << lane) - 1u;
  return second ? __popc(mask.low) + __popc(mask.high & below) : __popc(mask.low & below);
}

/// Element `index` of an array as bits; `bytes`, the size of an element, is 2, 4 or 8.
__device__ __forceinline__ std::uint64_t load_bits(const void* array, std::int64_t index,
                                                   int bytes) {
  if (bytes == 2) return static_cast<const std::uint16_t*>(array)[index];
  if (bytes == 4) return static_cast<const std::uint32_t*>(array)[index];
  return static_cast<const std::uint64_t*>(array)[index];
}

__device__ __forceinline__ void store_bits(void* array, std::int64_t index, int bytes,
                                           std::uint64_t bits) {
  if (bytes == 2) {
    static_cast<std::uint16_t*>(array)[index] = static_cast<std::uint16_t>(bits);
  } else if (bytes == 4) {
    static_cast<std::uint32_t*>(array)[index] = static_cast<std::uint32_t>(bits);
  } else {
    static_cast<std::uint64_t*>(array)[index] = bits;
  }
}

__device__ __forceinline__ int bytes_of(DataType type) {
  return type == DataType::float32 ? 4 : 2;
}

/// Writes kept box `index` of `image` into output slot `slot` of that image, and the padding where
/// `index` is negative.
__device__ __forceinline__ void write_slot(const NmsArguments& arguments, std::int64_t image,
                                           std::int64_t slot, std::int64_t index) {
  const NmsSlots& out = arguments.out;
  const bool padding = index < 0;
  const std::int64_t to = image * arguments.capacity + slot;
  const std::int64_t from = image * arguments.n + index;
  if (out.indices != nullptr) {
    store_bits(out.indices, to, out.indices_are_64_bit ? 8 : 4, static_cast<std::uint64_t>(index));
  }
  if (out.boxes != nullptr) {
    const int bytes = bytes_of(arguments.boxes.type);
    for (int i = 0; i < 4; ++i) {
      const std::uint64_t bits = padding ? 0 : load_bits(arguments.boxes.data, 4 * from + i, bytes);
      store_bits(out.boxes, 4 * to + i, bytes, bits);
    }
  }
  if (out.scores != nullptr) {
    const int bytes = bytes_of(arguments.score_type);
    store_bits(out.scores, to, bytes, padding ? 0 : load_bits(arguments.scores, from, bytes));
  }
  if (out.classes != nullptr) {
    const int bytes = arguments.classes_are_64_bit ? 8 : 4;
    store_bits(out.classes, to, bytes,
               padding ? ~std::uint64_t{0} : load_bits(arguments.classes, from, bytes));
  }
}

constexpr std::int64_t kPadding = -1;

}  // namespace cudet::device
