#include "depthwise_loops.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "x86_64_v4_begin.inc"

#include "depthwise_loops.inc"

#include "x86_64_end.inc"

namespace cudet::cpu {

const DepthwiseLoops* x86_64_v4_depthwise_loops() noexcept {
  static constexpr DepthwiseLoops kLoops = make_depthwise_loops("x86-64-v4");
  const bool supported = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  return supported ? &kLoops : nullptr;
}

}  // namespace cudet::cpu

#else

namespace cudet::cpu {

const DepthwiseLoops* x86_64_v4_depthwise_loops() noexcept {
  return nullptr;
}

}  // namespace cudet::cpu

#endif
