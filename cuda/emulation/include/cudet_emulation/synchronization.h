// Block barriers, memory fences and the waiting part of programmatic dependent launch.
#pragma once

#include <cudet_emulation/site.h>

namespace cudet::emulation {

// Waits for all threads of the block; returns for how many of them `predicate` was true.
int block_barrier(bool predicate, Site site);
int block_size();
void device_fence();
void block_fence();

}  // namespace cudet::emulation

inline void __syncthreads(cudet::emulation::Site site = cudet::emulation::Site::here()) {
  cudet::emulation::block_barrier(false, site);
}

inline int __syncthreads_count(int predicate,
                               cudet::emulation::Site site = cudet::emulation::Site::here()) {
  return cudet::emulation::block_barrier(predicate != 0, site);
}

inline int __syncthreads_or(int predicate,
                            cudet::emulation::Site site = cudet::emulation::Site::here()) {
  return cudet::emulation::block_barrier(predicate != 0, site) != 0;
}

inline int __syncthreads_and(int predicate,
                             cudet::emulation::Site site = cudet::emulation::Site::here()) {
  return cudet::emulation::block_barrier(predicate != 0, site) == cudet::emulation::block_size();
}

inline void __threadfence() {
  cudet::emulation::device_fence();
}
inline void __threadfence_block() {
  cudet::emulation::block_fence();
}

// Kernels of one stream never overlap here, so there is nothing to wait for and nothing to trigger.
inline void cudaGridDependencySynchronize() {}
inline void cudaTriggerProgrammaticLaunchCompletion() {}
