// IoU losses from their definitions (include/cudet/iou_loss.h), in double.
#include <cudet/iou_loss.h>

#include "../box_loss_check.h"
#include "../check.h"
#include "box.h"
#include "dual.h"
#include "loss_rows.h"
#include "loss_sum.h"

#include <cmath>
#include <cstdint>

namespace cudet::reference {
namespace {

/// A function of the eight corners of a pair, box1's x1, y1, x2, y2 first.
using Number = Dual<8>;

struct Corners {
  Number x1, y1, x2, y2;
};

Corners variables(const Box& box, std::size_t first) {
  return {Number::variable(static_cast<double>(box.x1), first),
          Number::variable(static_cast<double>(box.y1), first + 1),
          Number::variable(static_cast<double>(box.x2), first + 2),
          Number::variable(static_cast<double>(box.y2), first + 3)};
}

/// Loss of a pair where it is not defined.
Number undefined_loss(IouKind kind) {
  return kind == IouKind::iou ? 1.0 : 2.0;
}

bool is_in_range(const Box& box) {
  const auto fits = [](float number) { return std::fabs(number) <= 0x1p62f; };
  return fits(box.x1) && fits(box.y1) && fits(box.x2) && fits(box.y2);
}

Number loss_of(const IouLossOptions& options, const Corners& a, const Corners& b) {
  const auto eps = Number(static_cast<double>(options.eps));
  const Number w1 = a.x2 - a.x1, h1 = a.y2 - a.y1;
  const Number w2 = b.x2 - b.x1, h2 = b.y2 - b.y1;
  const Number common_width = min(a.x2, b.x2) - max(a.x1, b.x1);
  const Number common_height = min(a.y2, b.y2) - max(a.y1, b.y1);
  const bool apart = !(common_width.value > 0.0 && common_height.value > 0.0);
  const Number intersection = apart ? Number(0.0) : common_width * common_height;
  const Number union_area = w1 * h1 + w2 * h2 - intersection;
  if (std::fabs((union_area + eps).value) < eps.value) return undefined_loss(options.kind);
  const Number iou = intersection / (union_area + eps);
  if (options.kind == IouKind::iou) return 1.0 - iou;

  const Number cw = max(a.x2, b.x2) - min(a.x1, b.x1);
  const Number ch = max(a.y2, b.y2) - min(a.y1, b.y1);
  if (options.kind == IouKind::giou) {
    const Number enclosing = cw * ch;
    if (std::fabs((enclosing + eps).value) < eps.value) return undefined_loss(options.kind);
    return 1.0 - iou + (enclosing - union_area) / (enclosing + eps);
  }

  const Number squared_distance = square((a.x1 + a.x2) / 2.0 - (b.x1 + b.x2) / 2.0) +
                                  square((a.y1 + a.y2) / 2.0 - (b.y1 + b.y2) / 2.0);
  const Number diou = 1.0 - iou + squared_distance / (square(cw) + square(ch) + eps);
  if (options.kind == IouKind::diou) return diou;
  if (options.kind == IouKind::eiou) {
    return diou + square(w1 - w2) / (square(cw) + eps) + square(h1 - h2) / (square(ch) + eps);
  }

  const double pi = std::acos(-1.0);
  const Number v = 4.0 / (pi * pi) * square(angle(w2, h2) - angle(w1, h1));
  const double alpha =
      v.value / (1.0 - iou.value + v.value + static_cast<double>(options.alpha_eps));
  return diou + alpha * v;
}

/// Stores the gradient with respect to box `index` of `format`, given that to its corners.
void store_gradient(const Tensor& gradients, std::int64_t index, BoxFormat format,
                    const double* corner_slopes, double factor) {
  if (!gradients.present()) return;
  for (int axis = 0; axis < 2; ++axis) {
    const double low = corner_slopes[axis];
    const double high = corner_slopes[axis + 2];
    double first = low;
    double second = high;
    if (format != BoxFormat::xyxy) first = low + high;
    if (format == BoxFormat::cxcywh) second = (high - low) / 2.0;
    store_real(gradients, 4 * index + axis, static_cast<float>(factor * first));
    store_real(gradients, 4 * index + axis + 2, static_cast<float>(factor * second));
  }
}

}  // namespace

double write_iou_losses(const IouLossOptions& options, const IouLossInput& input,
                        const IouLossOutput& output, std::int64_t begin, std::int64_t end) {
  const bool reduces = options.reduction != LossReduction::none;
  const double divisor = loss_divisor(options.reduction, input.normaliser, input.boxes1.size(0));
  double sum = 0.0;
  for (std::int64_t i = begin; i < end; ++i) {
    const Box box1 = box_at(input.boxes1, i, options.format, options.legacy_offset);
    const Box box2 = box_at(input.boxes2, i, options.format, options.legacy_offset);
    const Number loss = is_in_range(box1) && is_in_range(box2)
                            ? loss_of(options, variables(box1, 0), variables(box2, 4))
                            : undefined_loss(options.kind);
    const double weight = factor_at(input.weights, i);
    sum += weight * loss.value;
    if (output.loss.present() && !reduces) {
      store_real(output.loss, i, static_cast<float>(weight * loss.value));
    }
    const double factor = weight * static_cast<double>(options.grad_scale) *
                          factor_at(input.grad_output, i, reduces) / divisor;
    store_gradient(output.grad_boxes1, i, options.format, loss.slope.data(), factor);
    store_gradient(output.grad_boxes2, i, options.format, loss.slope.data() + 4, factor);
  }
  return sum / divisor;
}

Status iou_loss(const IouLossOptions& options, const IouLossInput& input,
                const IouLossOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_loss(options, input, output));
  const double loss = write_iou_losses(options, input, output, 0, input.boxes1.size(0));
  store_reduced(options.reduction, output.loss, loss);
  return Status();
}

}  // namespace cudet::reference
