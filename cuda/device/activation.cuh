// Activations of include/cudet/depthwise_conv.h in float32. The choice is a run-time value that is
// the same for all threads.
#pragma once

#include <cudet/depthwise_conv.h>

#include "approximate_math.cuh"

#include <cuda_runtime.h>

#include <cstddef>

namespace cudet::device {

/// What an activation needs to know.
struct ActivationParameters {
  Activation kind;
  float negative_slope;
};

/// Comparisons with NaN are false, so that NaN passes.
__device__ __forceinline__ float clamp_keeping_nan(float v, float low, float high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

/// v / (1 + exp(-v)), within 4e-7 of its size. Where the quotient's second factor is 0, so is the
/// quotient, also for minus infinity.
__device__ __forceinline__ float silu(float v) {
  constexpr float kLog2E = 1.44269504f;
  const float sigmoid = approximate_reciprocal(1.0f + approximate_exp2(-kLog2E * v));
  return sigmoid == 0.0f ? 0.0f : v * sigmoid;
}

/// v min(max(v + 3, 0), 6) / 6
__device__ __forceinline__ float hardswish(float v) {
  return v <= -3.0f ? 0.0f : v * (fminf(v + 3.0f, 6.0f) * (1.0f / 6.0f));
}

/// v (1 + erf(v / sqrt 2)) / 2, within 2e-7 of v.
__device__ __forceinline__ float gelu(float v) {
  constexpr float kHalfSqrt2 = 0.707106781f;
  const float twice = 1.0f + erff(kHalfSqrt2 * v);
  return twice == 0.0f ? 0.0f : 0.5f * v * twice;
}

template <std::size_t kCount>
__device__ __forceinline__ void activate(const ActivationParameters& activation,
                                         float (&v)[kCount]) {
  switch (activation.kind) {
    case Activation::none:
      break;
    case Activation::relu:
#pragma unroll
      for (float& value : v)
        value = value < 0.0f ? 0.0f : value;
      break;
    case Activation::relu6:
#pragma unroll
      for (float& value : v)
        value = clamp_keeping_nan(value, 0.0f, 6.0f);
      break;
    case Activation::leaky_relu:
#pragma unroll
      for (float& value : v)
        value = value > 0.0f ? value : activation.negative_slope * value;
      break;
    case Activation::silu:
#pragma unroll
      for (float& value : v)
        value = silu(value);
      break;
    case Activation::hardswish:
#pragma unroll
      for (float& value : v)
        value = hardswish(value);
      break;
    case Activation::gelu:
#pragma unroll
      for (float& value : v)
        value = gelu(value);
      break;
  }
}

}  // namespace cudet::device
