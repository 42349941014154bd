// Counting without a branch.
#pragma once

#include <cuda_runtime.h>

namespace cudet::device {

/// One more than `count` where value < limit. The compiler by itself selects the summand first.
__device__ __forceinline__ unsigned count_below(unsigned count, unsigned value, unsigned limit) {
#if defined(__CUDA_ARCH__)
  asm("{\n\t"
      ".reg .pred below;\n\t"
      "setp.lt.u32 below, %1, %2;\n\t"
      "@below add.u32 %0, %0, 1;\n\t"
      "}"
      : "+r"(count)
      : "r"(value), "r"(limit));
  return count;
#else
  return count + (value < limit ? 1u : 0u);
#endif
}

}  // namespace cudet::device
