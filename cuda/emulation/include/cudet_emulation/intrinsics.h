// Arithmetic intrinsics with the results of the CUDA Math API.
//
// The _rn forms are single correctly rounded operations; that holds only while the compiler does
// not fuse them, hence -ffp-contract=off, which the CMake target passes on. __expf, __logf and
// __fdividef are approximations on a GPU and correctly computed here: their bits differ.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace cudet::emulation {

template <typename To, typename From>
To bit_cast(From value) {
  static_assert(sizeof(To) == sizeof(From) && std::is_trivially_copyable_v<From>);
  To result;
  std::memcpy(&result, &value, sizeof(To));
  return result;
}

}  // namespace cudet::emulation

inline int __popc(unsigned int value) {
  return __builtin_popcount(value);
}
inline int __popcll(unsigned long long value) {
  return __builtin_popcountll(value);
}
inline int __ffs(int value) {
  return __builtin_ffs(value);
}
inline int __ffsll(long long value) {
  return __builtin_ffsll(value);
}
inline int __clz(int value) {
  return value == 0 ? 32 : __builtin_clz(static_cast<unsigned int>(value));
}
inline int __clzll(long long value) {
  return value == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(value));
}

inline unsigned int __brev(unsigned int value) {
  unsigned int reversed = 0;
  for (int bit = 0; bit < 32; ++bit)
    reversed |= (value >> bit & 1u) << (31 - bit);
  return reversed;
}

inline unsigned long long __brevll(unsigned long long value) {
  const auto low = static_cast<unsigned int>(value);
  const auto high = static_cast<unsigned int>(value >> 32);
  return static_cast<unsigned long long>(__brev(low)) << 32 | __brev(high);
}

// The upper word of high:low shifted left by shift modulo 32.
inline unsigned int __funnelshift_l(unsigned int low, unsigned int high, unsigned int shift) {
  const std::uint64_t both = std::uint64_t{high} << 32 | low;
  return static_cast<unsigned int>(both << (shift & 31u) >> 32);
}

// The lower word of high:low shifted right by shift modulo 32.
inline unsigned int __funnelshift_r(unsigned int low, unsigned int high, unsigned int shift) {
  const std::uint64_t both = std::uint64_t{high} << 32 | low;
  return static_cast<unsigned int>(both >> (shift & 31u));
}

// Byte i of the result is that byte of high:low which the low three bits of nibble i of the
// selector name; bit 3 of the nibble asks for the named byte's sign in all eight bits instead.
inline unsigned int __byte_perm(unsigned int low, unsigned int high, unsigned int selector) {
  const std::uint64_t both = std::uint64_t{high} << 32 | low;
  unsigned int result = 0;
  for (unsigned int i = 0; i < 4; ++i) {
    const unsigned int nibble = selector >> (4 * i) & 0xFu;
    unsigned int byte = static_cast<unsigned int>(both >> (8 * (nibble & 7u))) & 0xFFu;
    if ((nibble & 8u) != 0) byte = (byte & 0x80u) != 0 ? 0xFFu : 0u;
    result |= byte << (8 * i);
  }
  return result;
}

inline unsigned int __umulhi(unsigned int a, unsigned int b) {
  return static_cast<unsigned int>(std::uint64_t{a} * b >> 32);
}

inline int __mulhi(int a, int b) {
  return static_cast<int>(std::int64_t{a} * b >> 32);
}

inline unsigned int __float_as_uint(float value) {
  return cudet::emulation::bit_cast<unsigned int>(value);
}
inline float __uint_as_float(unsigned int bits) {
  return cudet::emulation::bit_cast<float>(bits);
}
inline int __float_as_int(float value) {
  return cudet::emulation::bit_cast<int>(value);
}
inline float __int_as_float(int bits) {
  return cudet::emulation::bit_cast<float>(bits);
}
inline long long __double_as_longlong(double value) {
  return cudet::emulation::bit_cast<long long>(value);
}
inline double __longlong_as_double(long long bits) {
  return cudet::emulation::bit_cast<double>(bits);
}

inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline float __frcp_rn(float a) {
  return 1.0f / a;
}
inline float __fsqrt_rn(float a) {
  return std::sqrt(a);
}
inline double __dadd_rn(double a, double b) {
  return a + b;
}
inline double __dmul_rn(double a, double b) {
  return a * b;
}

inline float __expf(float a) {
  return std::exp(a);
}
inline float __logf(float a) {
  return std::log(a);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float rsqrtf(float a) {
  return static_cast<float>(1.0 / std::sqrt(double{a}));
}

// NaN and -0 become 0, as CUDA has it.
inline float __saturatef(float a) {
  return a > 0.0f ? std::fmin(a, 1.0f) : 0.0f;
}

// CUDA's global min and max. Integers of mixed sign compare as unsigned ones; the floating forms
// return the other operand when one is NaN.
#define CUDET_EMULATION_MIN_MAX(first, second, result)                               \
  constexpr result min(first a, second b) {                                          \
    return static_cast<result>(a) < static_cast<result>(b) ? static_cast<result>(a)  \
                                                           : static_cast<result>(b); \
  }                                                                                  \
  constexpr result max(first a, second b) {                                          \
    return static_cast<result>(a) > static_cast<result>(b) ? static_cast<result>(a)  \
                                                           : static_cast<result>(b); \
  }

CUDET_EMULATION_MIN_MAX(int, int, int)
CUDET_EMULATION_MIN_MAX(unsigned int, unsigned int, unsigned int)
CUDET_EMULATION_MIN_MAX(int, unsigned int, unsigned int)
CUDET_EMULATION_MIN_MAX(unsigned int, int, unsigned int)
CUDET_EMULATION_MIN_MAX(long, long, long)
CUDET_EMULATION_MIN_MAX(unsigned long, unsigned long, unsigned long)
CUDET_EMULATION_MIN_MAX(long, unsigned long, unsigned long)
CUDET_EMULATION_MIN_MAX(unsigned long, long, unsigned long)
CUDET_EMULATION_MIN_MAX(long long, long long, long long)
CUDET_EMULATION_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
CUDET_EMULATION_MIN_MAX(long long, unsigned long long, unsigned long long)
CUDET_EMULATION_MIN_MAX(unsigned long long, long long, unsigned long long)

#undef CUDET_EMULATION_MIN_MAX

inline float min(float a, float b) {
  return std::fmin(a, b);
}
inline float max(float a, float b) {
  return std::fmax(a, b);
}
inline double min(double a, double b) {
  return std::fmin(a, b);
}
inline double max(double a, double b) {
  return std::fmax(a, b);
}
