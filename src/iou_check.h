// Argument checks of the IoU matrix, shared by the call and its reference.
#pragma once

#include <cudet/iou.h>

namespace cudet {

/// Checks options, inputs and output, in this order; the first bad argument decides.
Status check_iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                        const IouMatrixOutput& output) noexcept;

}  // namespace cudet
