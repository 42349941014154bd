// Area of the intersection of two rotated boxes: the same bits on the CPU and on every GPU.
//
// One box, the frame, is taken as the rectangle |x| <= X, |y| <= Y. Along the boundary of the other
// one, gone round clockwise in a system of coordinates that turns counter-clockwise,
//
//   area of the intersection = sum over its four edges of the integral of clamp(y, -Y, Y) dx
//                              over the part of the edge where |x| <= X,
//
// for above any x the upper boundary, clamped, minus the lower one, clamped, is the length of the
// intersection's section. There are no vertices to find, to sort or to store, and no case where a
// vertex is inside or not: each term is a continuous function of the corners, so that an error of
// the roundings stays one, however close the boxes are. The frame is the box with the longest side:
// then |edge| <= that side, and every rounding in y is small beside Y or concerns a part of the
// edge that is short in proportion.
//
// What float32 cannot hold is the place of one sliver in the system of another: a relative error of
// 2^-24 of its length may be its whole width. Differences of centres, sines and cosines are
// therefore pairs of floats, and rounded after the products. The error of the intersection is then
// at most some 2^-22 of the larger area.
#pragma once

#include "float_pair.h"

#include <cudet/box.h>

namespace cudet::pinned {

/// A rotated box with what its pairs need of it.
struct RotatedBox {
  float cx, cy;
  float half_width, half_height;
  FloatPair sine, cosine;  ///< of the turn from x to y
  float area;
  float radius;  ///< of a circle round the box, rounded up
};

/// A box that overlaps nothing, in place of an invalid one.
CUDET_HOST_DEVICE RotatedBox empty_rotated_box() {
  return {0.0f, 0.0f, 0.0f, 0.0f, {0.0f, 0.0f}, {1.0f, 0.0f}, 0.0f, 0.0f};
}

/// True for a valid box (include/cudet/box.h), false also for NaN.
CUDET_HOST_DEVICE bool is_valid_rotated_box(float cx, float cy, float width, float height,
                                            float angle) {
  constexpr float kLimit = 2305843009213693952.0f;  // 2^61
  constexpr float kAngleLimit = 1048576.0f;         // 2^20
  return cx >= -kLimit && cx <= kLimit && cy >= -kLimit && cy <= kLimit && width >= 0.0f &&
         width <= kLimit && height >= 0.0f && height <= kLimit && angle >= -kAngleLimit &&
         angle <= kAngleLimit;
}

/// Of the five numbers of a box; an invalid one becomes empty.
CUDET_HOST_DEVICE RotatedBox make_rotated_box(float cx, float cy, float width, float height,
                                              float angle, AngleUnit unit,
                                              AngleDirection direction) {
  if (!is_valid_rotated_box(cx, cy, width, height, angle)) return empty_rotated_box();
  const float turn = direction == AngleDirection::clockwise ? angle : -angle;
  const SineCosine direction_of_width =
      sine_and_cosine(unit == AngleUnit::degrees ? reduce_degrees(turn) : reduce_radians(turn));
  const float half_width = multiply(0.5f, width);
  const float half_height = multiply(0.5f, height);
  const float diagonal =
      square_root(fused(half_width, half_width, multiply(half_height, half_height)));
  constexpr float kAboveOne = 1.000001f;
  return {cx,
          cy,
          half_width,
          half_height,
          direction_of_width.sine,
          direction_of_width.cosine,
          multiply(width, height),
          multiply(diagonal, kAboveOne)};
}

/// True where `a` is the frame of the pair. Any order serves that depends on the boxes alone and
/// not on which is named first, as long as the longest side decides before all.
CUDET_HOST_DEVICE bool is_frame(const RotatedBox& a, const RotatedBox& b) {
  const float longest_a = larger(a.half_width, a.half_height);
  const float longest_b = larger(b.half_width, b.half_height);
  if (longest_a != longest_b) return longest_a > longest_b;
  if (a.cx != b.cx) return a.cx > b.cx;
  if (a.cy != b.cy) return a.cy > b.cy;
  if (a.half_width != b.half_width) return a.half_width > b.half_width;
  if (a.half_height != b.half_height) return a.half_height > b.half_height;
  if (a.sine.high != b.sine.high) return a.sine.high > b.sine.high;
  if (a.sine.low != b.sine.low) return a.sine.low > b.sine.low;
  if (a.cosine.high != b.cosine.high) return a.cosine.high > b.cosine.high;
  return a.cosine.low >= b.cosine.low;
}

CUDET_HOST_DEVICE float clamp(float x, float low, float high) {
  return smaller(larger(x, low), high);
}

/// Mean of clamp(y, -limit, limit) while y runs evenly from `y0` to `y1`. With c0 and c1 the
/// clamped ends it is (c0 + c1) / 2 where nothing is cut off; otherwise the parts that are cut off
/// at the ends, in units of the whole, shift it towards the end with the longer one.
CUDET_HOST_DEVICE float mean_of_clamped(float y0, float y1, float limit) {
  const float c0 = clamp(y0, -limit, limit);
  const float c1 = clamp(y1, -limit, limit);
  const float run = subtract(y1, y0);
  const float cut = subtract(subtract(y1, c1), subtract(c0, y0));
  const float share = run == 0.0f ? 0.0f : divide(cut, run);
  return multiply(0.5f, fused(subtract(c1, c0), share, add(c0, c1)));
}

struct Point {
  float x, y;
};

/// Integral of clamp(y, -limit.y, limit.y) dx over the part of the edge from `a` to `b` where
/// |x| <= limit.x; `slope` is dy / dx.
CUDET_HOST_DEVICE float clamped_integral(Point a, Point b, float slope, Point limit) {
  const float x0 = clamp(a.x, -limit.x, limit.x);
  const float x1 = clamp(b.x, -limit.x, limit.x);
  // Kept between the ends, which a steep slope would leave by a rounding.
  const float low = smaller(a.y, b.y);
  const float high = larger(a.y, b.y);
  const float y0 = clamp(fused(subtract(x0, a.x), slope, a.y), low, high);
  const float y1 = clamp(fused(subtract(x1, b.x), slope, b.y), low, high);
  return multiply(subtract(x1, x0), mean_of_clamped(y0, y1, limit.y));
}

/// True where the projections of two boxes on the axes of the first are apart, or touch: the box
/// with the half sides `other` lies at (x, y) and is turned by an angle with |sine| and |cosine|.
CUDET_HOST_DEVICE bool are_apart(Point half, Point other, float x, float y, float sine,
                                 float cosine) {
  const float width = fused(other.x, cosine, multiply(other.y, sine));
  const float height = fused(other.x, sine, multiply(other.y, cosine));
  return fabsf(x) >= add(half.x, width) || fabsf(y) >= add(half.y, height);
}

/// Intersection with the frame `a`.
CUDET_HOST_DEVICE float intersection_in_frame(const RotatedBox& a, const RotatedBox& b) {
  const FloatPair dx = exact_sum(b.cx, -a.cx);
  const FloatPair dy = exact_sum(b.cy, -a.cy);
  const Point half_a = {a.half_width, a.half_height};
  const Point half_b = {b.half_width, b.half_height};
  // Centre and turn of b in the system of a.
  const float x = sum_of_products(dx, a.cosine, dy, a.sine);
  const float y = sum_of_products(dy, a.cosine, negative(dx), a.sine);
  const float cosine = sum_of_products(b.cosine, a.cosine, b.sine, a.sine);
  const float sine = sum_of_products(b.sine, a.cosine, negative(b.cosine), a.sine);

  // A line between the boxes runs along a side of one of them.
  const float absolute_sine = fabsf(sine);
  const float absolute_cosine = fabsf(cosine);
  const float x_of_a = sum_of_products(dx, b.cosine, dy, b.sine);
  const float y_of_a = sum_of_products(dy, b.cosine, negative(dx), b.sine);
  if (are_apart(half_a, half_b, x, y, absolute_sine, absolute_cosine)) return 0.0f;
  if (are_apart(half_b, half_a, x_of_a, y_of_a, absolute_sine, absolute_cosine)) return 0.0f;

  const Point u = {multiply(half_b.x, cosine), multiply(half_b.x, sine)};
  const Point v = {-multiply(half_b.y, sine), multiply(half_b.y, cosine)};
  const Point left = {subtract(x, u.x), subtract(y, u.y)};
  const Point right = {add(x, u.x), add(y, u.y)};
  const Point corners[4] = {{subtract(left.x, v.x), subtract(left.y, v.y)},
                            {subtract(right.x, v.x), subtract(right.y, v.y)},
                            {add(right.x, v.x), add(right.y, v.y)},
                            {add(left.x, v.x), add(left.y, v.y)}};
  // An edge that rises steeper than this covers no x to speak of, and its mean is that of its ends.
  constexpr float kSteepest = 1e-15f;
  const float slope_of_u = absolute_cosine > kSteepest ? divide(sine, cosine) : 0.0f;
  const float slope_of_v = absolute_sine > kSteepest ? divide(-cosine, sine) : 0.0f;
  const float lower = add(clamped_integral(corners[0], corners[1], slope_of_u, half_a),
                          clamped_integral(corners[1], corners[2], slope_of_v, half_a));
  const float upper = add(clamped_integral(corners[2], corners[3], slope_of_u, half_a),
                          clamped_integral(corners[3], corners[0], slope_of_v, half_a));
  return clamp(-add(lower, upper), 0.0f, smaller(a.area, b.area));
}

/// Area of the intersection, within 0 and the smaller area; 0 where a line parallel to a side lies
/// between the boxes. Symmetric to the bit.
CUDET_HOST_DEVICE float rotated_intersection(const RotatedBox& a, const RotatedBox& b) {
  const float dx = subtract(a.cx, b.cx);
  const float dy = subtract(a.cy, b.cy);
  const float reach = add(a.radius, b.radius);
  if (fused(dx, dx, multiply(dy, dy)) > multiply(reach, reach)) return 0.0f;
  return is_frame(a, b) ? intersection_in_frame(a, b) : intersection_in_frame(b, a);
}

/// Intersection over union in [0, 1], 0 for an empty union.
CUDET_HOST_DEVICE float rotated_iou(const RotatedBox& a, const RotatedBox& b) {
  const float overlap = rotated_intersection(a, b);
  if (overlap == 0.0f) return 0.0f;
  return smaller(divide(overlap, subtract(add(a.area, b.area), overlap)), 1.0f);
}

}  // namespace cudet::pinned
