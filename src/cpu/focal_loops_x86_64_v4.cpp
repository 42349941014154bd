#include "focal_loops.h"

#include <cmath>

#if defined(__x86_64__)

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq")
#endif

namespace cudet::cpu {
namespace {

constexpr int kWidth = 16;
#include "floats.inc"

Floats multiply_add(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}

#include "focal_loops.inc"

}  // namespace
}  // namespace cudet::cpu

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

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
