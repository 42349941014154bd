// Values that the compiler shall keep: left alone it computes cheap ones again in every branch that
// uses them.
#pragma once

#include <cuda_runtime.h>

namespace cudet::device {

__device__ __forceinline__ unsigned computed_once(unsigned value) {
#if defined(__CUDACC__)
  asm("" : "+r"(value));
#endif
  return value;
}

}  // namespace cudet::device
