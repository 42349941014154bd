// The instances of the kernel for kernels of any size.
#include "depthwise_conv_launch.h"
#include "depthwise_conv_tiles_kernel.cuh"

namespace cudet::device {
namespace {

template <class T>
DepthwiseConvKernelFunction by_stride(const DepthwiseConvShape& shape) {
  return shape.stride_w == 1 ? depthwise_conv_tiles_kernel<T, 1>
                             : depthwise_conv_tiles_kernel<T, 2>;
}

}  // namespace

DepthwiseConvKernelFunction depthwise_tiles_kernel(const DepthwiseConvShape& shape) {
  switch (shape.type) {
    case DataType::float16:
      return by_stride<__half>(shape);
    case DataType::bfloat16:
      return by_stride<__nv_bfloat16>(shape);
    case DataType::int8:
      return by_stride<std::int8_t>(shape);
    default:
      return by_stride<float>(shape);
  }
}

}  // namespace cudet::device
