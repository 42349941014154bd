// Words by which running blocks of a kernel tell each other results: whoever has one hands it on
// with a store, and others read until it is there.
//
// A block may wait for such a word only if the block that publishes it runs already, whatever the
// order in which a device starts blocks. Blocks that take their work by ticket, from a counter, see
// to that: whoever holds a lower ticket has been started.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

/// Publishes a word. It orders no other memory: all that a reader needs has to be in the word, or
/// was written by an earlier kernel.
__device__ __forceinline__ void publish(std::uint64_t* word, std::uint64_t value) {
#if defined(__CUDACC__)
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(word), "l"(value));
#else
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
#endif
}

/// The word as it is by now.
__device__ __forceinline__ std::uint64_t load_published(const std::uint64_t* word) {
#if defined(__CUDACC__)
  std::uint64_t value;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(word));
  return value;
#else
  return __atomic_load_n(word, __ATOMIC_RELAXED);
#endif
}

}  // namespace cudet::device
