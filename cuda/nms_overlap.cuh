// Whether two boxes overlap too much. There are two tests. The fast one serves the plain IoU with
// one threshold for all boxes and divides nothing, see iou_threshold.h. The general one serves
// every metric and threshold and divides as the definition does.
#pragma once

#include "device/sign_bit.cuh"
#include "nms_arguments.cuh"

namespace cudet::device {

/// Corners of a box that overlaps nothing: for the fast test the empty box at the origin, whose
/// intersection with every valid box is not positive, for the general one a mark of its own, as it
/// asks more than the intersection.
template <bool kGeneral>
__device__ __forceinline__ float4 no_box() {
  const float mark = kGeneral ? __uint_as_float(0x7fffffffu) : 0.0f;  // NaN
  return make_float4(mark, 0.0f, 0.0f, 0.0f);
}

/// Corners of the box at `position` of all boxes; an invalid one overlaps nothing.
template <bool kGeneral>
__device__ __forceinline__ float4 load_nms_box(const NmsArguments& arguments,
                                               std::int64_t position) {
  const BoxArray& boxes = arguments.boxes;
  Corners box = to_corners(load_box(boxes, position), boxes.format, false);
  if (arguments.reorder_corners) {  // NaN stays where it is
    const Corners b = box;
    if (b.x2 < b.x1) box = {b.x2, box.y1, b.x1, box.y2};
    if (b.y2 < b.y1) box = {box.x1, b.y2, box.x2, b.y1};
  }
  box = to_corners(box, BoxFormat::xyxy, boxes.legacy_offset);
  return is_valid(box) ? make_float4(box.x1, box.y1, box.x2, box.y2) : no_box<kGeneral>();
}

/// Minus the area of the intersection of two valid boxes, as the margin needs it: the height is
/// taken the wrong way round. Where the boxes are apart, a number that is not negative.
__device__ __forceinline__ float negative_intersection(const Corners& a, const Corners& b) {
  const float width = fmaxf(__fsub_rn(fminf(a.x2, b.x2), fmaxf(a.x1, b.x1)), 0.0f);
  const float negative_height = __fsub_rn(fmaxf(a.y1, b.y1), fminf(a.y2, b.y2));
  return __fmul_rn(width, negative_height);
}

/// Negative where the IoU, as a correctly rounded division gives it, exceeds the threshold; never
/// NaN and never -0 otherwise, so that the sign bit is the decision. See iou_threshold.h.
__device__ __forceinline__ float threshold_margin(float negative_intersection, float union_area,
                                                  const IouThreshold& threshold) {
  return __fmaf_rn(threshold.half_step, union_area,
                   __fmaf_rn(threshold.value, union_area, negative_intersection));
}

/// The same decision for unions however small.
__device__ __forceinline__ bool exceeds_carefully(float intersection, float union_area,
                                                  const IouThreshold& threshold) {
  const double bound = threshold.midpoint * static_cast<double>(union_area);
  const auto value = static_cast<double>(intersection);
  return value > bound || (threshold.odd && value == bound && value > 0.0);
}

/// a / b, and 0 where b is 0.
__device__ __forceinline__ float ratio(float a, float b) {
  return b == 0.0f ? 0.0f : __fdiv_rn(a, b);
}

/// The metric of two valid boxes; include/cudet/nms.h has the formulas. Symmetric to the last bit.
__device__ __forceinline__ float overlap_value(OverlapMetric metric, const Corners& a,
                                               const Corners& b) {
  const float common = fmaxf(intersection(a, b), 0.0f);
  const float area_a = area(a);
  const float area_b = area(b);
  if (metric == OverlapMetric::min_area) return ratio(common, fminf(area_a, area_b));
  const float union_area = __fsub_rn(__fadd_rn(area_a, area_b), common);
  const float iou = ratio(common, union_area);
  if (metric == OverlapMetric::iou) return iou;

  const float width = __fsub_rn(fmaxf(a.x2, b.x2), fminf(a.x1, b.x1));
  const float height = __fsub_rn(fmaxf(a.y2, b.y2), fminf(a.y1, b.y1));
  if (metric == OverlapMetric::giou) {
    const float enclosing = __fmul_rn(width, height);
    return __fsub_rn(iou, ratio(__fsub_rn(enclosing, union_area), enclosing));
  }
  const float dx = __fmul_rn(0.5f, __fadd_rn(__fsub_rn(a.x1, b.x1), __fsub_rn(a.x2, b.x2)));
  const float dy = __fmul_rn(0.5f, __fadd_rn(__fsub_rn(a.y1, b.y1), __fsub_rn(a.y2, b.y2)));
  const float squared_distance = __fmaf_rn(dx, dx, __fmul_rn(dy, dy));
  const float squared_diagonal = __fmaf_rn(width, width, __fmul_rn(height, height));
  const float diou = __fsub_rn(iou, ratio(squared_distance, squared_diagonal));
  if (metric == OverlapMetric::diou) return diou;

  constexpr float kFourOverPiSquared = 0.405284735f;
  const float difference =
      __fsub_rn(pinned::aspect_angle(__fsub_rn(b.x2, b.x1), __fsub_rn(b.y2, b.y1)),
                pinned::aspect_angle(__fsub_rn(a.x2, a.x1), __fsub_rn(a.y2, a.y1)));
  const float v = __fmul_rn(kFourOverPiSquared, __fmul_rn(difference, difference));
  const float alpha = ratio(v, __fadd_rn(__fsub_rn(1.0f, iou), v));
  return __fsub_rn(diou, __fmul_rn(alpha, v));
}

/// A box in registers, as the loops over other boxes need it.
struct NmsBox {
  Corners corners;
  float area;
  bool careful;     ///< of the fast test: unions with this box may be too small for the margin
  float threshold;  ///< of the general test
  std::int64_t class_id;
};

template <bool kGeneral>
__device__ __forceinline__ NmsBox make_nms_box(const NmsArguments& arguments, float4 corners,
                                               std::int64_t class_id) {
  NmsBox box = {{corners.x, corners.y, corners.z, corners.w}, 0.0f, false, 0.0f, class_id};
  if constexpr (kGeneral) {
    box.threshold = arguments.threshold;
    if (arguments.class_thresholds != nullptr && class_id >= 0 &&
        class_id < arguments.class_threshold_count) {
      box.threshold = arguments.class_thresholds[class_id];
    }
  } else {
    box.area = area(box.corners);
    // Intersections with a box without area are 0, which decides whatever the union.
    box.careful = box.area > 0.0f && box.area < arguments.iou_threshold.careful_below;
  }
  return box;
}

/// The metric of two boxes loaded for the general test; 0 for an invalid one.
__device__ __forceinline__ float metric_of(const NmsArguments& arguments, const Corners& a,
                                           const Corners& b) {
  if (!(a.x1 == a.x1 && b.x1 == b.x1)) return 0.0f;
  return overlap_value(arguments.metric, a, b);
}

/// The general test.
__device__ __forceinline__ bool overlaps_generally(const NmsArguments& arguments, const NmsBox& box,
                                                   const Corners& other) {
  if (!(box.corners.x1 == box.corners.x1 && other.x1 == other.x1)) return false;
  const float value = overlap_value(arguments.metric, box.corners, other);
  return value > box.threshold || (arguments.suppress_equal && value == box.threshold);
}

/// Either test, for a single pair.
template <bool kGeneral>
__device__ __forceinline__ bool overlaps(const NmsArguments& arguments, const NmsBox& box,
                                         const Corners& other) {
  if constexpr (kGeneral) return overlaps_generally(arguments, box, other);
  const float negative = negative_intersection(box.corners, other);
  const float union_area = __fadd_rn(__fadd_rn(box.area, area(other)), negative);
  return box.careful ? exceeds_carefully(-negative, union_area, arguments.iou_threshold)
                     : threshold_margin(negative, union_area, arguments.iou_threshold) < 0.0f;
}

/// Shared boxes come in groups: the areas of a group are one access, a thread looks at its
/// decisions once a group and not after each box, and lists are filled up with boxes that overlap
/// nothing.
constexpr int kSharedBoxGroup = 4;

__device__ __forceinline__ int round_up_to_group(int count) {
  return (count + kSharedBoxGroup - 1) / kSharedBoxGroup * kSharedBoxGroup;
}

/// Boxes in shared memory that many threads compare theirs with.
struct SharedBoxes {
  float4* corners;
  float4* areas;          ///< a group each, for the fast test
  std::int64_t* classes;  ///< where classes are compared

