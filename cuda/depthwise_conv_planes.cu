// The instances of the kernel for small planes.
#include "depthwise_conv_launch.h"
#include "depthwise_conv_planes_kernel.cuh"

namespace cudet::device {
namespace {

template <class T, int kKernel>
DepthwiseConvKernelFunction by_stride(const DepthwiseConvShape& shape) {
  return shape.stride_w == 1 ? depthwise_conv_planes_kernel<T, kKernel, 1>
                             : depthwise_conv_planes_kernel<T, kKernel, 2>;
}

template <class T>
DepthwiseConvKernelFunction by_size(const DepthwiseConvShape& shape) {
  switch (shape.kernel_w) {
    case 3:
      return by_stride<T, 3>(shape);
    case 5:
      return by_stride<T, 5>(shape);
    default:
      return by_stride<T, 7>(shape);
  }
}

}  // namespace

DepthwiseConvKernelFunction depthwise_planes_kernel(const DepthwiseConvShape& shape) {
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
