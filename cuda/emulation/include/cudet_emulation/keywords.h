// CUDA's keywords as the host compiler reads them.
//
// `__shared__` is left out on purpose: shared memory is declared through CUDET_SHARED_ARRAY and its
// companions (shared_memory.h), so that a kernel that forgets them does not compile here instead of
// sharing one variable among all blocks.
#pragma once

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) __attribute__((aligned(bytes)))

// The register budget that this promises to the compiler has no counterpart on a CPU.
#define __launch_bounds__(...)
