#include "check.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace cudet {
namespace {

/// A bounded line of text that messages are put together from; what does not fit is cut.
class Text {
 public:
  template <class... Arguments>
  void append(const char* format, Arguments... arguments) {
    if (length_ + 1 >= static_cast<int>(sizeof(text_))) return;
    const int written = std::snprintf(
        text_ + length_, sizeof(text_) - static_cast<std::size_t>(length_), format, arguments...);
    if (written > 0) length_ += written;
  }
  const char* c_str() const { return text_; }

 private:
  char text_[160] = {};
  int length_ = 0;
};

Text expected_shape(std::initializer_list<Dimension> shape) {
  Text text;
  bool fixed = false;
  const char* separator = "[";
  for (const Dimension& dimension : shape) {
    text.append("%s%s", separator, dimension.name);
    separator = ", ";
    // A literal extent such as "4" says its size by its name.
    const bool literal = dimension.name[0] >= '0' && dimension.name[0] <= '9';
    fixed = fixed || (dimension.size != Dimension::kAny && !literal);
  }
  text.append("]");
  if (!fixed) return text;
  separator = " = [";
  for (const Dimension& dimension : shape) {
    if (dimension.size == Dimension::kAny) {
      text.append("%s%s", separator, dimension.name);
    } else {
      text.append("%s%" PRId64, separator, dimension.size);
    }
    separator = ", ";
  }
  text.append("]");
  return text;
}

Text list_of(const std::int64_t* values, int count) {
  Text text;
  text.append("[");
  for (int i = 0; i < count; ++i)
    text.append("%s%" PRId64, i == 0 ? "" : ", ", values[i]);
  text.append("]");
  return text;
}

Text actual_shape(const Tensor& tensor) {
  if (tensor.rank() >= 0 && tensor.rank() <= Tensor::kMaxRank) {
    return list_of(tensor.shape(), tensor.rank());
  }
  Text text;
  text.append("rank %d", tensor.rank());
  return text;
}

bool shape_matches(std::initializer_list<Dimension> shape, const Tensor& tensor) {
  if (tensor.rank() != static_cast<int>(shape.size())) return false;
  int d = 0;
  for (const Dimension& dimension : shape) {
    const std::int64_t size = tensor.size(d++);
    if (size < 0 || (dimension.size != Dimension::kAny && size != dimension.size)) return false;
  }
  return true;
}

struct ByteRange {
  std::uintptr_t begin;
  std::uintptr_t end;
};

ByteRange byte_range(const Tensor& tensor) {
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data());
  const auto bytes = static_cast<std::uintptr_t>(tensor.element_count()) *
                     static_cast<std::uintptr_t>(size_of(tensor.type()));
  return {begin, begin + bytes};
}

bool overlap(const Tensor& a, const Tensor& b) {
  if (!a.present() || !b.present()) return false;
  const ByteRange first = byte_range(a);
  const ByteRange second = byte_range(b);
  // The later start lies before the earlier end; an empty range has no such place.
  return std::max(first.begin, second.begin) < std::min(first.end, second.end);
}

}  // namespace

Status check_shape_and_type(const TensorContract& contract, const Tensor& tensor) noexcept {
  if (!tensor.present()) {
    return Status::error(StatusCode::invalid_argument, "%s: %s must be given as %s, got none",
                         contract.operation, contract.argument,
                         expected_shape(contract.shape).c_str());
  }
  if (!shape_matches(contract.shape, tensor)) {
    return Status::error(StatusCode::invalid_argument, "%s: %s must be %s, got %s",
                         contract.operation, contract.argument,
                         expected_shape(contract.shape).c_str(), actual_shape(tensor).c_str());
  }
  bool type_accepted = false;
  for (const DataType type : contract.types)
    type_accepted = type_accepted || type == tensor.type();
  if (!type_accepted) {
    Text types;
    const char* separator = "";
    for (const DataType type : contract.types) {
      types.append("%s%s", separator, to_string(type));
      separator = " or ";
    }
    return Status::error(StatusCode::invalid_argument, "%s: %s must be of type %s, got %s",
                         contract.operation, contract.argument, types.c_str(),
                         to_string(tensor.type()));
  }
  const std::int64_t count = tensor.element_count();
  if (count < 0 || count > INT64_MAX / size_of(tensor.type())) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: %s must have a size in bytes below 2^63, got %s", contract.operation,
                         contract.argument, actual_shape(tensor).c_str());
  }
  return Status();
}

Status check_input(const TensorContract& contract, const Tensor& tensor) noexcept {
  CUDET_RETURN_IF_ERROR(check_shape_and_type(contract, tensor));
  if (tensor.element_count() > 0 && tensor.data() == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: %s must have data for its shape %s, got a null pointer",
                         contract.operation, contract.argument, actual_shape(tensor).c_str());
  }
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.data());
  const auto element_size = static_cast<std::uintptr_t>(size_of(tensor.type()));
  if (address % element_size != 0) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: %s must be aligned to %d bytes, got address 0x%" PRIxPTR,
                         contract.operation, contract.argument, size_of(tensor.type()), address);
  }
  if (!tensor.is_contiguous()) {
    return Status::error(StatusCode::unsupported, "%s: %s must be contiguous, got strides %s",
                         contract.operation, contract.argument,
                         list_of(tensor.strides(), tensor.rank()).c_str());
  }
  return Status();
}

Status check_output(const TensorContract& contract, const Tensor& tensor) noexcept {
  CUDET_RETURN_IF_ERROR(check_input(contract, tensor));
  if (tensor.read_only()) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: %s must be writable, got a view of const data", contract.operation,
                         contract.argument);
  }
  return Status();
}

Status check_no_overlap(const char* operation, std::initializer_list<NamedTensor> inputs,
                        std::initializer_list<NamedTensor> outputs) noexcept {
  for (const NamedTensor* output = outputs.begin(); output != outputs.end(); ++output) {
    for (const NamedTensor& input : inputs) {
      if (overlap(*output->tensor, *input.tensor)) {
        return Status::error(StatusCode::invalid_argument,
                             "%s: %s must not overlap %s, got memory shared by both", operation,
                             output->name, input.name);
      }
    }
    for (const NamedTensor* earlier = outputs.begin(); earlier != output; ++earlier) {
      if (overlap(*output->tensor, *earlier->tensor)) {
        return Status::error(StatusCode::invalid_argument,
                             "%s: %s must not overlap %s, got memory shared by both", operation,
                             output->name, earlier->name);
      }
    }
  }
  return Status();
}

Status check_execution(const char* operation, const Execution& execution,
                       std::size_t required) noexcept {
  if (!execution.is_cuda()) {
    if (execution.threads() >= 0) return Status();
    return Status::error(StatusCode::invalid_argument,
                         "%s: threads must be 0 (all) or more, got %d", operation,
                         execution.threads());
  }
  if (execution.workspace_bytes() < required) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: workspace must have %zu bytes or more, got %zu", operation, required,
                         execution.workspace_bytes());
  }
  if (required > 0 && execution.workspace() == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: workspace must have %zu bytes or more, got a null pointer", operation,
                         required);
  }
  return Status();
}

}  // namespace cudet
