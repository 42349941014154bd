// IoU and its relatives from their definitions (include/cudet/iou.h), in double.
#include <cudet/iou.h>

#include "../check.h"
#include "../iou_check.h"
#include "box.h"
#include "iou_rows.h"
#include "rotated_box.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

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

/// Of a pair with an invalid box.
double invalid_value(IouKind kind) {
  return kind == IouKind::iou || kind == IouKind::iof ? 0.0 : -1.0;
}

double value_of(IouKind kind, const Box& a, const Box& b, double eps) {
  const double pi = std::acos(-1.0);
  if (!a.valid || !b.valid) return invalid_value(kind);

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

/// A pair of the options' format, and whether the second box is a crowd.
double value_of_pair(const IouMatrixOptions& options, const Tensor& boxes1, std::int64_t i,
                     const Tensor& boxes2, std::int64_t j, bool crowd) {
  if (options.format == BoxFormat::rotated) {
    const RotatedBox a = rotated_box_at(boxes1, i, options.angle_unit, options.angle_direction);
    const RotatedBox b = rotated_box_at(boxes2, j, options.angle_unit, options.angle_direction);
    return options.kind == IouKind::iof ? ratio(rotated_intersection(a, b), a.area())
                                        : rotated_iou(a, b);
  }
  const Box a = box_at(boxes1, i, options.format, options.legacy_offset);
  const Box b = box_at(boxes2, j, options.format, options.legacy_offset);
  return value_of(crowd ? IouKind::iof : options.kind, a, b, static_cast<double>(options.eps));
}

/// Writes row `row` of the outputs, whose columns belong to the boxes `range` of boxes2.
void write_row(const IouMatrixPlan& plan, const IouMatrixOptions& options,
               const IouMatrixInput& input, const IouMatrixOutput& output, std::int64_t row,
               const BoxRange& range) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(plan.words));
  for (std::int64_t j = 0; j < plan.m; ++j) {
    const std::int64_t box2 = range.begin + j;
    double value = invalid_value(options.kind);
    if (box2 < range.end) {
      const bool crowd =
          input.crowds.present() && input.crowds.data_as<const std::uint8_t>()[box2] != 0;
      value = value_of_pair(options, input.boxes1, row, input.boxes2, box2, crowd);
    }
    const auto rounded = static_cast<float>(value);
    if (output.values.present()) store_real(output.values, row * plan.m + j, rounded);
    if (rounded > options.threshold) words[static_cast<std::size_t>(j / 32)] |= 1u << j % 32;
  }
  if (!output.bits.present()) return;
  for (std::int64_t w = 0; w < plan.words; ++w) {
    output.bits.data_as<std::int32_t>()[row * plan.words + w] =
        static_cast<std::int32_t>(words[static_cast<std::size_t>(w)]);
  }
}

}  // namespace

Status iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                  const IouMatrixOutput& output) noexcept {
  IouMatrixPlan plan;
  CUDET_RETURN_IF_ERROR(check_iou_matrix(options, input, output, &plan));
  for (std::int64_t row = 0; row < plan.rows(); ++row)
    write_row(plan, options, input, output, row, columns_of_row(plan, input, row));
  return Status();
}

Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_pairs(options, input, output));
  for (std::int64_t i = 0; i < output.values.size(0); ++i) {
    const double value = value_of_pair(options, input.boxes1, i, input.boxes2, i, false);
    store_real(output.values, i, static_cast<float>(value));
  }
  return Status();
}

}  // namespace cudet::reference
