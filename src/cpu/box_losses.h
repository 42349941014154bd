// Losses of boxes on the CPU, as the host side calls them.
#pragma once

#include <cudet/box_regression_loss.h>
#include <cudet/iou_loss.h>

namespace cudet::cpu {

/// The operations of the same names; arguments have been checked. Rows are shared out over the
/// threads; a sum has one order whatever their number is.
Status iou_loss(const IouLossOptions& options, const IouLossInput& input,
                const IouLossOutput& output, int threads);
Status box_regression_loss(const BoxRegressionLossOptions& options,
                           const BoxRegressionLossInput& input,
                           const BoxRegressionLossOutput& output, int threads);

}  // namespace cudet::cpu
