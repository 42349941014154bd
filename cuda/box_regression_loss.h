// Device side of the losses of regressed numbers, as the host side calls it.
#pragma once

#include <cudet/box_regression_loss.h>
#include <cudet/execution.h>

#include "../src/box_loss_check.h"

namespace cudet::device {

/// Enqueues box_regression_loss(); arguments have been checked, the workspace is as the plan asks.
Status box_regression_loss(const LossReductionPlan& plan, const BoxRegressionLossOptions& options,
                           const BoxRegressionLossInput& input,
                           const BoxRegressionLossOutput& output,
                           const Execution& execution) noexcept;

}  // namespace cudet::device
