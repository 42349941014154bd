// Kernels of one stream that overlap: programmatic dependent launch, from sm_90 on.
#pragma once

#include <cuda_runtime.h>

namespace cudet::device {

/// The first statement of every kernel that is launched with LaunchConfig::overlaps_previous: lets
/// the next kernel's blocks be set up while this one runs, and waits until what the kernels before
/// it wrote can be read. No block may leave without it, for the end of this kernel stands for the
/// end of those before it.
__device__ __forceinline__ void begin_overlapped_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace cudet::device
