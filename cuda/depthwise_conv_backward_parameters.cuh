// What all kernels of the depthwise convolution's gradients receive, and how they find elements.
#pragma once

#include "device/approximate_math.cuh"
#include "device/real.cuh"

#include <cudet/depthwise_conv.h>

#include <cuda_runtime.h>

namespace cudet::device {

/// Distances, in elements, between neighbours of an array of images or of a weight. Those within an
/// image fit 32 bits.
struct ImageStrides {
  long long image;
  int channel, row, column;
};

struct DepthwiseGeometry {
  ImageStrides x, y;
  int weight_channel, weight_tap;  ///< distances in the weight; taps go row by row
  int n, channels, multiplier, out_channels;
  int h, w, oh, ow;
  int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
};

/// The gradient g of what goes into the activation.
struct GradientSource {
  const void* grad_output;     ///< of x's type, or of float32 where `is_float32`
  const void* pre_activation;  ///< null: grad_output is g
  bool is_float32;             ///< what the activation kernel has written to the workspace
  Activation activation;
  float negative_slope;
};

/// act'(v); where there are two sides, that of the contract.
__device__ __forceinline__ float activation_slope(Activation activation, float negative_slope,
                                                  float v) {
  switch (activation) {
    case Activation::relu:
      return v <= 0.0f ? 0.0f : 1.0f;
    case Activation::relu6:
      return v <= 0.0f || v >= 6.0f ? 0.0f : 1.0f;
    case Activation::leaky_relu:
      return v > 0.0f ? 1.0f : negative_slope;
    case Activation::silu: {
      // Beyond the limits the slope is 0 or 1 to the last bit; infinities would meet zeros.
      const float bounded = v < -100.0f ? -100.0f : v > 100.0f ? 100.0f : v;
      const float sigmoid = approximate_reciprocal(1.0f + approximate_exp2(-1.44269504f * bounded));
      return sigmoid * fmaf(bounded, 1.0f - sigmoid, 1.0f);
    }
    case Activation::hardswish:
      return v < -3.0f ? 0.0f : v <= 3.0f ? fmaf(v, 1.0f / 3.0f, 0.5f) : 1.0f;
    case Activation::gelu: {
      // Abramowitz and Stegun 7.1.26 for the tail of the normal distribution, within 8e-8; its
      // exponential is also that of the density.
      const float bounded = v < -14.0f ? -14.0f : v > 14.0f ? 14.0f : v;
      const float bell = approximate_exp2(-0.721347520f * bounded * bounded);
      const float t = approximate_reciprocal(fmaf(0.231641888f, fabsf(bounded), 1.0f));
      float tail = fmaf(t, 0.530702715f, -0.726576013f);
      tail = fmaf(tail, t, 0.710706871f);
      tail = fmaf(tail, t, -0.142248368f);
      tail = fmaf(tail, t, 0.127414796f) * t * bell;
      return fmaf(0.398942280f * bounded, bell, bounded > 0.0f ? 1.0f - tail : tail);
    }
    default:
      return 1.0f;
  }
}

/// Element `index` of g; T is the type of x.
template <class T>
__device__ __forceinline__ float load_gradient(const GradientSource& source, long long index) {
  if (source.is_float32) return __ldg(static_cast<const float*>(source.grad_output) + index);
  const float gradient = to_float(static_cast<const T*>(source.grad_output)[index]);
  if (source.pre_activation == nullptr) return gradient;
  const float v = to_float(static_cast<const T*>(source.pre_activation)[index]);
  return gradient * activation_slope(source.activation, source.negative_slope, v);
}

}  // namespace cudet::device
