#include "depthwise_loops.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "x86_64_v4_begin.inc"

using Mask = __mmask16;
Mask mask_between(int begin, int end) {
  return static_cast<Mask>((1u << end) - (1u << begin));
}
Mask mask_of(int lanes) {
  return mask_between(0, lanes);
}

Floats load_masked(const float* from, Mask mask) {
  return _mm512_maskz_loadu_ps(mask, from);
}

void store_first(float* to, Floats values, int lanes) {
  _mm512_mask_storeu_ps(to, mask_of(lanes), values);
}

/// Lanes kFirst, kFirst + kStep, ... of a and then of b; behind the last one any.
template <std::size_t kFirst, std::size_t kStep>
Floats lanes_from(Floats a, Floats b) {
  constexpr int kBegin = static_cast<int>(kFirst);
  constexpr int kDistance = static_cast<int>(kStep);
  const Ints numbers =
      kBegin + kDistance * Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return _mm512_permutex2var_ps(a, reinterpret_cast<__m512i>(numbers), b);
}

Floats even_lanes(Floats a, Floats b) {
  return lanes_from<0, 2>(a, b);
}

Floats load_fours(const float* from, std::int64_t step) {
  __m512 values = _mm512_castps128_ps512(_mm_loadu_ps(from));
  values = _mm512_mask_broadcast_f32x4(values, 0x00f0, _mm_loadu_ps(from + step));
  values = _mm512_mask_broadcast_f32x4(values, 0x0f00, _mm_loadu_ps(from + 2 * step));
  return _mm512_mask_broadcast_f32x4(values, 0xf000, _mm_loadu_ps(from + 3 * step));
}

void store_fours(float* to, std::int64_t step, Floats values) {
  _mm_storeu_ps(to, _mm512_maskz_extractf32x4_ps(0xf, values, 0));
  _mm_storeu_ps(to + step, _mm512_maskz_extractf32x4_ps(0xf, values, 1));
  _mm_storeu_ps(to + 2 * step, _mm512_maskz_extractf32x4_ps(0xf, values, 2));
  _mm_storeu_ps(to + 3 * step, _mm512_maskz_extractf32x4_ps(0xf, values, 3));
}

// With a mask, since GCC's headers give the forms without one a value that it warns of.
constexpr __mmask16 kAllLanes = 0xffff;

void transpose_fours(Floats& a, Floats& b, Floats& c, Floats& d) {
  const Floats ab_low = _mm512_maskz_unpacklo_ps(kAllLanes, a, b);
  const Floats ab_high = _mm512_maskz_unpackhi_ps(kAllLanes, a, b);
  const Floats cd_low = _mm512_maskz_unpacklo_ps(kAllLanes, c, d);
  const Floats cd_high = _mm512_maskz_unpackhi_ps(kAllLanes, c, d);
  a = _mm512_maskz_shuffle_ps(kAllLanes, ab_low, cd_low, 0x44);
  b = _mm512_maskz_shuffle_ps(kAllLanes, ab_low, cd_low, 0xee);
  c = _mm512_maskz_shuffle_ps(kAllLanes, ab_high, cd_high, 0x44);
  d = _mm512_maskz_shuffle_ps(kAllLanes, ab_high, cd_high, 0xee);
}

#include "depthwise_loops.inc"
#include "depthwise_planes.inc"

#include "x86_64_end.inc"

namespace cudet::cpu {

const DepthwiseLoops* x86_64_v4_depthwise_loops() noexcept {
  static constexpr DepthwiseLoops kLoops = [] {
    DepthwiseLoops loops = make_depthwise_loops("x86-64-v4");
    loops.convolve_even_plane = convolve_even_plane;
    return loops;
  }();
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
