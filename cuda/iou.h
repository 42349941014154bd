// Device side of the IoU family, as the host side calls it.
#pragma once

#include <cudet/execution.h>
#include <cudet/iou.h>

#include "../src/iou_check.h"

namespace cudet::device {

/// Enqueues iou_matrix(); arguments have been checked and the outputs have elements.
Status iou_matrix(const IouMatrixPlan& plan, const IouMatrixOptions& options,
                  const IouMatrixInput& input, const IouMatrixOutput& output,
                  const Execution& execution) noexcept;

/// Enqueues iou_pairs(), likewise.
Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output, const Execution& execution) noexcept;

}  // namespace cudet::device
