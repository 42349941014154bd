// Sixteen bytes of float32, float16 or bfloat16 at a time, as float32 in registers.
#pragma once

#include "real.cuh"

#include <cuda_runtime.h>

#include <cstring>

namespace cudet::device {

/// Elements of T in 16 bytes.
template <class T>
constexpr unsigned kVectorElements = 16 / sizeof(T);

template <class To, class From>
__device__ __forceinline__ To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

/// Two 16-bit numbers that lie in one word, the first in its lower half.
__device__ __forceinline__ void unpack(unsigned word, float& first, float& second, __half) {
  const ushort2 halves = bits_as<ushort2>(word);
  first = __half2float(__ushort_as_half(halves.x));
  second = __half2float(__ushort_as_half(halves.y));
}
__device__ __forceinline__ void unpack(unsigned word, float& first, float& second, __nv_bfloat16) {
#if defined(__CUDACC__)
  // Straight into registers of float: the intrinsic would copy.
  asm("shl.b32 %0, %1, 16;" : "=f"(first) : "r"(word));
  asm("and.b32 %0, %1, 0xffff0000;" : "=f"(second) : "r"(word));
#else
  first = __uint_as_float(word << 16);
  second = __uint_as_float(word & 0xffff0000u);
#endif
}
__device__ __forceinline__ unsigned pack(float first, float second, __half) {
  return bits_as<unsigned>(__floats2half2_rn(first, second));
}
__device__ __forceinline__ unsigned pack(float first, float second, __nv_bfloat16) {
  return bits_as<unsigned>(__floats2bfloat162_rn(first, second));
}

/// Minus infinity in every element of a word.
constexpr __device__ __forceinline__ unsigned minus_infinity_word(float) {
  return 0xff800000u;
}
constexpr __device__ __forceinline__ unsigned minus_infinity_word(__half) {
  return 0xfc00fc00u;
}
constexpr __device__ __forceinline__ unsigned minus_infinity_word(__nv_bfloat16) {
  return 0xff80ff80u;
}

/// The elements that lie in 16 bytes.
template <class T>
__device__ __forceinline__ void unpack_vector(const uint4& words, float (&x)[8]) {
  unpack(words.x, x[0], x[1], T());
  unpack(words.y, x[2], x[3], T());
  unpack(words.z, x[4], x[5], T());
  unpack(words.w, x[6], x[7], T());
}
template <class T>
__device__ __forceinline__ void unpack_vector(const uint4& words, float (&x)[4]) {
  x[0] = __uint_as_float(words.x);
  x[1] = __uint_as_float(words.y);
  x[2] = __uint_as_float(words.z);
  x[3] = __uint_as_float(words.w);
}

/// Reads elements that are read once: they need not stay in the caches. The address is a multiple
/// of the vector's size.
template <class T>
__device__ __forceinline__ void load_streaming_vector(const T* address, float (&x)[8]) {
  unpack_vector<T>(__ldcs(reinterpret_cast<const uint4*>(address)), x);
}
template <class T>
__device__ __forceinline__ void load_streaming_vector(const T* address, float (&x)[4]) {
  const uint2 words = __ldcs(reinterpret_cast<const uint2*>(address));
  unpack(words.x, x[0], x[1], T());
  unpack(words.y, x[2], x[3], T());
}
__device__ __forceinline__ void load_streaming_vector(const float* address, float (&x)[4]) {
  const float4 v = __ldcs(reinterpret_cast<const float4*>(address));
  x[0] = v.x;
  x[1] = v.y;
  x[2] = v.z;
  x[3] = v.w;
}
__device__ __forceinline__ void load_streaming_vector(const float* address, float (&x)[8]) {
  float half[4];
  for (int k = 0; k < 8; k += 4) {
    load_streaming_vector(address + k, half);
    for (int j = 0; j < 4; ++j)
      x[k + j] = half[j];
  }
}

/// Writes elements that nobody reads soon, each with one rounding.
template <class T>
__device__ __forceinline__ void store_streaming_vector(T* address, const float (&x)[8]) {
  const uint4 words = {pack(x[0], x[1], T()), pack(x[2], x[3], T()), pack(x[4], x[5], T()),
                       pack(x[6], x[7], T())};
  __stcs(reinterpret_cast<uint4*>(address), words);
}
template <class T>
__device__ __forceinline__ void store_streaming_vector(T* address, const float (&x)[4]) {
  const uint2 words = {pack(x[0], x[1], T()), pack(x[2], x[3], T())};
  __stcs(reinterpret_cast<uint2*>(address), words);
}
__device__ __forceinline__ void store_streaming_vector(float* address, const float (&x)[4]) {
  __stcs(reinterpret_cast<float4*>(address), make_float4(x[0], x[1], x[2], x[3]));
}
__device__ __forceinline__ void store_streaming_vector(float* address, const float (&x)[8]) {
  __stcs(reinterpret_cast<float4*>(address), make_float4(x[0], x[1], x[2], x[3]));
  __stcs(reinterpret_cast<float4*>(address) + 1, make_float4(x[4], x[5], x[6], x[7]));
}

}  // namespace cudet::device
