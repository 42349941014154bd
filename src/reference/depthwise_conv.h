// What both directions of the reference depthwise convolution share.
#pragma once

#include <cudet/depthwise_conv.h>

#include "../depthwise_conv_plan.h"
#include "box.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace cudet::reference {

/// Where the elements of a batch of images lie.
struct ImageIndex {
  ImageLayout layout;
  std::int64_t channels, rows, columns;
  std::int64_t operator()(std::int64_t b, std::int64_t channel, std::int64_t i,
                          std::int64_t j) const {
    return layout == ImageLayout::nchw ? ((b * channels + channel) * rows + i) * columns + j
                                       : ((b * rows + i) * columns + j) * channels + channel;
  }
};
inline ImageIndex index_of_x(const DepthwiseConvShape& shape) {
  return {shape.layout, shape.c, shape.h, shape.w};
}
inline ImageIndex index_of_y(const DepthwiseConvShape& shape) {
  return {shape.layout, shape.out_channels(), shape.oh, shape.ow};
}

/// Where tap (p, q) of output channel o lies in the weight.
inline std::int64_t weight_index(const DepthwiseConvShape& shape, std::int64_t o, std::int64_t p,
                                 std::int64_t q) {
  return shape.layout == ImageLayout::nchw ? (o * shape.kernel_h + p) * shape.kernel_w + q
                                           : (p * shape.kernel_w + q) * shape.out_channels() + o;
}

/// The row or column of x that tap p of output i reads; it may lie in the padding.
inline std::int64_t row_of(const DepthwiseConvShape& shape, std::int64_t i, std::int64_t p) {
  return i * shape.stride_h + p * shape.dilation_h - shape.pad_top;
}
inline std::int64_t column_of(const DepthwiseConvShape& shape, std::int64_t j, std::int64_t q) {
  return j * shape.stride_w + q * shape.dilation_w - shape.pad_left;
}

/// Calls visit(index of the tap in the weight, index in x) for every tap of an output that does not
/// lie in the padding.
template <class Visit>
void for_each_tap(const DepthwiseConvShape& shape, std::int64_t b, std::int64_t o, std::int64_t i,
                  std::int64_t j, Visit visit) {
  const ImageIndex x = index_of_x(shape);
  for (std::int64_t p = 0; p < shape.kernel_h; ++p) {
    const std::int64_t row = row_of(shape, i, p);
    if (row < 0 || row >= shape.h) continue;
    for (std::int64_t q = 0; q < shape.kernel_w; ++q) {
      const std::int64_t column = column_of(shape, j, q);
      if (column < 0 || column >= shape.w) continue;
      visit(weight_index(shape, o, p, q), x(b, o / shape.multiplier, row, column));
    }
  }
}

inline double clamp(double value, double low, double high) {
  // A NaN passes: both comparisons are false.
  return value < low ? low : value > high ? high : value;
}

inline double activate(Activation activation, double negative_slope, double v) {
  switch (activation) {
    case Activation::relu:
      return v < 0.0 ? 0.0 : v;
    case Activation::relu6:
      return clamp(v, 0.0, 6.0);
    case Activation::leaky_relu:
      return v > 0.0 ? v : negative_slope * v;
    case Activation::silu:
      // exp(-v) overflows where the quotient is 0 to within what a double holds.
      return std::isinf(v) && v < 0.0 ? 0.0 : v / (1.0 + std::exp(-v));
    case Activation::hardswish:
      // Minus infinity times 0 has the limit 0.
      return v <= -3.0 ? 0.0 : v * clamp(v + 3.0, 0.0, 6.0) / 6.0;
    case Activation::gelu:
      return std::isinf(v) && v < 0.0 ? 0.0 : 0.5 * v * std::erfc(-v / std::sqrt(2.0));
    default:
      return v;
  }
}

/// The derivative; where there are two, the one that the contract names.
inline double activation_slope(Activation activation, double negative_slope, double v) {
  switch (activation) {
    case Activation::relu:
      return v <= 0.0 ? 0.0 : 1.0;
    case Activation::relu6:
      return v <= 0.0 || v >= 6.0 ? 0.0 : 1.0;
    case Activation::leaky_relu:
      return v > 0.0 ? 1.0 : negative_slope;
    case Activation::silu: {
      const double sigmoid = 1.0 / (1.0 + std::exp(-v));
      return std::isinf(v) ? (v > 0.0 ? 1.0 : 0.0) : sigmoid * (1.0 + v * (1.0 - sigmoid));
    }
    case Activation::hardswish:
      return v < -3.0 ? 0.0 : v <= 3.0 ? v / 3.0 + 0.5 : 1.0;
    case Activation::gelu: {
      const double density = std::exp(-0.5 * v * v) / std::sqrt(2.0 * 3.14159265358979323846);
      return std::isinf(v) ? (v > 0.0 ? 1.0 : 0.0)
                           : 0.5 * std::erfc(-v / std::sqrt(2.0)) + v * density;
    }
    default:
      return 1.0;
  }
}

}  // namespace cudet::reference
