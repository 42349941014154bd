// The kernels of the depthwise convolution, by size and type; each kind is compiled in a file of
// its own.
#pragma once

#include "../src/depthwise_conv_plan.h"
#include "depthwise_conv_parameters.cuh"

namespace cudet::device {

/// The instance of a kernel for the shape of a plan that has chosen this kind. `vectors` is
/// DepthwiseConvParameters::x_vectors.
DepthwiseConvKernelFunction depthwise_rows_kernel(const DepthwiseConvShape& shape, bool vectors);
DepthwiseConvKernelFunction depthwise_channels_kernel(const DepthwiseConvShape& shape);
DepthwiseConvKernelFunction depthwise_planes_kernel(const DepthwiseConvShape& shape, bool vectors);
DepthwiseConvKernelFunction depthwise_tiles_kernel(const DepthwiseConvShape& shape);

}  // namespace cudet::device
