// Device side of the IoU losses, as the host side calls it.
#pragma once

#include <cudet/execution.h>
#include <cudet/iou_loss.h>

#include "../src/box_loss_check.h"

namespace cudet::device {

/// Enqueues iou_loss(); arguments have been checked, the workspace is as the plan asks.
Status iou_loss(const LossReductionPlan& plan, const IouLossOptions& options,
                const IouLossInput& input, const IouLossOutput& output,
                const Execution& execution) noexcept;

}  // namespace cudet::device
