// Which instance of a kernel whose lanes share a row a shape takes.
#pragma once

#include "depthwise_conv_launch.h"

namespace cudet::device {

/// Select::kernel<T, kVectors, kKernel, kStride, kLeft>() for the shape; `vectors` is
/// DepthwiseConvParameters::x_vectors.
template <class Select>
class RowKernelOf {
 public:
  static DepthwiseConvKernelFunction shape(const DepthwiseConvShape& shape, bool vectors) {
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

 private:
  template <class T>
  static DepthwiseConvKernelFunction by_alignment(const DepthwiseConvShape& shape, bool vectors) {
    return vectors ? by_size<T, true>(shape) : by_size<T, false>(shape);
  }

  template <class T, bool kVectors>
  static DepthwiseConvKernelFunction by_size(const DepthwiseConvShape& shape) {
    switch (shape.kernel_w) {
      case 3:
        return by_stride<T, kVectors, 3>(shape);
      case 5:
        return by_stride<T, kVectors, 5>(shape);
      default:
        return by_stride<T, kVectors, 7>(shape);
    }
  }

  template <class T, bool kVectors, int kKernel>
  static DepthwiseConvKernelFunction by_stride(const DepthwiseConvShape& shape) {
    constexpr int kHalf = (kKernel - 1) / 2;
    if (shape.stride_w == 1) return Select::template kernel<T, kVectors, kKernel, 1, kHalf>();
    return depthwise_rows_left(shape) == kHalf
               ? Select::template kernel<T, kVectors, kKernel, 2, kHalf>()
               : Select::template kernel<T, kVectors, kKernel, 2, kHalf - 1>();
  }
};

}  // namespace cudet::device
