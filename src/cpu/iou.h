// The IoU family on the CPU, as the host side calls it.
#pragma once

#include <cudet/iou.h>

#include "../iou_check.h"

namespace cudet::cpu {

/// iou_matrix() and iou_pairs(); arguments have been checked. The bits are those of the kernels.
Status iou_matrix(const IouMatrixPlan& plan, const IouMatrixOptions& options,
                  const IouMatrixInput& input, const IouMatrixOutput& output, int threads);
Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output, int threads);

}  // namespace cudet::cpu
