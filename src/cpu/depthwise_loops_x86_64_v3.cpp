#include "depthwise_loops.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "x86_64_v3_begin.inc"

using Mask = Ints;
Mask mask_of(int lanes) {
  return lanes > Ints{0, 1, 2, 3, 4, 5, 6, 7};
}

Floats load_masked(const float* from, const Mask& mask) {
  return _mm256_maskload_ps(from, reinterpret_cast<__m256i>(mask));
}

void store_first(float* to, Floats values, int lanes) {
  if (lanes == kWidth) return store(to, values);
  _mm256_maskstore_ps(to, reinterpret_cast<__m256i>(mask_of(lanes)), values);
}

Floats even_lanes(Floats a, Floats b) {
  // Of each half of a and b two; then the halves are put in order.
  const __m256d pairs = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
  return _mm256_castpd_ps(_mm256_permute4x64_pd(pairs, 0xd8));
}

Floats load_fours(const float* from, std::int64_t step) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), _mm_loadu_ps(from + step),
                              1);
}

void store_fours(float* to, std::int64_t step, Floats values) {
  _mm_storeu_ps(to, _mm256_castps256_ps128(values));
  _mm_storeu_ps(to + step, _mm256_extractf128_ps(values, 1));
}

void transpose_fours(Floats& a, Floats& b, Floats& c, Floats& d) {
  const Floats ab_low = _mm256_unpacklo_ps(a, b);
  const Floats ab_high = _mm256_unpackhi_ps(a, b);
  const Floats cd_low = _mm256_unpacklo_ps(c, d);
  const Floats cd_high = _mm256_unpackhi_ps(c, d);
  a = _mm256_shuffle_ps(ab_low, cd_low, 0x44);
  b = _mm256_shuffle_ps(ab_low, cd_low, 0xee);
  c = _mm256_shuffle_ps(ab_high, cd_high, 0x44);
  d = _mm256_shuffle_ps(ab_high, cd_high, 0xee);
}

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