  __device__ Corners at(int i) const {
    const float4 c = corners[i];
    return {c.x, c.y, c.z, c.w};
  }

  __device__ float& area_at(int i) const { return reinterpret_cast<float*>(areas)[i]; }

  /// From box `first` on, a multiple of kSharedBoxGroup.
  __device__ SharedBoxes from(int first) const {
    return {corners + first, areas + first / kSharedBoxGroup,
            classes == nullptr ? nullptr : classes + first};
  }

  /// Stores `box` as number `i`.
  template <bool kGeneral>
  __device__ void store(int i, const NmsBox& box) const {
    corners[i] = make_float4(box.corners.x1, box.corners.y1, box.corners.x2, box.corners.y2);
    if constexpr (!kGeneral) area_at(i) = box.area;
    if (classes != nullptr) classes[i] = box.class_id;
  }
};

/// Pushes the decisions of the fast test between kRows boxes and the shared boxes of a group, one
/// after the other, into a word a row; with kCompareClasses, "no" for boxes of other classes.
template <bool kCompareClasses, int kRows>
__device__ __forceinline__ void push_overlaps(const NmsArguments& arguments, const NmsBox* rows,
                                              const SharedBoxes& columns, int group,
                                              unsigned* bits) {
  const float4 four = columns.areas[group];
  const float areas[kSharedBoxGroup] = {four.x, four.y, four.z, four.w};
#pragma unroll
  for (int i = 0; i < kSharedBoxGroup; ++i) {
    const Corners other = columns.at(kSharedBoxGroup * group + i);
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      const float negative = negative_intersection(rows[k].corners, other);
      const float union_area = __fadd_rn(__fadd_rn(rows[k].area, areas[i]), negative);
      float margin = threshold_margin(negative, union_area, arguments.iou_threshold);
      if constexpr (kCompareClasses) {
        const bool same = columns.classes[kSharedBoxGroup * group + i] == rows[k].class_id;
        margin = same ? margin : 0.0f;
      }
      bits[k] = push_sign(bits[k], margin);
    }
  }
}

