// Rotated boxes as the references see them: polygons in double, of which one is cut along the sides
// of the other (Sutherland and Hodgman 1974, "Reentrant Polygon Clipping").
#pragma once

#include "box.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cudet::reference {

struct RotatedBox {
  double cx, cy, width, height;
  double turn;  ///< in radians, from x to y
  bool valid;

  double area() const { return valid ? width * height : 0.0; }
};

/// Of the five numbers of a box; include/cudet/box.h is the definition.
inline RotatedBox make_rotated_box(const float* numbers, AngleUnit unit, AngleDirection direction) {
  constexpr double kPi = 3.14159265358979323846;
  const double cx = numbers[0], cy = numbers[1], width = numbers[2], height = numbers[3];
  const double angle = numbers[4];
  const double radians = unit == AngleUnit::degrees ? std::fmod(angle, 360.0) * (kPi / 180) : angle;
  const bool valid = std::fabs(cx) <= 0x1p61 && std::fabs(cy) <= 0x1p61 &&  //
                     width >= 0 && width <= 0x1p61 && height >= 0 && height <= 0x1p61 &&
                     std::fabs(angle) <= 0x1p20;
  return {cx,   cy, width, height, direction == AngleDirection::clockwise ? radians : -radians,
          valid};
}

/// Box `index` of a [..., 5] tensor.
inline RotatedBox rotated_box_at(const Tensor& boxes, std::int64_t index, AngleUnit unit,
                                 AngleDirection direction) {
  float numbers[5];
  for (std::int64_t k = 0; k < 5; ++k)
    numbers[k] = real_at(boxes, 5 * index + k);
  return make_rotated_box(numbers, unit, direction);
}

struct PlanePoint {
  double x, y;
};
using Polygon = std::vector<PlanePoint>;

/// Corners of `box` where the centre of `frame` is the origin and the sides of `frame` are parallel
/// to the axes.
inline Polygon corners_in_frame(const RotatedBox& box, const RotatedBox& frame) {
  const double dx = box.cx - frame.cx, dy = box.cy - frame.cy;
  const double c = std::cos(frame.turn), s = std::sin(frame.turn);
  const double turn = box.turn - frame.turn;
  Polygon corners;
  for (const auto& [side_x, side_y] : {PlanePoint{-1, -1}, {1, -1}, {1, 1}, {-1, 1}}) {
    const double u = side_x * box.width / 2, v = side_y * box.height / 2;
    corners.push_back({c * dx + s * dy + u * std::cos(turn) - v * std::sin(turn),
                       c * dy - s * dx + u * std::sin(turn) + v * std::cos(turn)});
  }
  return corners;
}

/// The part of a polygon where the number `inside` of a point, linear in its coordinates, is 0 or
/// more.
template <class Inside>
Polygon cut(const Polygon& polygon, const Inside& inside) {
  Polygon result;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const PlanePoint a = polygon[i], b = polygon[(i + 1) % polygon.size()];
    const double at_a = inside(a), at_b = inside(b);
    if (at_a >= 0) result.push_back(a);
    if ((at_a >= 0) != (at_b >= 0)) {
      const double t = at_a / (at_a - at_b);
      result.push_back({a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)});
    }
  }
  return result;
}

inline double area(const Polygon& polygon) {
  double twice = 0.0;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const PlanePoint a = polygon[i], b = polygon[(i + 1) % polygon.size()];
    twice += a.x * b.y - b.x * a.y;
  }
  return std::fabs(twice) / 2;
}

inline double rotated_intersection(const RotatedBox& box1, const RotatedBox& box2) {
  if (!box1.valid || !box2.valid) return 0.0;
  Polygon polygon = corners_in_frame(box2, box1);
  const double x = box1.width / 2, y = box1.height / 2;
  polygon = cut(polygon, [&](PlanePoint p) { return x - p.x; });
  polygon = cut(polygon, [&](PlanePoint p) { return x + p.x; });
  polygon = cut(polygon, [&](PlanePoint p) { return y - p.y; });
  polygon = cut(polygon, [&](PlanePoint p) { return y + p.y; });
  return std::min({area(polygon), box1.area(), box2.area()});
}

/// 0 where the union is empty.
inline double rotated_iou(const RotatedBox& box1, const RotatedBox& box2) {
  const double intersection = rotated_intersection(box1, box2);
  const double union_area = box1.area() + box2.area() - intersection;
  return union_area > 0 ? intersection / union_area : 0.0;
}

}  // namespace cudet::reference
