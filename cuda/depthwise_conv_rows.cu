// The instances of the kernel for long rows.
#include "depthwise_conv_launch.h"
#include "depthwise_conv_rows_kernel.cuh"

namespace cudet::device {
namespace {

template <class T, unsigned kKernel>
DepthwiseConvKernelFunction by_stride(int stride, unsigned left) {
  constexpr unsigned kHalf = (kKernel - 1) / 2;
  if (stride == 1) return depthwise_conv_rows_kernel<T, kKernel, 1, kHalf>;
  return left == kHalf ? depthwise_conv_rows_kernel<T, kKernel, 2, kHalf>
                       : depthwise_conv_rows_kernel<T, kKernel, 2, kHalf - 1>;
}

template <class T>
DepthwiseConvKernelFunction by_size(const DepthwiseConvShape& shape) {
  const int stride = static_cast<int>(shape.stride_w);
  const auto left = static_cast<unsigned>(depthwise_rows_left(shape));
  switch (shape.kernel_w) {
    case 3:
      return by_stride<T, 3>(stride, left);
    case 5:
      return by_stride<T, 5>(stride, left);
    default:
      return by_stride<T, 7>(stride, left);
  }
}

}  // namespace

DepthwiseConvKernelFunction depthwise_rows_kernel(const DepthwiseConvShape& shape) {
  switch (shape.type) {
    case DataType::float16:
      return by_size<__half>(shape);
    case DataType::bfloat16:
      return by_size<__nv_bfloat16>(shape);
    case DataType::int8:
      return by_size<std::int8_t>(shape);
    default:
      return by_size<float>(shape);
  }
}

}  // namespace cudet::device
