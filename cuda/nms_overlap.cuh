// Whether two boxes overlap too much: the tests of a pair.
#pragma once

#include "device/rotated_box.h"
#include "nms_arguments.cuh"

namespace cudet::device {

/// The test that a kernel is compiled for.
enum class NmsTest {
  fast,     ///< plain IoU with one threshold for all boxes: divides nothing, see iou_threshold.h
  general,  ///< every metric and threshold: divides as the definition does
  rotated   ///< the same for rotated boxes
};

/// A box as kernels hand it on: its corners, or the five numbers of a rotated one.
struct BoxNumbers {
  float4 first;
  float angle;
};

/// A box that overlaps nothing: for the fast test the empty box at the origin, whose intersection
/// with every valid box is not positive, for the others a mark of its own, as they ask more than
/// the intersection.
template <NmsTest kTest>
__device__ __forceinline__ BoxNumbers no_box() {
  const float mark = kTest == NmsTest::fast ? 0.0f : __uint_as_float(0x7fffffffu);  // NaN
  return {make_float4(mark, 0.0f, 0.0f, 0.0f), 0.0f};
}

/// The box at `position` of all boxes; an invalid one overlaps nothing.
template <NmsTest kTest>
__device__ __forceinline__ BoxNumbers load_nms_box(const NmsArguments& arguments,
                                                   std::int64_t position) {
  const BoxArray& boxes = arguments.boxes;
  if constexpr (kTest == NmsTest::rotated) {
    float numbers[5];
#pragma unroll
    for (int i = 0; i < 5; ++i)
      numbers[i] = load_real(boxes.data, boxes.type, 5 * position + i);
    const bool valid =
        pinned::is_valid_rotated_box(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);
    if (!valid) return no_box<kTest>();
    return {make_float4(numbers[0], numbers[1], numbers[2], numbers[3]), numbers[4]};
  } else {
    Corners box = to_corners(load_box(boxes, position), boxes.format, false);
    if (arguments.reorder_corners) {  // NaN stays where it is
      const Corners b = box;
      if (b.x2 < b.x1) box = {b.x2, box.y1, b.x1, box.y2};
      if (b.y2 < b.y1) box = {box.x1, b.y2, box.x2, b.y1};
    }
    box = to_corners(box, BoxFormat::xyxy, boxes.legacy_offset);
    if (!is_valid(box)) return no_box<kTest>();
    return {make_float4(box.x1, box.y1, box.x2, box.y2), 0.0f};
  }
}

/// Sides of the intersection of two valid boxes, the height taken the wrong way round: minus its
/// area is their product, a number that is not negative where the boxes are apart.
struct IntersectionSides {
  float width, negative_height;
};

__device__ __forceinline__ IntersectionSides intersection_sides(const Corners& a,
                                                                const Corners& b) {
  return {fmaxf(__fsub_rn(fminf(a.x2, b.x2), fmaxf(a.x1, b.x1)), 0.0f),
          __fsub_rn(fmaxf(a.y1, b.y1), fminf(a.y2, b.y2))};
}

/// Minus the area of the intersection of two valid boxes.
__device__ __forceinline__ float negative_intersection(const Corners& a, const Corners& b) {
  const IntersectionSides sides = intersection_sides(a, b);
  return __fmul_rn(sides.width, sides.negative_height);
}

/// What the intersection leaves of b's share of the area: the boxes can overlap too much only where
/// that is less than minus a's share. See iou_threshold.h. A share that says nothing, of a box so
/// small that it has to be tested in any case, is minus infinity.
__device__ __forceinline__ float share_left(const Corners& a, const Corners& b, float share_of_b) {
  const IntersectionSides sides = intersection_sides(a, b);
  return __fmaf_rn(sides.width, sides.negative_height, share_of_b);
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

/// The metric of two valid rotated boxes.
__device__ __forceinline__ float overlap_value(OverlapMetric metric, const pinned::RotatedBox& a,
                                               const pinned::RotatedBox& b) {
  if (metric == OverlapMetric::iou) return pinned::rotated_iou(a, b);
  return ratio(pinned::rotated_intersection(a, b), fminf(a.area, b.area));
}

/// A box in registers, as the loops over other boxes need it.
struct NmsBox {
  Corners corners;             ///< of the fast and the general test
  float area;                  ///< of the fast test
  float share;                 ///< likewise: of the area, see share_left()
  pinned::RotatedBox rotated;  ///< of the test for rotated boxes
  float threshold;             ///< of the tests that divide
  std::int64_t class_id;

  /// In the fast test: unions with this box may be too small for the margin.
  __device__ bool careful() const { return share < 0.0f; }
};

template <NmsTest kTest>
__device__ __forceinline__ NmsBox make_nms_box(const NmsArguments& arguments,
                                               const BoxNumbers& numbers, std::int64_t class_id) {
  const float4& n = numbers.first;
  NmsBox box = {};
  box.class_id = class_id;
  if constexpr (kTest == NmsTest::rotated) {
    box.rotated = pinned::make_rotated_box(n.x, n.y, n.z, n.w, numbers.angle, arguments.angle_unit,
                                           arguments.angle_direction);
    box.rotated.cx = n.x;  // the mark of no box too
  } else {
    box.corners = {n.x, n.y, n.z, n.w};
  }
  if constexpr (kTest == NmsTest::fast) {
    box.area = area(box.corners);
    // Intersections with a box without area are 0, which decides whatever the union.
    const bool careful = box.area > 0.0f && box.area < arguments.iou_threshold.careful_below;
    box.share = careful ? -INFINITY : __fmul_rn(arguments.iou_threshold.share, box.area);
  } else {
    box.threshold = arguments.threshold;
    if (arguments.class_thresholds != nullptr && class_id >= 0 &&
        class_id < arguments.class_threshold_count) {
      box.threshold = arguments.class_thresholds[class_id];
    }
  }
  return box;
}

/// What marks a box that the tests which divide are to leave alone, if it is NaN.
__device__ __forceinline__ float mark_of(const Corners& box) {
  return box.x1;
}
__device__ __forceinline__ float mark_of(const pinned::RotatedBox& box) {
  return box.cx;
}

/// The metric of two boxes; 0 for an invalid one.
template <class Box>
__device__ __forceinline__ float metric_of(const NmsArguments& arguments, const Box& a,
                                           const Box& b) {
  if (!(mark_of(a) == mark_of(a) && mark_of(b) == mark_of(b))) return 0.0f;
  return overlap_value(arguments.metric, a, b);
}

template <NmsTest kTest>
__device__ __forceinline__ float metric_of_boxes(const NmsArguments& arguments, const NmsBox& a,
                                                 const NmsBox& b) {
  if constexpr (kTest == NmsTest::rotated) return metric_of(arguments, a.rotated, b.rotated);
  return metric_of(arguments, a.corners, b.corners);
}

/// The decision of the tests that divide.
template <class Box>
__device__ __forceinline__ bool exceeds_threshold(const NmsArguments& arguments, const Box& a,
                                                  const Box& b, float threshold) {
  if (!(mark_of(a) == mark_of(a) && mark_of(b) == mark_of(b))) return false;
  const float value = overlap_value(arguments.metric, a, b);
  return value > threshold || (arguments.suppress_equal && value == threshold);
}

}  // namespace cudet::device
