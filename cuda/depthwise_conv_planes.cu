// The instances of the kernel for narrow planes.
#include "depthwise_conv_planes_kernel.cuh"
#include "depthwise_conv_select.cuh"

namespace cudet::device {

struct PlanesSelect {
  template <class T, bool kVectors, int kKernel, int kStride, int kLeft>
  static DepthwiseConvKernelFunction kernel() {
    return depthwise_conv_planes_kernel<T, kVectors, kKernel, kStride, kLeft>;
  }
};

DepthwiseConvKernelFunction depthwise_planes_kernel(const DepthwiseConvShape& shape, bool vectors) {
  return RowKernelOf<PlanesSelect>::shape(shape, vectors);
}

}  // namespace cudet::device
