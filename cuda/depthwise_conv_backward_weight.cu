// Instances of the window kernels of grad_weight and grad_bias.
#include "depthwise_conv_backward_kernels.h"

namespace cudet::device {

// Not in an anonymous namespace, and with a name of its own: g++ 12 takes the generic lambdas of
// select_window() for the same ones in every source file where such a template's arguments agree.
template <class T, int K, int S, bool kChannelsLast>
struct GradWeightSelect {
  static GradWeightKernel kernel() { return window_grad_weight_kernel<T, K, S, kChannelsLast>; }
};

GradWeightKernel window_grad_weight(const WindowKind& kind) {
  return select_window<GradWeightSelect>(kind);
}

}  // namespace cudet::device
