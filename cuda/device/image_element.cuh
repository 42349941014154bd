// Elements of images and weights, one or four at a time, as float32 in registers: float32, float16,
// bfloat16 and int8.
#pragma once

#include "real_vector.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

__device__ __forceinline__ float to_float(std::int8_t value) {
  return static_cast<float>(value);
}

/// A vector at a multiple of its size.
template <class Vector, class T>
__device__ __forceinline__ Vector load_as(const T* address) {
#if defined(__CUDACC__)
  return *reinterpret_cast<const Vector*>(address);
#else
  return emulation::load_vector(reinterpret_cast<const Vector*>(address));
#endif
}

/// Four neighbours at a multiple of their size.
__device__ __forceinline__ void load_four(const float* address, float (&x)[4]) {
  const float4 v = load_as<float4>(address);
  x[0] = v.x;
  x[1] = v.y;
  x[2] = v.z;
  x[3] = v.w;
}
template <class T>
__device__ __forceinline__ void load_four(const T* address, float (&x)[4]) {
  const uint2 words = load_as<uint2>(address);
  unpack(words.x, x[0], x[1], T());
  unpack(words.y, x[2], x[3], T());
}
__device__ __forceinline__ void load_four(const std::int8_t* address, float (&x)[4]) {
  const char4 v = load_as<char4>(address);
  x[0] = to_float(static_cast<std::int8_t>(v.x));
  x[1] = to_float(static_cast<std::int8_t>(v.y));
  x[2] = to_float(static_cast<std::int8_t>(v.z));
  x[3] = to_float(static_cast<std::int8_t>(v.w));
}

/// Two neighbours at a multiple of their size.
__device__ __forceinline__ float2 load_two(const float* address) {
  return load_as<float2>(address);
}
__device__ __forceinline__ float2 load_two(const std::int8_t* address) {
  const char2 v = load_as<char2>(address);
  return make_float2(to_float(static_cast<std::int8_t>(v.x)),
                     to_float(static_cast<std::int8_t>(v.y)));
}
template <class T>
__device__ __forceinline__ float2 load_two(const T* address) {
  float2 x;
  unpack(load_as<unsigned>(address), x.x, x.y, T());
  return x;
}

/// Each with one rounding.
__device__ __forceinline__ void store_two(float* address, float2 x) {
  __stwb(reinterpret_cast<float2*>(address), x);
}
template <class T>
__device__ __forceinline__ void store_two(T* address, float2 x) {
  __stwb(reinterpret_cast<unsigned*>(address), pack(x.x, x.y, T()));
}
__device__ __forceinline__ void store_four(float* address, const float (&x)[4]) {
  __stwb(reinterpret_cast<float4*>(address), make_float4(x[0], x[1], x[2], x[3]));
}
template <class T>
__device__ __forceinline__ void store_four(T* address, const float (&x)[4]) {
  const uint2 words = {pack(x[0], x[1], T()), pack(x[2], x[3], T())};
  __stwb(reinterpret_cast<uint2*>(address), words);
}

/// The nearest integer, ties to even, within int8; 0 for NaN.
template <>
__device__ __forceinline__ std::int8_t from_float<std::int8_t>(float value) {
  const float clamped = fminf(fmaxf(value, -128.0f), 127.0f);
  return static_cast<std::int8_t>(value != value ? 0.0f : rintf(clamped));
}
__device__ __forceinline__ void store_two(std::int8_t* address, float2 x) {
  __stwb(reinterpret_cast<char2*>(address),
         make_char2(from_float<std::int8_t>(x.x), from_float<std::int8_t>(x.y)));
}
__device__ __forceinline__ void store_four(std::int8_t* address, const float (&x)[4]) {
  __stwb(reinterpret_cast<char4*>(address),
         make_char4(from_float<std::int8_t>(x[0]), from_float<std::int8_t>(x[1]),
                    from_float<std::int8_t>(x[2]), from_float<std::int8_t>(x[3])));
}

}  // namespace cudet::device
