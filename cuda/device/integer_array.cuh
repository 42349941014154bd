// Arrays of int32 or int64 whose type is known at run time only.
#pragma once

#include <cudet/tensor.h>

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

struct IntegerArray {
  void* data;  ///< null: not given, not wanted
  bool is_64_bit;
};

inline IntegerArray make_integer_array(const Tensor& tensor) {
  return {tensor.data(), tensor.type() == DataType::int64};
}

__device__ __forceinline__ long long load_integer(const IntegerArray& array, std::int64_t index) {
  return array.is_64_bit ? __ldg(static_cast<const long long*>(array.data) + index)
                         : __ldg(static_cast<const int*>(array.data) + index);
}

__device__ __forceinline__ void store_integer(const IntegerArray& array, std::int64_t index,
                                              long long value) {
  if (array.data == nullptr) return;
  if (array.is_64_bit) {
    static_cast<long long*>(array.data)[index] = value;
  } else {
    static_cast<int*>(array.data)[index] = static_cast<int>(value);
  }
}

}  // namespace cudet::device
