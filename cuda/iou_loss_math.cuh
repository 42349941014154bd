// An IoU loss of one pair of boxes and its gradient, in float32 with pinned roundings.
//
// The loss is a function of few quantities: intersection I, union U, sides cw and ch of the
// enclosing box, distance of the centres, sides of the boxes. Its slopes with respect to these are
// formed first; what the eight coordinates get of them is the same for both axes.
#pragma once

#include "device/box.cuh"
#include "iou_pair.cuh"

#include <cudet/iou.h>

#include <cuda_runtime.h>

#include <cmath>

namespace cudet::device {

/// Gradients with respect to the corners of both boxes.
struct PairGradient {
  Corners box1, box2;
};

/// Slopes of the loss with respect to lengths on one axis.
struct AxisSlopes {
  float overlap;    ///< side of the intersection
  float enclosing;  ///< side of the enclosing box
  float size1;      ///< sides of the boxes
  float size2;
  float centre;  ///< half the slope to the difference of the centres
};

/// What the first of two equal or different numbers has of the gradient of their maximum.
__device__ __forceinline__ float share_of_maximum(float a, float b) {
  return a > b ? 1.0f : a == b ? 0.5f : 0.0f;
}

__device__ __forceinline__ void axis_gradient(const AxisSlopes& slopes, float low1, float high1,
                                              float low2, float high2, float& grad_low1,
                                              float& grad_high1, float& grad_low2,
                                              float& grad_high2) {
  const float low_share = share_of_maximum(low1, low2);
  const float high_share = share_of_maximum(high1, high2);
  const float low_rest = __fsub_rn(1.0f, low_share);
  const float high_rest = __fsub_rn(1.0f, high_share);
  const float low1_terms =
      __fmaf_rn(slopes.overlap, low_share, __fmul_rn(slopes.enclosing, low_rest));
  const float low2_terms =
      __fmaf_rn(slopes.overlap, low_rest, __fmul_rn(slopes.enclosing, low_share));
  const float high1_terms =
      __fmaf_rn(slopes.overlap, high_rest, __fmul_rn(slopes.enclosing, high_share));
  const float high2_terms =
      __fmaf_rn(slopes.overlap, high_share, __fmul_rn(slopes.enclosing, high_rest));
  grad_low1 = __fsub_rn(slopes.centre, __fadd_rn(low1_terms, slopes.size1));
  grad_high1 = __fadd_rn(slopes.centre, __fadd_rn(high1_terms, slopes.size1));
  grad_low2 = __fsub_rn(-slopes.centre, __fadd_rn(low2_terms, slopes.size2));
  grad_high2 = __fsub_rn(__fadd_rn(high2_terms, slopes.size2), slopes.centre);
}

/// 1 / (w^2 + h^2) for the gradient of atan(w / h); flattened where the squares would underflow.
__device__ __forceinline__ float inverse_square_sum(float width, float height) {
  return __fdiv_rn(1.0f, fmaxf(__fmaf_rn(width, width, __fmul_rn(height, height)), 0x1p-120f));
}

/// False for NaN and numbers out of the range of valid boxes (include/cudet/box.h).
__device__ __forceinline__ bool is_in_range(const Corners& box) {
  constexpr float kLimit = 4611686018427387904.0f;  // 2^62
  return fabsf(box.x1) <= kLimit && fabsf(box.y1) <= kLimit && fabsf(box.x2) <= kLimit &&
         fabsf(box.y2) <= kLimit;
}

/// atan(width / height) for sides of either sign; they are negative in an inverted box.
__device__ __forceinline__ float signed_aspect_angle(float width, float height) {
  const float angle = pinned::aspect_angle(fabsf(width), fabsf(height));
  return (width < 0.0f) != (height < 0.0f) ? -angle : angle;
}

/// The loss. The gradient is written where it is defined and `with_gradient` is true, which is so
/// for a whole grid or not at all.
template <IouKind kKind>
__device__ __forceinline__ float pair_loss(const Corners& a, const Corners& b, float eps,
                                           float alpha_eps, bool with_gradient,
                                           PairGradient& gradient) {
  constexpr float kUndefined = kKind == IouKind::iou ? 1.0f : 2.0f;
  if (!is_in_range(a) || !is_in_range(b)) return kUndefined;
  const float w1 = __fsub_rn(a.x2, a.x1);
  const float h1 = __fsub_rn(a.y2, a.y1);
  const float w2 = __fsub_rn(b.x2, b.x1);
  const float h2 = __fsub_rn(b.y2, b.y1);
  const float common_width = __fsub_rn(fminf(a.x2, b.x2), fmaxf(a.x1, b.x1));
  const float common_height = __fsub_rn(fminf(a.y2, b.y2), fmaxf(a.y1, b.y1));
  const bool overlaps = common_width > 0.0f && common_height > 0.0f;
  const float intersection = overlaps ? __fmul_rn(common_width, common_height) : 0.0f;
  const float union_area = __fsub_rn(__fadd_rn(__fmul_rn(w1, h1), __fmul_rn(w2, h2)), intersection);
  const float union_denominator = __fadd_rn(union_area, eps);
  if (fabsf(union_denominator) < eps) return kUndefined;
  const float inverse_union = __fdiv_rn(1.0f, union_denominator);
  const float iou = __fdiv_rn(intersection, union_denominator);
  float loss = __fsub_rn(1.0f, iou);

  // Slopes with respect to U, and to I with U following it.
  float union_slope = __fmul_rn(iou, inverse_union);
  AxisSlopes x = {};
  AxisSlopes y = {};
  if constexpr (kKind == IouKind::giou) {
    const float cw = __fsub_rn(fmaxf(a.x2, b.x2), fminf(a.x1, b.x1));
    const float ch = __fsub_rn(fmaxf(a.y2, b.y2), fminf(a.y1, b.y1));
    const float enclosing = __fmul_rn(cw, ch);
    const float denominator = __fadd_rn(enclosing, eps);
    if (fabsf(denominator) < eps) return kUndefined;
    const float ratio = __fdiv_rn(__fsub_rn(enclosing, union_area), denominator);
    loss = __fadd_rn(loss, ratio);
    if (with_gradient) {
      const float inverse = __fdiv_rn(1.0f, denominator);
      const float enclosing_slope = __fmul_rn(__fsub_rn(1.0f, ratio), inverse);
      union_slope = __fsub_rn(union_slope, inverse);
      x.enclosing = __fmul_rn(enclosing_slope, ch);
      y.enclosing = __fmul_rn(enclosing_slope, cw);
    }
  }
  if constexpr (kKind == IouKind::diou || kKind == IouKind::ciou || kKind == IouKind::eiou) {
    const float cw = __fsub_rn(fmaxf(a.x2, b.x2), fminf(a.x1, b.x1));
    const float ch = __fsub_rn(fmaxf(a.y2, b.y2), fminf(a.y1, b.y1));
    const float dx = __fmul_rn(0.5f, __fadd_rn(__fsub_rn(a.x1, b.x1), __fsub_rn(a.x2, b.x2)));
    const float dy = __fmul_rn(0.5f, __fadd_rn(__fsub_rn(a.y1, b.y1), __fsub_rn(a.y2, b.y2)));
    const float diagonal = __fadd_rn(__fmaf_rn(cw, cw, __fmul_rn(ch, ch)), eps);
    const float ratio = __fdiv_rn(__fmaf_rn(dx, dx, __fmul_rn(dy, dy)), diagonal);
    loss = __fadd_rn(loss, ratio);
    const float inverse = __fdiv_rn(1.0f, diagonal);
    const float diagonal_slope = __fmul_rn(-2.0f, __fmul_rn(ratio, inverse));
    x.centre = __fmul_rn(dx, inverse);
    y.centre = __fmul_rn(dy, inverse);
    x.enclosing = __fmul_rn(diagonal_slope, cw);
    y.enclosing = __fmul_rn(diagonal_slope, ch);
    if constexpr (kKind == IouKind::eiou) {
      const float dw = __fsub_rn(__fsub_rn(a.x2, b.x2), __fsub_rn(a.x1, b.x1));
      const float dh = __fsub_rn(__fsub_rn(a.y2, b.y2), __fsub_rn(a.y1, b.y1));
      const float inverse_cw = __fdiv_rn(1.0f, __fmaf_rn(cw, cw, eps));
      const float inverse_ch = __fdiv_rn(1.0f, __fmaf_rn(ch, ch, eps));
      const float width_term = __fmul_rn(__fmul_rn(dw, dw), inverse_cw);
      const float height_term = __fmul_rn(__fmul_rn(dh, dh), inverse_ch);
      loss = __fadd_rn(loss, __fadd_rn(width_term, height_term));
      x.size1 = __fmul_rn(2.0f, __fmul_rn(dw, inverse_cw));
      y.size1 = __fmul_rn(2.0f, __fmul_rn(dh, inverse_ch));
      x.size2 = -x.size1;
      y.size2 = -y.size1;
      const float cw_slope = __fmul_rn(-2.0f, __fmul_rn(width_term, inverse_cw));
      const float ch_slope = __fmul_rn(-2.0f, __fmul_rn(height_term, inverse_ch));
      x.enclosing = __fmaf_rn(cw_slope, cw, x.enclosing);
      y.enclosing = __fmaf_rn(ch_slope, ch, y.enclosing);
    }
    if constexpr (kKind == IouKind::ciou) {
      constexpr float kFourOverPiSquared = 0.405284735f;
      const float difference = __fsub_rn(signed_aspect_angle(w2, h2), signed_aspect_angle(w1, h1));
      const float v = __fmul_rn(kFourOverPiSquared, __fmul_rn(difference, difference));
      const float alpha = __fdiv_rn(v, __fadd_rn(__fadd_rn(__fsub_rn(1.0f, iou), v), alpha_eps));
      loss = __fmaf_rn(alpha, v, loss);
      const float angle_slope = __fmul_rn(__fmul_rn(2.0f * kFourOverPiSquared, difference), alpha);
      const float slope1 = __fmul_rn(angle_slope, inverse_square_sum(w1, h1));
      const float slope2 = __fmul_rn(angle_slope, inverse_square_sum(w2, h2));
      x.size1 = -__fmul_rn(slope1, h1);
      y.size1 = __fmul_rn(slope1, w1);
      x.size2 = __fmul_rn(slope2, h2);
      y.size2 = -__fmul_rn(slope2, w2);
    }
  }
  if (!with_gradient) return loss;

  const float intersection_slope = overlaps ? -__fadd_rn(inverse_union, union_slope) : 0.0f;
  x.overlap = __fmul_rn(intersection_slope, common_height);
  y.overlap = __fmul_rn(intersection_slope, common_width);
  x.size1 = __fmaf_rn(union_slope, h1, x.size1);
  x.size2 = __fmaf_rn(union_slope, h2, x.size2);
  y.size1 = __fmaf_rn(union_slope, w1, y.size1);
  y.size2 = __fmaf_rn(union_slope, w2, y.size2);
  axis_gradient(x, a.x1, a.x2, b.x1, b.x2, gradient.box1.x1, gradient.box1.x2, gradient.box2.x1,
                gradient.box2.x2);
  axis_gradient(y, a.y1, a.y2, b.y1, b.y2, gradient.box1.y1, gradient.box1.y2, gradient.box2.y1,
                gradient.box2.y2);
  return loss;
}

}  // namespace cudet::device
