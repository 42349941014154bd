#include <cudet/box.h>
#include <cudet/tensor.h>

#include "float16.h"

namespace cudet {

const char* to_string(DataType type) noexcept {
  switch (type) {
    case DataType::float32:
      return "float32";
    case DataType::float16:
      return "float16";
    case DataType::bfloat16:
      return "bfloat16";
    case DataType::int32:
      return "int32";
    case DataType::int64:
      return "int64";
    case DataType::uint8:
      return "uint8";
    case DataType::int8:
      return "int8";
  }
  return "unknown";
}

const char* to_string(BoxFormat format) noexcept {
  switch (format) {
    case BoxFormat::xyxy:
      return "xyxy";
    case BoxFormat::xywh:
      return "xywh";
    case BoxFormat::cxcywh:
      return "cxcywh";
    case BoxFormat::rotated:
      return "rotated";
  }
  return "unknown";
}

const char* to_string(AngleUnit unit) noexcept {
  switch (unit) {
    case AngleUnit::degrees:
      return "degrees";
    case AngleUnit::radians:
      return "radians";
  }
  return "unknown";
}

const char* to_string(AngleDirection direction) noexcept {
  switch (direction) {
    case AngleDirection::counter_clockwise:
      return "counter_clockwise";
    case AngleDirection::clockwise:
      return "clockwise";
  }
  return "unknown";
}

int size_of(DataType type) noexcept {
  switch (type) {
    case DataType::float32:
    case DataType::int32:
      return 4;
    case DataType::float16:
    case DataType::bfloat16:
      return 2;
    case DataType::int64:
      return 8;
    case DataType::uint8:
    case DataType::int8:
      return 1;
  }
  return 0;
}

float16::float16(float value) noexcept : bits(float16_bits(value)) {}
float16::operator float() const noexcept {
  return float16_to_float(bits);
}
bfloat16::bfloat16(float value) noexcept : bits(bfloat16_bits(value)) {}
bfloat16::operator float() const noexcept {
  return bfloat16_to_float(bits);
}

Tensor::Tensor(void* data, DataType type, int rank, const std::int64_t* shape,
               const std::int64_t* strides, bool read_only) noexcept
    : data_(data), type_(type), rank_(rank), present_(true), read_only_(read_only) {
  if (rank < 0 || rank > kMaxRank) return;
  std::int64_t contiguous_stride = 1;
  for (int d = rank - 1; d >= 0; --d) {
    shape_[d] = shape[d];
    strides_[d] = strides != nullptr ? strides[d] : contiguous_stride;
    // A product that does not fit is refused through element_count(); the stride is then never
    // used.
    if (__builtin_mul_overflow(contiguous_stride, shape[d], &contiguous_stride)) {
      contiguous_stride = 0;
    }
  }
}

std::int64_t Tensor::element_count() const noexcept {
  if (rank_ < 0 || rank_ > kMaxRank) return -1;
  std::int64_t count = 1;
  bool overflow = false;
  bool empty = false;
  for (int d = 0; d < rank_; ++d) {
    if (shape_[d] < 0) return -1;
    empty = empty || shape_[d] == 0;
    overflow = __builtin_mul_overflow(count, shape_[d], &count) || overflow;
  }
  if (empty) return 0;
  return overflow ? -1 : count;
}

bool Tensor::is_contiguous() const noexcept {
  const std::int64_t count = element_count();
  if (count <= 0) return count == 0;
  std::int64_t expected = 1;
  for (int d = rank_ - 1; d >= 0; --d) {
    if (shape_[d] != 1 && strides_[d] != expected) return false;
    expected *= shape_[d];
  }
  return true;
}

}  // namespace cudet
