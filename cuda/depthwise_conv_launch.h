// The kernels of the depthwise convolution, by size and type; each kind is compiled in a file of
// its own.
#pragma once

#include "../src/depthwise_conv_plan.h"
#include "depthwise_conv_parameters.cuh"

namespace cudet::device {

/// The instance of a kernel for the shape of a plan that has chosen this kind.
DepthwiseConvKernelFunction depthwise_rows_kernel(const DepthwiseConvShape& shape);

}  // namespace cudet::device
