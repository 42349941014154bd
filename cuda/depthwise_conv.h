// Device side of the depthwise convolution, as the host side calls it.
#pragma once

#include <cudet/depthwise_conv.h>
#include <cudet/execution.h>

#include "../src/depthwise_conv_plan.h"

namespace cudet::device {

/// Enqueues depthwise_conv(); arguments have been checked, the workspace is as the plan asks.
Status depthwise_conv(const DepthwiseConvPlan& plan, const DepthwiseConvOptions& options,
                      const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                      const Execution& execution) noexcept;

}  // namespace cudet::device
