// The one way in which kernels are launched.
#pragma once

#include <cudet/status.h>

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

namespace cudet::device {

/// A failed CUDA runtime call as a Status: "nms: launching nms_block_kernel failed: cudaError...
/// (...)".
inline Status cuda_failure(const char* operation, const char* action, cudaError_t error) {
  return Status::error(StatusCode::cuda_error, "%s: %s failed: %s (%s)", operation, action,
                       cudaGetErrorName(error), cudaGetErrorString(error));
}

struct LaunchConfig {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  /// True for a kernel that begins with begin_overlapped_kernel(): its blocks may be set up while
  /// the previous kernel of the stream still runs, where the device knows how.
  bool overlaps_previous = false;
};

/// Enqueues `kernel`; arguments convert to the kernel's parameter types. The error of this launch
/// is returned and cleared from the runtime's state, so that it does not surface in a later,
/// innocent call.
template <class... Parameters, class... Arguments>
Status launch(const char* operation, const char* action, void (*kernel)(Parameters...),
              const LaunchConfig& config, cudaStream_t stream, Arguments&&... arguments) {
  cudaLaunchConfig_t launch_config = {};
  launch_config.gridDim = config.grid;
  launch_config.blockDim = config.block;
  launch_config.dynamicSmemBytes = config.shared_bytes;
  launch_config.stream = stream;
  cudaLaunchAttribute attribute = {};
#if CUDART_VERSION >= 12030  // since when it can be captured in a graph
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  launch_config.attrs = &attribute;
  launch_config.numAttrs = config.overlaps_previous ? 1 : 0;
#endif
  const cudaError_t error =
      cudaLaunchKernelEx(&launch_config, kernel, std::forward<Arguments>(arguments)...);
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();
  return cuda_failure(operation, action, error);
}

}  // namespace cudet::device
