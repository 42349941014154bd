// Reading and writing float32, float16 and bfloat16 arrays; arithmetic is in float32 always.
#pragma once

#include <cudet/tensor.h>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

__device__ __forceinline__ float to_float(float value) {
  return value;
}
__device__ __forceinline__ float to_float(__half value) {
  return __half2float(value);
}
__device__ __forceinline__ float to_float(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

/// float32 to T with one rounding to nearest even.
template <class T>
__device__ __forceinline__ T from_float(float value);
template <>
__device__ __forceinline__ float from_float<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ __half from_float<__half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

/// Element `index` of an array whose type is known at run time only. The branch is uniform.
__device__ __forceinline__ float load_real(const void* data, DataType type, std::int64_t index) {
  switch (type) {
    case DataType::float16:
      return to_float(static_cast<const __half*>(data)[index]);
    case DataType::bfloat16:
      return to_float(static_cast<const __nv_bfloat16*>(data)[index]);
    default:
      return static_cast<const float*>(data)[index];
  }
}

/// Stores `value`, rounded once, as such an element.
__device__ __forceinline__ void store_real(void* data, DataType type, std::int64_t index,
                                           float value) {
  switch (type) {
    case DataType::float16:
      static_cast<__half*>(data)[index] = from_float<__half>(value);
      break;
    case DataType::bfloat16:
      static_cast<__nv_bfloat16*>(data)[index] = from_float<__nv_bfloat16>(value);
      break;
    default:
      static_cast<float*>(data)[index] = value;
      break;
  }
}

}  // namespace cudet::device
