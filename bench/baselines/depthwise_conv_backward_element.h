// What a thread of the baseline's kernels computes, and a step of the loops on the CPU.
#pragma once

#include "depthwise_conv_backward.h"

#if defined(__CUDACC__)
#define CUDET_BASELINE_FUNCTION __host__ __device__ inline
#else
#define CUDET_BASELINE_FUNCTION inline
#endif

namespace cudet::bench {

/// Element `index` of grad_x.
CUDET_BASELINE_FUNCTION float baseline_grad_x(const BaselineDepthwiseBackward& p, int index) {
  const int column = index % p.w;
  const int row = index / p.w % p.h;
  const int plane = index / p.w / p.h;
  const float* const weight = p.weight + plane % p.channels * p.kernel * p.kernel;
  float sum = 0.0f;
  for (int tap_row = 0; tap_row < p.kernel; ++tap_row) {
    for (int tap_column = 0; tap_column < p.kernel; ++tap_column) {
      const int i = row + p.padding - tap_row;
      const int j = column + p.padding - tap_column;
      if (i < 0 || j < 0 || i % p.stride != 0 || j % p.stride != 0) continue;
      if (i / p.stride >= p.oh || j / p.stride >= p.ow) continue;
      sum += weight[tap_row * p.kernel + tap_column] *
             p.grad_output[(plane * p.oh + i / p.stride) * p.ow + j / p.stride];
    }
  }
  return sum;
}

/// What output `output` of a channel, counted over all images, adds to element `index` of
/// grad_weight.
CUDET_BASELINE_FUNCTION float baseline_grad_weight_term(const BaselineDepthwiseBackward& p,
                                                        int index, int output) {
  const int channel = index / (p.kernel * p.kernel);
  const int column = output % p.ow;
  const int row = output / p.ow % p.oh;
  const int plane = output / p.ow / p.oh * p.channels + channel;
  const int i = row * p.stride - p.padding + index / p.kernel % p.kernel;
  const int j = column * p.stride - p.padding + index % p.kernel;
  if (i < 0 || i >= p.h || j < 0 || j >= p.w) return 0.0f;
  return p.grad_output[(plane * p.oh + row) * p.ow + column] * p.x[(plane * p.h + i) * p.w + j];
}

}  // namespace cudet::bench
