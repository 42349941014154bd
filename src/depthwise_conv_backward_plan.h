// What the gradients of the depthwise convolution derive from options and shapes before anything
// runs: the choice of the kernels, how they cut their work, and where the parts of the workspace
// lie. Pure host arithmetic.
#pragma once

#include "depthwise_conv_plan.h"

#include <cudet/depthwise_conv.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// How an image is cut for kernels whose threads own a few columns of a strip of rows.
struct DepthwiseStrips {
  int rows = 0;  ///< of a strip; the last one may have fewer
  int count = 0;
  int column_groups = 0;
};

struct DepthwiseConvBackwardPlan {
  DepthwiseConvShape shape;
  DepthwiseConvBackwardKernels kernels;
  bool recomputes = false;  ///< there is an activation, but no saved pre-activation

  /// The gradient of what goes into the activation is written to the workspace first.
  bool gradient_pass = false;

  DepthwiseStrips data;            ///< of grad_x
  std::int64_t channel_lanes = 0;  ///< threads for all channels of grad_x, one beside the other
  int column_shift = 0;  ///< columns of grad_x that the first thread of a row has left of the image
  int gradient_shift = 0;  ///< its first column of the gradient

  DepthwiseStrips weight;    ///< of the outputs, for grad_weight
  int weight_threads = 0;    ///< of a block
  int places = 0;            ///< pieces that a block of many channels works on at a time
  int group_channels = 0;    ///< channels that a block works for
  std::int64_t groups = 0;   ///< of channels, each with blocks of its own
  std::int64_t splits = 0;   ///< blocks for a group
  std::int64_t share = 0;    ///< pieces of all images, or rows of outputs, that a split has
  std::size_t gradient = 0;  ///< offsets in the workspace
  std::size_t partials = 0;
  std::size_t arrived = 0;
  std::size_t workspace_bytes = 0;
};

/// Chooses the kernels for a checked call, or takes the forced one.
Status make_depthwise_conv_backward_plan(const DepthwiseConvShape& shape,
                                         const DepthwiseConvOptions& options,
                                         const DepthwiseConvBackwardInput& input,
                                         const DepthwiseConvBackwardOutput& output,
                                         DepthwiseConvBackwardPlan* plan) noexcept;

}  // namespace cudet
