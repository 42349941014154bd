// The metrics of NMS (include/cudet/nms.h) in float32, each operation rounded once.
#pragma once

#include <cudet/nms.h>

#include "../../cuda/device/pinned_math.h"
#include "../../cuda/device/rotated_box.h"
#include "box.h"

#include <algorithm>
#include <cmath>

namespace cudet::reference {

/// a / b, and 0 where b is 0.
inline float quotient(float a, float b) {
  return b == 0.0f ? 0.0f : a / b;
}

inline float area(const Box& box) {
  return (box.x2 - box.x1) * (box.y2 - box.y1);
}

/// The metric of two valid boxes.
inline float overlap_of(OverlapMetric metric, const Box& a, const Box& b) {
  const float common_width = std::max(std::min(a.x2, b.x2) - std::max(a.x1, b.x1), 0.0f);
  const float common_height = std::max(std::min(a.y2, b.y2) - std::max(a.y1, b.y1), 0.0f);
  const float intersection = common_width * common_height;
  if (metric == OverlapMetric::min_area) return quotient(intersection, std::min(area(a), area(b)));

  const float union_area = area(a) + area(b) - intersection;
  const float iou = quotient(intersection, union_area);
  if (metric == OverlapMetric::iou) return iou;

  const float width = std::max(a.x2, b.x2) - std::min(a.x1, b.x1);
  const float height = std::max(a.y2, b.y2) - std::min(a.y1, b.y1);
  if (metric == OverlapMetric::giou) {
    const float enclosing = width * height;
    return iou - quotient(enclosing - union_area, enclosing);
  }

  const float dx = ((a.x1 - b.x1) + (a.x2 - b.x2)) / 2.0f;
  const float dy = ((a.y1 - b.y1) + (a.y2 - b.y2)) / 2.0f;
  const float squared_distance = std::fma(dx, dx, dy * dy);
  const float squared_diagonal = std::fma(width, width, height * height);
  const float diou = iou - quotient(squared_distance, squared_diagonal);
  if (metric == OverlapMetric::diou) return diou;

  const float difference = pinned::aspect_angle(b.x2 - b.x1, b.y2 - b.y1) -
                           pinned::aspect_angle(a.x2 - a.x1, a.y2 - a.y1);
  const float v = 0.405284735f * (difference * difference);  // 4 / pi^2
  const float alpha = quotient(v, 1.0f - iou + v);
  return diou - alpha * v;
}

/// The metric of two valid rotated boxes.
inline float overlap_of(OverlapMetric metric, const pinned::RotatedBox& a,
                        const pinned::RotatedBox& b) {
  if (metric == OverlapMetric::iou) return pinned::rotated_iou(a, b);
  return quotient(pinned::rotated_intersection(a, b), std::min(a.area, b.area));
}

}  // namespace cudet::reference
