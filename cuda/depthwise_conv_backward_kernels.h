// The kernels of the depthwise convolution's gradients that are made for each kernel size and
// stride, by their run-time values. They are compiled apart from each other.
#pragma once

#include "depthwise_conv_backward_data_kernel.cuh"
#include "depthwise_conv_backward_weight_kernel.cuh"

#include <cudet/depthwise_conv.h>

#include <type_traits>

namespace cudet::device {

/// A kernel size of 3, 5 or 7, and a stride of 1 or 2.
struct WindowKind {
  DataType type;
  int kernel, stride;
  bool channels_last;
};

using GradXKernel = void (*)(GradXParameters);
using GradWeightKernel = void (*)(GradWeightParameters);

GradXKernel window_grad_x(const WindowKind& kind);
GradWeightKernel window_grad_weight(const WindowKind& kind);

/// Select<T, K, S, kChannelsLast>::kernel() for the values in `kind`.
template <template <class, int, int, bool> class Select>
auto select_window(const WindowKind& kind) {
  const auto of_stride = [&](auto type, auto kernel, auto stride) {
    using T = decltype(type);
    constexpr int K = decltype(kernel)::value, S = decltype(stride)::value;
    return kind.channels_last ? Select<T, K, S, true>::kernel() : Select<T, K, S, false>::kernel();
  };
  const auto of_kernel = [&](auto type, auto kernel) {
    return kind.stride == 1 ? of_stride(type, kernel, std::integral_constant<int, 1>())
                            : of_stride(type, kernel, std::integral_constant<int, 2>());
  };
  const auto of_type = [&](auto type) {
    return kind.kernel == 3   ? of_kernel(type, std::integral_constant<int, 3>())
           : kind.kernel == 5 ? of_kernel(type, std::integral_constant<int, 5>())
                              : of_kernel(type, std::integral_constant<int, 7>());
  };
  switch (kind.type) {
    case DataType::float16:
      return of_type(__half());
    case DataType::bfloat16:
      return of_type(__nv_bfloat16());
    default:
      return of_type(float());
  }
}

}  // namespace cudet::device
