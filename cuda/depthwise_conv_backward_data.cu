// Instances of the window kernels of grad_x.
#include "depthwise_conv_backward_kernels.h"

namespace cudet::device {

// Not in an anonymous namespace, and with a name of its own: g++ 12 takes the generic lambdas of
// select_window() for the same ones in every source file where such a template's arguments agree.
template <class T, int K, int S, bool kChannelsLast>
struct GradXSelect {
  static GradXKernel kernel() { return window_grad_x_kernel<T, K, S, kChannelsLast>; }
};

GradXKernel window_grad_x(const WindowKind& kind) {
  return select_window<GradXSelect>(kind);
}

}  // namespace cudet::device
