// Device side of the focal losses, as the host side calls it.
#pragma once

#include <cudet/execution.h>
#include <cudet/focal_loss.h>

#include "../src/focal_loss_plan.h"

namespace cudet::device {

/// Enqueue the operations as planned; arguments have been checked.
Status sigmoid_focal_loss(const SigmoidFocalPlan& plan, const SigmoidFocalLossOptions& options,
                          const SigmoidFocalLossInput& input, const SigmoidFocalLossOutput& output,
                          const Execution& execution) noexcept;
Status softmax_focal_loss(const SoftmaxPlan& plan, const SoftmaxFocalLossOptions& options,
                          const SoftmaxFocalLossInput& input, const SoftmaxFocalLossOutput& output,
                          const Execution& execution) noexcept;
Status distribution_focal_loss(const SoftmaxPlan& plan, const DistributionFocalLossOptions& options,
                               const DistributionFocalLossInput& input,
                               const DistributionFocalLossOutput& output,
                               const Execution& execution) noexcept;

}  // namespace cudet::device
