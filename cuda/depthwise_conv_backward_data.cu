// Instances of the window kernels of grad_x.
#include "depthwise_conv_backward_kernels.h"

namespace cudet::device {
namespace {

template <class T, int K, int S, bool kChannelsLast>
struct Select {
  static GradXKernel kernel() { return window_grad_x_kernel<T, K, S, kChannelsLast>; }
};

}  // namespace

GradXKernel window_grad_x(const WindowKind& kind) {
  return select_window<Select>(kind);
}

}  // namespace cudet::device
