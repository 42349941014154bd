#include "focal_loops.h"

#include <cmath>

#if defined(__x86_64__)

#include <immintrin.h>

#include "x86_64_v4_begin.inc"

#include "focal_loops.inc"

#include "x86_64_end.inc"

namespace cudet::cpu {

const FocalLoops* x86_64_v4_focal_loops() noexcept {
  static constexpr FocalLoops kLoops = make_focal_loops("x86-64-v4");
  const bool supported = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  return supported ? &kLoops : nullptr;
}

}  // namespace cudet::cpu

#else

namespace cudet::cpu {

const FocalLoops* x86_64_v4_focal_loops() noexcept {
  return nullptr;
}

}  // namespace cudet::cpu

#endif
