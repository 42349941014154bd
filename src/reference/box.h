// Boxes as the references read them; include/cudet/box.h is the definition.
#pragma once

#include <cudet/box.h>
#include <cudet/tensor.h>

#include "../float16.h"

#include <cstdint>

namespace cudet::reference {

/// Element `index` of a float32, float16 or bfloat16 tensor.
inline float real_at(const Tensor& tensor, std::int64_t index) {
  switch (tensor.type()) {
    case DataType::float16:
      return float16_to_float(tensor.data_as<std::uint16_t>()[index]);
    case DataType::bfloat16:
      return bfloat16_to_float(tensor.data_as<std::uint16_t>()[index]);
    default:
      return tensor.data_as<float>()[index];
  }
}

/// Stores `value`, rounded once, as element `index` of such a tensor.
inline void store_real(const Tensor& tensor, std::int64_t index, float value) {
  switch (tensor.type()) {
    case DataType::float16:
      tensor.data_as<std::uint16_t>()[index] = float16_bits(value);
      break;
    case DataType::bfloat16:
      tensor.data_as<std::uint16_t>()[index] = bfloat16_bits(value);
      break;
    default:
      tensor.data_as<float>()[index] = value;
      break;
  }
}

/// Element `index` of an int32 or int64 tensor.
inline std::int64_t integer_at(const Tensor& tensor, std::int64_t index) {
  return tensor.type() == DataType::int64 ? tensor.data_as<std::int64_t>()[index]
                                          : tensor.data_as<std::int32_t>()[index];
}

/// Stores `value` as element `index` of such a tensor.
inline void store_integer(const Tensor& tensor, std::int64_t index, std::int64_t value) {
  if (tensor.type() == DataType::int64) {
    tensor.data_as<std::int64_t>()[index] = value;
  } else {
    tensor.data_as<std::int32_t>()[index] = static_cast<std::int32_t>(value);
  }
}

/// The corners of a box, and whether it is valid.
struct Box {
  float x1, y1, x2, y2;
  bool valid;
};

/// True where the corners are those of a valid box.
inline bool has_valid_corners(const Box& box) {
  const float limit = 0x1p62f;
  return -limit <= box.x1 && box.x1 <= box.x2 && box.x2 <= limit &&  //
         -limit <= box.y1 && box.y1 <= box.y2 && box.y2 <= limit;
}

/// Box `index` of a [..., 4] tensor, converted to corners in float32.
inline Box box_at(const Tensor& boxes, std::int64_t index, BoxFormat format, bool legacy_offset) {
  const float a = real_at(boxes, 4 * index);
  const float b = real_at(boxes, 4 * index + 1);
  const float c = real_at(boxes, 4 * index + 2);
  const float d = real_at(boxes, 4 * index + 3);
  Box box = {a, b, c, d, false};
  if (format == BoxFormat::xywh) box = {a, b, a + c, b + d, false};
  if (format == BoxFormat::cxcywh) {
    box = {a - c / 2.0f, b - d / 2.0f, a + c / 2.0f, b + d / 2.0f, false};
  }
  if (legacy_offset) {
    box.x2 += 1.0f;
    box.y2 += 1.0f;
  }
  box.valid = has_valid_corners(box);
  return box;
}

}  // namespace cudet::reference
