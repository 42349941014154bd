// Launches of the depthwise convolution's gradients.
#include "depthwise_conv_backward.h"

namespace cudet::device {

Status depthwise_conv_backward(const DepthwiseConvBackwardPlan&, const DepthwiseConvOptions&,
                               const DepthwiseConvBackwardInput&,
                               const DepthwiseConvBackwardOutput&, const Execution&) noexcept {
  return Status::error(StatusCode::unsupported, "depthwise_conv_backward: unsupported on a device");
}

}  // namespace cudet::device
