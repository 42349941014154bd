// A kind of overlap of one pair of boxes; shared by the matrix and the aligned pairs.
#pragma once

#include "device/box.cuh"
#include "device/pinned_math.h"
#include "device/sign_bit.cuh"

#include <cudet/iou.h>

#include <cuda_runtime.h>

#include <cmath>

namespace cudet::device {

/// A box with what its pairs need of it; aligned so that shared memory is read 16 bytes at a time.
struct alignas(16) PairBox {
  Corners corners;
  float area;
  float angle;  ///< CIoU only
};

/// An invalid box becomes a point at the origin, which overlaps nothing. Where the value of its
/// pairs must be -1 and not 0, the area -infinity carries the mark into their union.
template <IouKind kKind>
__device__ __forceinline__ PairBox make_pair_box(const Corners& corners) {
  constexpr bool kMarkInvalid = kKind != IouKind::iou && kKind != IouKind::iof;
  if (!is_valid(corners)) {
    return {{0.0f, 0.0f, 0.0f, 0.0f}, kMarkInvalid ? -INFINITY : 0.0f, 0.0f};
  }
  PairBox box = {corners, area(corners), 0.0f};
  if constexpr (kKind == IouKind::ciou) {
    box.angle =
        pinned::aspect_angle(__fsub_rn(corners.x2, corners.x1), __fsub_rn(corners.y2, corners.y1));
  }
  return box;
}

/// Area of the intersection; a negative number where the boxes are apart, and 0 only where they
/// touch. Clamping the width at 0 instead would make most dividends of a sparse matrix 0, which the
/// division treats in its slow path. So the height loses its sign where the width is negative (one
/// instruction): two negative sides must not look like an overlap.
__device__ __forceinline__ float signed_intersection(const Corners& a, const Corners& b) {
  const float width = __fsub_rn(fminf(a.x2, b.x2), fmaxf(a.x1, b.x1));
  const float height = __fsub_rn(fminf(a.y2, b.y2), fmaxf(a.y1, b.y1));
  return __fmul_rn(width, without_common_sign(height, width));
}

/// a / b between 0 and 1, and 0 for 0 / 0: saturation turns a NaN into 0.
__device__ __forceinline__ float unit_ratio(float a, float b) {
  return __saturatef(__fdiv_rn(a, b));
}

template <IouKind kKind>
__device__ __forceinline__ float pair_value(const PairBox& box1, const PairBox& box2, float eps) {
  const Corners& a = box1.corners;
  const Corners& b = box2.corners;
  const float overlap = signed_intersection(a, b);
  if constexpr (kKind == IouKind::iof) return unit_ratio(overlap, box1.area);

  const float areas = __fadd_rn(box1.area, box2.area);
  // Of a negative overlap only the sign of the quotient matters.
  if constexpr (kKind == IouKind::iou) return unit_ratio(overlap, __fsub_rn(areas, overlap));

  const float union_area = __fsub_rn(areas, fmaxf(overlap, 0.0f));
  const float iou = unit_ratio(overlap, union_area);
  const float width = __fsub_rn(fmaxf(a.x2, b.x2), fminf(a.x1, b.x1));
  const float height = __fsub_rn(fmaxf(a.y2, b.y2), fminf(a.y1, b.y1));
  if constexpr (kKind == IouKind::giou) {
    // (C - U) / C rather than 1 - U / C, whose last subtraction adds a rounding: 2.3e-7 against
    // 2.5e-7 at most where the value is near 0. With an invalid box U is -infinity, and the
    // ratio 1.
    const float enclosing = __fmul_rn(width, height);
    return __fsub_rn(iou, unit_ratio(__fsub_rn(enclosing, union_area), enclosing));
  }

  // Distance of the centres as the mean of two differences of corners: a difference of two means
  // would cancel far from the origin.
  const float dx = __fmul_rn(0.5f, __fadd_rn(__fsub_rn(a.x1, b.x1), __fsub_rn(a.x2, b.x2)));
  const float dy = __fmul_rn(0.5f, __fadd_rn(__fsub_rn(a.y1, b.y1), __fsub_rn(a.y2, b.y2)));
  const float squared_distance = __fmaf_rn(dx, dx, __fmul_rn(dy, dy));
  const float squared_diagonal = __fmaf_rn(width, width, __fmul_rn(height, height));
  float value = __fsub_rn(iou, unit_ratio(squared_distance, __fadd_rn(squared_diagonal, eps)));
  if constexpr (kKind == IouKind::eiou) {
    // Differences of sides from those of corners: exact, or small beside the enclosing box.
    const float dw = __fsub_rn(__fsub_rn(a.x2, b.x2), __fsub_rn(a.x1, b.x1));
    const float dh = __fsub_rn(__fsub_rn(a.y2, b.y2), __fsub_rn(a.y1, b.y1));
    const float width_term = unit_ratio(__fmul_rn(dw, dw), __fmaf_rn(width, width, eps));
    const float height_term = unit_ratio(__fmul_rn(dh, dh), __fmaf_rn(height, height, eps));
    value = __fsub_rn(value, __fadd_rn(width_term, height_term));
  }
  if constexpr (kKind == IouKind::ciou) {
    constexpr float kFourOverPiSquared = 0.405284735f;
    const float difference = __fsub_rn(box2.angle, box1.angle);
    const float v = __fmul_rn(kFourOverPiSquared, __fmul_rn(difference, difference));
    const float denominator = __fadd_rn(__fadd_rn(__fsub_rn(1.0f, iou), v), eps);
    value = __fsub_rn(value, unit_ratio(__fmul_rn(v, v), denominator));
  }
  return union_area >= 0.0f ? value : -1.0f;
}

}  // namespace cudet::device