/// The fast test of a single pair, with the division's decision for unions however small.
__device__ __forceinline__ bool overlaps_carefully(const NmsArguments& arguments, const NmsBox& box,
                                                   const SharedBoxes& others, int i) {
  const float negative = negative_intersection(box.corners, others.at(i));
  const float union_area = __fadd_rn(__fadd_rn(box.area, others.area_at(i)), negative);
  return exceeds_carefully(-negative, union_area, arguments.iou_threshold);
}

/// For each of kRows boxes, which of the 32 shared boxes overlap it; with kCompareClasses, of those
/// of its class.
template <bool kCompareClasses, bool kGeneral, int kRows>
__device__ __forceinline__ void overlaps_of_rows(const NmsArguments& arguments, const NmsBox* rows,
                                                 const SharedBoxes& columns, unsigned* bits) {
  constexpr int kColumns = 32;
  const auto test_one_by_one = [&](int k, int i, bool overlap) {
    if (kCompareClasses && columns.classes[i] != rows[k].class_id) return;
    bits[k] |= static_cast<unsigned>(overlap) << i;
  };
#pragma unroll
  for (int k = 0; k < kRows; ++k)
    bits[k] = 0u;
  if constexpr (kGeneral) {
#pragma unroll 1
    for (int i = 0; i < kColumns; ++i) {
      const Corners other = columns.at(i);
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        test_one_by_one(k, i, overlaps_generally(arguments, rows[k], other));
    }
  } else {
    constexpr int kGroups = kColumns / kSharedBoxGroup;
    [[maybe_unused]] constexpr int kUnrolled = kRows > 2 ? 2 : 4;
#pragma unroll kUnrolled
    for (int group = 0; group < kGroups; ++group)
      push_overlaps<kCompareClasses, kRows>(arguments, rows, columns, group, bits);
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      bits[k] = __brev(bits[k]);  // the first one was pushed furthest up
      if (!rows[k].careful) continue;
      bits[k] = 0u;
#pragma unroll 1
      for (int i = 0; i < kColumns; ++i)
        test_one_by_one(k, i, overlaps_carefully(arguments, rows[k], columns, i));
    }
  }
}

/// For each of kRows boxes that is alive, whether it still is when it has met the first `count`
/// shared boxes, a multiple of kSharedBoxGroup; with kCompareClasses, those of its class.
template <bool kCompareClasses, bool kGeneral, int kRows>
__device__ __forceinline__ void drop_overlapping(const NmsArguments& arguments, const NmsBox* rows,
                                                 const SharedBoxes& others, int count,
                                                 bool* alive) {
  const auto test_one_by_one = [&](int k, const auto& overlap) {
#pragma unroll 1
    for (int i = 0; i < count && alive[k]; ++i) {
      if (kCompareClasses && others.classes[i] != rows[k].class_id) continue;
      alive[k] = !overlap(i);
    }
  };
  if constexpr (kGeneral) {
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      test_one_by_one(k,
                      [&](int i) { return overlaps_generally(arguments, rows[k], others.at(i)); });
    }
  } else {
    bool careful = false;
    unsigned hit[static_cast<unsigned>(kRows)];  // not 0: not alive
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      careful = careful || (alive[k] && rows[k].careful);
      hit[k] = alive[k] ? 0u : 1u;
    }
    if (careful) {
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        test_one_by_one(k,
                        [&](int i) { return overlaps_carefully(arguments, rows[k], others, i); });
      return;
    }
    const auto all_hit = [&] {
      bool all = true;
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        all = all && hit[k] != 0u;
      return all;
    };
    for (int group = 0; kSharedBoxGroup * group < count && !all_hit(); ++group) {
      unsigned bits[static_cast<unsigned>(kRows)] = {};
      push_overlaps<kCompareClasses, kRows>(arguments, rows, others, group, bits);
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        hit[k] |= bits[k];
    }
#pragma unroll
    for (int k = 0; k < kRows; ++k)
      alive[k] = hit[k] == 0u;
  }
}

}  // namespace cudet::device
