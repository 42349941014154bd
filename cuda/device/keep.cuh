// Values that a loop is to find in registers.
#pragma once

#include <cuda_runtime.h>

namespace cudet::device {

/// Hides where a value comes from, so that the compiler keeps it instead of computing it again in
/// every turn of a loop, which it does where it deems that cheap.
__device__ __forceinline__ int keep(int value) {
#if defined(__CUDACC__)
  asm("" : "+r"(value));
#endif
  return value;
}
__device__ __forceinline__ unsigned keep(unsigned value) {
  return static_cast<unsigned>(keep(static_cast<int>(value)));
}
__device__ __forceinline__ bool keep(bool value) {
  return keep(static_cast<int>(value)) != 0;
}
__device__ __forceinline__ long long keep(long long value) {
#if defined(__CUDACC__)
  asm("" : "+l"(value));
#endif
  return value;
}
template <class T>
__device__ __forceinline__ T* keep(T* pointer) {
#if defined(__CUDACC__)
  asm("" : "+l"(pointer));
#endif
  return pointer;
}

}  // namespace cudet::device
