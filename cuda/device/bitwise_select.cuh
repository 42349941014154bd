// A choice bit by bit in one instruction, which the compiler does not find in all its parts.
#pragma once

#include <cuda_runtime.h>

namespace cudet::device {

/// The bits of `one` where `mask` has them, those of `other` elsewhere.
__device__ __forceinline__ unsigned bitwise_select(unsigned mask, unsigned one, unsigned other) {
#if defined(__CUDACC__)
  unsigned result;
  asm("lop3.b32 %0, %1, %2, %3, 0xCA;" : "=r"(result) : "r"(mask), "r"(one), "r"(other));
  return result;
#else
  return (mask & one) | (~mask & other);
#endif
}

}  // namespace cudet::device
