// Stretches of float32, float16 and bfloat16 tensors, as float32.
#pragma once

#include <cudet/tensor.h>

#include <cstdint>

namespace cudet::cpu {

/// values[k] = element `first` + k, k < count, of a tensor of real numbers.
void load_reals(const Tensor& tensor, std::int64_t first, std::int64_t count, float* values);

/// The way back, with one rounding.
void store_reals(const Tensor& tensor, std::int64_t first, std::int64_t count, const float* values);

}  // namespace cudet::cpu
