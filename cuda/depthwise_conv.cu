// Launches of the depthwise convolution.
#include "depthwise_conv.h"

namespace cudet::device {

Status depthwise_conv(const DepthwiseConvPlan&, const DepthwiseConvOptions&,
                      const DepthwiseConvInput&, const DepthwiseConvOutput&,
                      const Execution&) noexcept {
  return Status::error(StatusCode::unsupported, "depthwise_conv: unsupported on a device");
}

}  // namespace cudet::device
