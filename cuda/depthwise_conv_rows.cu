// The instances of the kernel for long rows.
#include "depthwise_conv_rows_kernel.cuh"
#include "depthwise_conv_select.cuh"

namespace cudet::device {

struct RowsSelect {
  template <class T, bool kVectors, int kKernel, int kStride, int kLeft>
  static DepthwiseConvKernelFunction kernel() {
    return depthwise_conv_rows_kernel<T, kVectors, kKernel, kStride, kLeft>;
  }
};

DepthwiseConvKernelFunction depthwise_rows_kernel(const DepthwiseConvShape& shape, bool vectors) {
  return RowKernelOf<RowsSelect>::shape(shape, vectors);
}

}  // namespace cudet::device
