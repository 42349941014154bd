#include "real_block.h"

#include "../float16.h"

#include <algorithm>

namespace cudet::cpu {

void load_reals(const Tensor& tensor, std::int64_t first, std::int64_t count, float* values) {
  if (tensor.type() == DataType::float32) {
    std::copy_n(tensor.data_as<const float>() + first, count, values);
    return;
  }
  const auto* const bits = tensor.data_as<const std::uint16_t>() + first;
  std::transform(bits, bits + count, values,
                 tensor.type() == DataType::float16 ? float16_to_float : bfloat16_to_float);
}

void store_reals(const Tensor& tensor, std::int64_t first, std::int64_t count,
                 const float* values) {
  if (tensor.type() == DataType::float32) {
    std::copy_n(values, count, tensor.data_as<float>() + first);
    return;
  }
  auto* const bits = tensor.data_as<std::uint16_t>() + first;
  std::transform(values, values + count, bits,
                 tensor.type() == DataType::float16 ? float16_bits : bfloat16_bits);
}

}  // namespace cudet::cpu
