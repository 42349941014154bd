// Depthwise convolution forward of float32 images in nhwc, where they lie: all channels of a few
// places of a row at a time, so that images are read and written in the order of their memory.
#pragma once

#include "depthwise_image.h"

namespace cudet::cpu {

/// True for a call that convolve_pixels() takes.
bool suits_pixels(const DepthwiseConvShape& shape, const DepthwiseConvOutput& output) noexcept;

void convolve_pixels(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                     const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                     int threads);

}  // namespace cudet::cpu
