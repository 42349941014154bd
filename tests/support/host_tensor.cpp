#include "host_tensor.h"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <utility>

namespace cudet::test {
namespace {

std::size_t product(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t size : shape)
    count *= static_cast<std::size_t>(size);
  return count;
}

template <class T>
T load(const std::uint8_t* data, std::size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(std::uint8_t* data, std::size_t index, T value) {
  std::memcpy(data + index * sizeof(T), &value, sizeof(T));
}

bool is_real(DataType type) {
  return type == DataType::float32 || type == DataType::float16 || type == DataType::bfloat16;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t d = 0; d < shape.size(); ++d)
    text += (d == 0 ? "" : ", ") + std::to_string(shape[d]);
  return text + "]";
}

/// Value and bits of an element, for messages.
std::string element_text(const HostTensor& tensor, std::size_t index) {
  std::ostringstream text;
  text.precision(9);
  if (is_real(tensor.type())) {
    text << tensor.real(index);
  } else {
    text << tensor.integer(index);
  }
  const auto element_size = static_cast<std::size_t>(size_of(tensor.type()));
  std::uint64_t bits = 0;
  std::memcpy(&bits, tensor.data() + index * element_size, element_size);
  text << " (bits 0x" << std::hex << bits << ")";
  return text.str();
}

}  // namespace

HostTensor::HostTensor(DataType type, std::vector<std::int64_t> shape, std::size_t byte_offset)
    : present_(true), type_(type), shape_(std::move(shape)), byte_offset_(byte_offset) {
  count_ = product(shape_);
  const std::size_t bytes = 2 * kGuardBytes + byte_offset_ + byte_count();
  memory_.resize((bytes + kGuardBytes - 1) / kGuardBytes);
  std::memset(memory_.data(), kGuardByte, memory_.size() * kGuardBytes);
  poison();
}

HostTensor HostTensor::of_reals(DataType type, std::vector<std::int64_t> shape,
                                const std::vector<float>& values) {
  HostTensor tensor(type, std::move(shape));
  EXPECT_EQ(tensor.count(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    tensor.set_real(i, values[i]);
  return tensor;
}

HostTensor HostTensor::of_integers(DataType type, std::vector<std::int64_t> shape,
                                   const std::vector<std::int64_t>& values) {
  HostTensor tensor(type, std::move(shape));
  EXPECT_EQ(tensor.count(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    tensor.set_integer(i, values[i]);
  return tensor;
}

Tensor HostTensor::tensor() {
  if (!present_) return Tensor();
  return Tensor(data(), type_, static_cast<int>(shape_.size()), shape_.data());
}

Tensor HostTensor::const_tensor() const {
  if (!present_) return Tensor();
  void* elements = const_cast<std::uint8_t*>(data());
  return Tensor(elements, type_, static_cast<int>(shape_.size()), shape_.data(), nullptr, true);
}

std::uint8_t* HostTensor::data() {
  return memory_.empty() ? nullptr : memory_[1].bytes + byte_offset_;
}

const std::uint8_t* HostTensor::data() const {
  return memory_.empty() ? nullptr : memory_[1].bytes + byte_offset_;
}

float HostTensor::real(std::size_t index) const {
  switch (type_) {
    case DataType::float16:
      return static_cast<float>(load<float16>(data(), index));
    case DataType::bfloat16:
      return static_cast<float>(load<bfloat16>(data(), index));
    default:
      return load<float>(data(), index);
  }
}

std::int64_t HostTensor::integer(std::size_t index) const {
  switch (type_) {
    case DataType::int64:
      return load<std::int64_t>(data(), index);
    case DataType::uint8:
      return load<std::uint8_t>(data(), index);
    case DataType::int8:
      return load<std::int8_t>(data(), index);
    default:
      return load<std::int32_t>(data(), index);
  }
}

void HostTensor::set_real(std::size_t index, float value) {
  switch (type_) {
    case DataType::float16:
      store(data(), index, float16(value));
      break;
    case DataType::bfloat16:
      store(data(), index, bfloat16(value));
      break;
    default:
      store(data(), index, value);
      break;
  }
}

void HostTensor::set_integer(std::size_t index, std::int64_t value) {
  switch (type_) {
    case DataType::int64:
      store(data(), index, value);
      break;
    case DataType::uint8:
      store(data(), index, static_cast<std::uint8_t>(value));
      break;
    case DataType::int8:
      store(data(), index, static_cast<std::int8_t>(value));
      break;
    default:
      store(data(), index, static_cast<std::int32_t>(value));
      break;
  }
}

std::vector<float> HostTensor::reals() const {
  std::vector<float> values(count_);
  for (std::size_t i = 0; i < count_; ++i)
    values[i] = real(i);
  return values;
}

std::vector<std::int64_t> HostTensor::integers() const {
  std::vector<std::int64_t> values(count_);
  for (std::size_t i = 0; i < count_; ++i)
    values[i] = integer(i);
  return values;
}

void HostTensor::poison() {
  if (!present_ || count_ == 0) return;
  const std::vector<std::uint8_t> bytes = poison_bytes(type_, count_);
  std::memcpy(data(), bytes.data(), bytes.size());
}

bool HostTensor::is_all_poison() const {
  if (!present_ || count_ == 0) return true;
  const std::vector<std::uint8_t> bytes = poison_bytes(type_, count_);
  return std::memcmp(data(), bytes.data(), bytes.size()) == 0;
}

void HostTensor::check_guards() const {
  if (memory_.empty()) return;
  const std::uint8_t* begin = memory_.front().bytes;
  const std::uint8_t* end = begin + memory_.size() * kGuardBytes;
  const std::size_t before = static_cast<std::size_t>(data() - begin);
  const std::uint8_t* behind = data() + byte_count();
  const std::size_t after = static_cast<std::size_t>(end - behind);
  if (first_broken_guard(begin, before) < before) {
    ADD_FAILURE() << "a byte before the array was written, at "
                  << static_cast<std::ptrdiff_t>(first_broken_guard(begin, before)) -
                         static_cast<std::ptrdiff_t>(before);
  }
  if (first_broken_guard(behind, after) < after) {
    ADD_FAILURE() << "a byte behind the array was written, " << first_broken_guard(behind, after)
                  << " after its end";
  }
}

testing::AssertionResult same_bits(const HostTensor& got, const HostTensor& expected) {
  if (!got.present() && !expected.present()) return testing::AssertionSuccess();
  if (got.present() != expected.present() || got.type() != expected.type() ||
      got.shape() != expected.shape()) {
    return testing::AssertionFailure()
           << "got " << to_string(got.type()) << shape_text(got.shape()) << ", expected "
           << to_string(expected.type()) << shape_text(expected.shape());
  }
  const auto element_size = static_cast<std::size_t>(size_of(got.type()));
  constexpr int kShown = 5;
  int differences = 0;
  std::string text;
  for (std::size_t i = 0; i < got.count(); ++i) {
    const std::size_t offset = i * element_size;
    if (std::memcmp(got.data() + offset, expected.data() + offset, element_size) == 0) continue;
    if (++differences <= kShown) {
      text += "\n  [" + std::to_string(i) + "] got " + element_text(got, i) + ", expected " +
              element_text(expected, i);
    }
  }
  if (differences == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << differences << " of " << got.count() << " elements of "
                                     << shape_text(got.shape()) << " differ" << text;
}

}  // namespace cudet::test
