// Depthwise convolution of float32 images in nhwc, where they lie: all channels of a few places of
// a row at a time, so that images are read and written in the order of their memory.
#pragma once

#include "depthwise_image.h"

#include <cstdint>
#include <vector>

namespace cudet::cpu {

/// True for a call that convolve_pixels() takes.
bool suits_pixels(const DepthwiseConvShape& shape, const DepthwiseConvOutput& output) noexcept;

void convolve_pixels(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                     const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                     int threads);

/// True for a call that pixel_gradients() takes.
bool suits_pixel_gradients(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                           const DepthwiseConvBackwardOutput& output) noexcept;

void pixel_gradients(const DepthwiseConvShape& shape, const DepthwiseConvBackwardInput& input,
                     const DepthwiseConvBackwardOutput& output, int threads);

}  // namespace cudet::cpu
