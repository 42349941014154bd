// Where an element of a batch of images lies. All elements together may be more than 2^31.
#pragma once

#include "device/pinned_math.h"

#include <cstdint>

namespace cudet::device {

/// Row and column may lie outside of the image, as a window does.
CUDET_HOST_DEVICE std::int64_t nchw_offset(unsigned b, int channels, int channel, int rows, int row,
                                           int columns, int column) {
  const std::int64_t plane = static_cast<std::int64_t>(b) * channels + channel;
  return (plane * rows + row) * columns + column;
}
CUDET_HOST_DEVICE std::int64_t nhwc_offset(unsigned b, int rows, int row, int columns, int column,
                                           int channels, int channel) {
  const std::int64_t image_row = static_cast<std::int64_t>(b) * rows + row;
  return (image_row * columns + column) * channels + channel;
}

}  // namespace cudet::device
