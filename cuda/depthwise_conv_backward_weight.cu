// Instances of the window kernels of grad_weight and grad_bias.
#include "depthwise_conv_backward_kernels.h"

namespace cudet::device {
namespace {

template <class T, int K, int S, bool kChannelsLast>
struct Select {
  static GradWeightKernel kernel() { return window_grad_weight_kernel<T, K, S, kChannelsLast>; }
};

}  // namespace

GradWeightKernel window_grad_weight(const WindowKind& kind) {
  return select_window<Select>(kind);
}

}  // namespace cudet::device
