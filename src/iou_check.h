// Argument checks of the IoU family, shared by the calls and their references.
#pragma once

#include <cudet/iou.h>

namespace cudet {

/// Checks options, inputs and output, in this order; the first bad argument decides.
Status check_iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                        const IouMatrixOutput& output) noexcept;
Status check_iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                       const IouPairsOutput& output) noexcept;

}  // namespace cudet
