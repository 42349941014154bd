// Gradients of a depthwise convolution as they are usually computed: to compare with, not to use.
// One thread an element of grad_x, which asks of every tap by a remainder whether it hits an
// output; one block a tap of grad_weight, which reads all of the channel for it.
#pragma once

#include <cudet/execution.h>
#include <cudet/status.h>

namespace cudet::bench {

/// nchw, square kernels, no dilation, no activation; below 2^31 elements, as usual.
struct BaselineDepthwiseBackward {
  const float* grad_output;  ///< [n, channels, oh, ow]
  const float* x;            ///< [n, channels, h, w]
  const float* weight;       ///< [channels, kernel, kernel]
  int n, channels, h, w, oh, ow;
  int kernel, stride, padding;
  float* grad_x;       ///< null: not wanted
  float* grad_weight;  ///< null: not wanted
};

/// On a stream, where gpu_bench was built with CUDA, or in a loop on the CPU.
Status run_baseline(const BaselineDepthwiseBackward& problem, const Execution& execution);

/// The former half of it, in depthwise_conv_backward.cu.
Status launch_baseline(const BaselineDepthwiseBackward& problem, cudaStream_t stream);

}  // namespace cudet::bench
