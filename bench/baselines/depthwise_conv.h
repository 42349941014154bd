// A depthwise convolution as it is usually computed: to compare with, not to use. One thread an
// element of y, its place by divisions, a bounds test and two loads for every tap.
#pragma once

#include <cudet/execution.h>
#include <cudet/status.h>

#include <cstdint>

namespace cudet::bench {

/// nchw, square kernels, no dilation, no activation.
struct BaselineDepthwise {
  const float* x;       ///< [n, channels, h, w]
  const float* weight;  ///< [channels, kernel, kernel]
  const float* bias;    ///< [channels]
  std::int64_t n, channels, h, w, oh, ow;
  std::int64_t kernel, stride, padding;
  float* y;  ///< [n, channels, oh, ow]
};

/// On a stream, where gpu_bench was built with CUDA, or in a loop on the CPU.
Status run_baseline(const BaselineDepthwise& problem, const Execution& execution);

/// The former half of it, in depthwise_conv.cu.
Status launch_baseline(const BaselineDepthwise& problem, cudaStream_t stream);

}  // namespace cudet::bench
