#include "depthwise_loops.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "x86_64_v3_begin.inc"

#include "depthwise_loops.inc"

#include "x86_64_end.inc"

namespace cudet::cpu {

const DepthwiseLoops* x86_64_v3_depthwise_loops() noexcept {
  static constexpr DepthwiseLoops kLoops = make_depthwise_loops("x86-64-v3");
  const bool supported = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return supported ? &kLoops : nullptr;
}

}  // namespace cudet::cpu

#else

namespace cudet::cpu {

const DepthwiseLoops* x86_64_v3_depthwise_loops() noexcept {
  return nullptr;
}

}  // namespace cudet::cpu

#endif
