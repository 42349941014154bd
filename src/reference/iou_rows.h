// Which boxes meet in a row of the IoU matrix, on host pointers; for the reference and the CPU
// mode.
#pragma once

#include "../iou_check.h"
#include "box_range.h"

#include <cstdint>

namespace cudet::reference {

/// The boxes of boxes2 that stand in a row of the matrix; none where the row is no image's.
inline BoxRange columns_of_row(const IouMatrixPlan& plan, const IouMatrixInput& input,
                               std::int64_t row) {
  std::int64_t image = 0;
  if (plan.ragged1) {
    const auto holds_row = [&](std::int64_t b) {
      const BoxRange rows = range_of_image(input.offsets1, b, plan.n);
      return rows.begin <= row && row < rows.end;
    };
    while (image < plan.batch && !holds_row(image))
      ++image;
    if (image == plan.batch) return {0, 0};
  } else {
    image = row / plan.n;
  }
  if (plan.ragged2) return range_of_image(input.offsets2, image, plan.boxes2);
  return {image * plan.boxes2, (image + 1) * plan.boxes2};
}

}  // namespace cudet::reference
