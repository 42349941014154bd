// IoU and its relatives from their definitions (include/cudet/iou.h), in double.
#include <cudet/iou.h>

#include "../check.h"
#include "../iou_check.h"
#include "box.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace cudet::reference {
namespace {

/// a / b, and 0 where b is 0.
double ratio(double a, double b) {
  return b == 0.0 ? 0.0 : a / b;
}

double square(double x) {
  return x * x;
}

double width(const Box& box) {
  return static_cast<double>(box.x2) - static_cast<double>(box.x1);
}

double height(const Box& box) {
  return static_cast<double>(box.y2) - static_cast<double>(box.y1);
}

double area(const Box& box) {
  return width(box) * height(box);
}

double intersection_area(const Box& a, const Box& b) {
  const Box common = {std::max(a.x1, b.x1), std::max(a.y1, b.y1), std::min(a.x2, b.x2),
                      std::min(a.y2, b.y2), true};
  return std::max(width(common), 0.0) * std::max(height(common), 0.0);
}

/// The smallest box that holds both.
Box enclosing_box(const Box& a, const Box& b) {
  return {std::min(a.x1, b.x1), std::min(a.y1, b.y1), std::max(a.x2, b.x2), std::max(a.y2, b.y2),
          true};
}

double squared_centre_distance(const Box& a, const Box& b) {
  const auto centre = [](float low, float high) {
    return (static_cast<double>(low) + static_cast<double>(high)) / 2.0;
  };
  return square(centre(a.x1, a.x2) - centre(b.x1, b.x2)) +
         square(centre(a.y1, a.y2) - centre(b.y1, b.y2));
}

double value_of(IouKind kind, const Box& a, const Box& b, double eps) {
  const double pi = std::acos(-1.0);
  if (!a.valid || !b.valid) return kind == IouKind::iou || kind == IouKind::iof ? 0.0 : -1.0;

  const double intersection = intersection_area(a, b);
  if (kind == IouKind::iof) return ratio(intersection, area(a));

  const double union_area = area(a) + area(b) - intersection;
  const double iou = ratio(intersection, union_area);
  if (kind == IouKind::iou) return iou;

  const Box enclosing = enclosing_box(a, b);
  if (kind == IouKind::giou) return iou - ratio(area(enclosing) - union_area, area(enclosing));

  const double squared_diagonal = square(width(enclosing)) + square(height(enclosing));
  const double diou = iou - ratio(squared_centre_distance(a, b), squared_diagonal + eps);
  if (kind == IouKind::diou) return diou;
  if (kind == IouKind::eiou) {
    return diou - ratio(square(width(a) - width(b)), square(width(enclosing)) + eps) -
           ratio(square(height(a) - height(b)), square(height(enclosing)) + eps);
  }

  // atan2(0, 0) is 0, so that a box without extent has the angle 0.
  const double angle1 = std::atan2(width(a), height(a));
  const double angle2 = std::atan2(width(b), height(b));
  const double v = 4.0 / square(pi) * square(angle2 - angle1);
  const double alpha = ratio(v, 1.0 - iou + v + eps);
  return diou - alpha * v;
}

}  // namespace

Status iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                  const IouMatrixOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_matrix(options, input, output));
  const Tensor& values = output.values;
  const std::int64_t batch = values.size(0);
  const std::int64_t n = values.size(1);
  const std::int64_t m = values.size(2);
  const auto eps = static_cast<double>(options.eps);
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t i = 0; i < n; ++i) {
      const Box box1 = box_at(input.boxes1, b * n + i, options.format, options.legacy_offset);
      for (std::int64_t j = 0; j < m; ++j) {
        const Box box2 = box_at(input.boxes2, b * m + j, options.format, options.legacy_offset);
        const double value = value_of(options.kind, box1, box2, eps);
        store_real(values, (b * n + i) * m + j, static_cast<float>(value));
      }
    }
  }
  return Status();
}

Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_pairs(options, input, output));
  const auto eps = static_cast<double>(options.eps);
  for (std::int64_t i = 0; i < output.values.size(0); ++i) {
    const Box box1 = box_at(input.boxes1, i, options.format, options.legacy_offset);
    const Box box2 = box_at(input.boxes2, i, options.format, options.legacy_offset);
    store_real(output.values, i, static_cast<float>(value_of(options.kind, box1, box2, eps)));
  }
  return Status();
}

}  // namespace cudet::reference
