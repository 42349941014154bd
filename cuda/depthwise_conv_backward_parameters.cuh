// What all kernels of the depthwise convolution's gradients receive, and how they find elements.
#pragma once

#include "device/activation.cuh"
#include "device/real.cuh"

#include <cudet/depthwise_conv.h>

#include <cuda_runtime.h>

#include <cstddef>

namespace cudet::device {

/// An array whose size comes from arithmetic on int.
template <int kCount>
using Floats = float[static_cast<std::size_t>(kCount)];

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

__device__ __forceinline__ float silu_slope(float v) {
  // Beyond the limits the slope is 0 or 1 to the last bit; infinities would meet zeros.
  const float bounded = clamp_keeping_nan(v, -100.0f, 100.0f);
  const float sigmoid = approximate_reciprocal(1.0f + approximate_exp2(-1.44269504f * bounded));
  return sigmoid * fmaf(bounded, 1.0f - sigmoid, 1.0f);
}

/// Phi(v) + v phi(v), within 1e-7: Abramowitz and Stegun 7.1.26 for the tail of the normal
/// distribution, whose exponential is also that of the density.
__device__ __forceinline__ float gelu_slope(float v) {
  const float bounded = clamp_keeping_nan(v, -14.0f, 14.0f);
  const float bell = approximate_exp2(-0.721347520f * bounded * bounded);
  const float t = approximate_reciprocal(fmaf(0.231641888f, fabsf(bounded), 1.0f));
  float tail = fmaf(t, 0.530702715f, -0.726576013f);
  tail = fmaf(tail, t, 0.710706871f);
  tail = fmaf(tail, t, -0.142248368f);
  tail = fmaf(tail, t, 0.127414796f) * t * bell;
  return fmaf(0.398942280f * bounded, bell, bounded > 0.0f ? 1.0f - tail : tail);
}

/// g[k] *= act'(v[k]); where there are two sides, that of the contract.
template <int kCount>
__device__ __forceinline__ void multiply_by_slopes(Activation activation, float negative_slope,
                                                   const Floats<kCount>& v, Floats<kCount>& g) {
  const auto multiply = [&](auto slope) {
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      g[k] *= slope(v[k]);
  };
  switch (activation) {
    case Activation::none:
      break;
    case Activation::relu:
      multiply([](float u) { return u <= 0.0f ? 0.0f : 1.0f; });
      break;
    case Activation::relu6:
      multiply([](float u) { return u <= 0.0f || u >= 6.0f ? 0.0f : 1.0f; });
      break;
    case Activation::leaky_relu:
      multiply([=](float u) { return u > 0.0f ? 1.0f : negative_slope; });
      break;
    case Activation::silu:
      multiply([](float u) { return silu_slope(u); });
      break;
    case Activation::hardswish:
      multiply([](float u) {
        return u < -3.0f ? 0.0f : u <= 3.0f ? fmaf(u, 1.0f / 3.0f, 0.5f) : 1.0f;
      });
      break;
    case Activation::gelu:
      multiply([](float u) { return gelu_slope(u); });
      break;
  }
}

/// Element `index` of g; T is the type of x.
template <class T>
__device__ __forceinline__ float load_gradient(const GradientSource& source, long long index) {
  if (source.is_float32) return __ldg(static_cast<const float*>(source.grad_output) + index);
  float gradient[1] = {to_float(static_cast<const T*>(source.grad_output)[index])};
  if (source.pre_activation == nullptr) return gradient[0];
  const float v[1] = {to_float(static_cast<const T*>(source.pre_activation)[index])};
  multiply_by_slopes<1>(source.activation, source.negative_slope, v, gradient);
  return gradient[0];
}

}  // namespace cudet::device
