// Depthwise convolution of float32 images in nchw, plane by plane where they lie.
#pragma once

#include "depthwise_image.h"

namespace cudet::cpu {

/// True for a call that convolve_planes() takes.
bool suits_planes(const DepthwiseConvShape& shape, const DepthwiseConvOutput& output) noexcept;

void convolve_planes(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                     const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                     int threads);

}  // namespace cudet::cpu
