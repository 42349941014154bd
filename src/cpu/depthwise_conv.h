// The depthwise convolution on the CPU, as the host side calls it.
#pragma once

#include "../depthwise_conv_plan.h"

#include <cudet/depthwise_conv.h>

namespace cudet::cpu {

/// The operations of the same names; arguments have been checked. Images and channels are shared
/// out over the threads, of the gradients channels alone. int8, and shapes that do not suit lines
/// (depthwise_lines.h), run the reference.
Status depthwise_conv(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                      const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                      int threads);
Status depthwise_conv_backward(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                               const DepthwiseConvBackwardInput& input,
                               const DepthwiseConvBackwardOutput& output, int threads);

}  // namespace cudet::cpu
