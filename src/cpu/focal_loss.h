// The focal losses on the CPU, as the host side calls them.
#pragma once

#include "../focal_loss_plan.h"

#include <cudet/focal_loss.h>

namespace cudet::cpu {

/// The operations of the same names; arguments have been checked. Elements and rows are shared out
/// over the threads in stretches that the shape alone decides, whose sums are added in order.
Status sigmoid_focal_loss(const SigmoidFocalShape& shape, const SigmoidFocalLossOptions& options,
                          const SigmoidFocalLossInput& input, const SigmoidFocalLossOutput& output,
                          int threads);
Status softmax_focal_loss(const SoftmaxFocalLossOptions& options,
                          const SoftmaxFocalLossInput& input, const SoftmaxFocalLossOutput& output,
                          int threads);
Status distribution_focal_loss(const DistributionFocalLossOptions& options,
                               const DistributionFocalLossInput& input,
                               const DistributionFocalLossOutput& output, int threads);

}  // namespace cudet::cpu
