// The instances of the kernel for narrow planes.
#include "depthwise_conv_launch.h"
#include "depthwise_conv_planes_kernel.cuh"

namespace cudet::device {
namespace {

template <class T, bool kVectors, int kKernel>
DepthwiseConvKernelFunction by_stride(int stride, int left) {
  constexpr int kHalf = (kKernel - 1) / 2;
  if (stride == 1) return depthwise_conv_planes_kernel<T, kVectors, kKernel, 1, kHalf>;
  return left == kHalf ? depthwise_conv_planes_kernel<T, kVectors, kKernel, 2, kHalf>
                       : depthwise_conv_planes_kernel<T, kVectors, kKernel, 2, kHalf - 1>;
}

template <class T, bool kVectors>
DepthwiseConvKernelFunction by_size(const DepthwiseConvShape& shape) {
  const int stride = static_cast<int>(shape.stride_w);
  const int left = depthwise_rows_left(shape);
  switch (shape.kernel_w) {
    case 3:
      return by_stride<T, kVectors, 3>(stride, left);
    case 5:
      return by_stride<T, kVectors, 5>(stride, left);
    default:
      return by_stride<T, kVectors, 7>(stride, left);
  }
}

template <class T>
DepthwiseConvKernelFunction by_alignment(const DepthwiseConvShape& shape, bool vectors) {
  return vectors ? by_size<T, true>(shape) : by_size<T, false>(shape);
}

}  // namespace

DepthwiseConvKernelFunction depthwise_planes_kernel(const DepthwiseConvShape& shape, bool vectors) {
  switch (shape.type) {
    case DataType::float16:
      return by_alignment<__half>(shape, vectors);
    case DataType::bfloat16:
      return by_alignment<__nv_bfloat16>(shape, vectors);
    case DataType::int8:
      return by_alignment<std::int8_t>(shape, vectors);
    default:
      return by_alignment<float>(shape, vectors);
  }
}

}  // namespace cudet::device
