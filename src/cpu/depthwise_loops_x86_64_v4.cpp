#include "depthwise_loops.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "x86_64_v4_begin.inc"

__mmask16 mask_of(int lanes) {
  return static_cast<__mmask16>((1u << lanes) - 1u);
}

Floats load_first(const float* from, int lanes) {
  return _mm512_maskz_loadu_ps(mask_of(lanes), from);
}

void store_first(float* to, Floats values, int lanes) {
  _mm512_mask_storeu_ps(to, mask_of(lanes), values);
}

Floats even_lanes(Floats a, Floats b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_ps(a, even, b);
}

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
