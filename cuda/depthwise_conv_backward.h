// Device side of the depthwise convolution's gradients, as the host side calls it.
#pragma once

#include <cudet/depthwise_conv.h>
#include <cudet/execution.h>

#include "../src/depthwise_conv_backward_plan.h"

namespace cudet::device {

/// Enqueues depthwise_conv_backward(); arguments have been checked, the workspace is as the plan
/// asks.
Status depthwise_conv_backward(const DepthwiseConvBackwardPlan& plan,
                               const DepthwiseConvOptions& options,
                               const DepthwiseConvBackwardInput& input,
                               const DepthwiseConvBackwardOutput& output,
                               const Execution& execution) noexcept;

}  // namespace cudet::device
