// What a thread of the baseline's kernel computes, and a step of the loop on the CPU.
#pragma once

#include "depthwise_conv.h"

#if defined(__CUDACC__)
#define CUDET_BASELINE_FUNCTION __host__ __device__ inline
#else
#define CUDET_BASELINE_FUNCTION inline
#endif

namespace cudet::bench {

/// Element `index` of y.
CUDET_BASELINE_FUNCTION float baseline_output(const BaselineDepthwise& p, std::int64_t index) {
  const std::int64_t column = index % p.ow;
  const std::int64_t row = index / p.ow % p.oh;
  const std::int64_t plane = index / p.ow / p.oh;
  const std::int64_t channel = plane % p.channels;
  float sum = p.bias[channel];
  for (std::int64_t tap_row = 0; tap_row < p.kernel; ++tap_row) {
    for (std::int64_t tap_column = 0; tap_column < p.kernel; ++tap_column) {
      const std::int64_t i = row * p.stride + tap_row - p.padding;
      const std::int64_t j = column * p.stride + tap_column - p.padding;
      if (i < 0 || i >= p.h || j < 0 || j >= p.w) continue;
      sum += p.weight[(channel * p.kernel + tap_row) * p.kernel + tap_column] *
             p.x[(plane * p.h + i) * p.w + j];
    }
  }
  return sum;
}

}  // namespace cudet::bench
