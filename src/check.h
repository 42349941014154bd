// Argument checks: the first bad argument decides, and its message names the argument, what was
// expected and what came.
#pragma once

#include <cudet/execution.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#define CUDET_RETURN_IF_ERROR(expression)              \
  do {                                                 \
    const ::cudet::Status cudet_status = (expression); \
    if (!cudet_status.ok()) return cudet_status;       \
  } while (false)

namespace cudet {

/// One dimension of an expected shape: its name in messages, and its size where an earlier argument
/// has already fixed it.
struct Dimension {
  static constexpr std::int64_t kAny = -1;
  const char* name;
  std::int64_t size = kAny;
};

/// What a tensor argument must be.
struct TensorContract {
  const char* operation;                   ///< for example "nms"
  const char* argument;                    ///< for example "boxes"
  std::initializer_list<Dimension> shape;  ///< for example {{"batch"}, {"n"}, {"4", 4}}
  std::initializer_list<DataType> types;   ///< the accepted ones
};

/// Types of all inputs and outputs that hold real numbers.
inline constexpr std::initializer_list<DataType> kRealTypes = {DataType::float32, DataType::float16,
                                                               DataType::bfloat16};

/// Checks presence, shape, type, data pointer, alignment to the element size and contiguity.
/// check_shape_and_type() leaves the data pointer out, for workspace queries.
Status check_shape_and_type(const TensorContract& contract, const Tensor& tensor) noexcept;
Status check_input(const TensorContract& contract, const Tensor& tensor) noexcept;

/// As check_input(), and the tensor must be writable.
Status check_output(const TensorContract& contract, const Tensor& tensor) noexcept;

/// A tensor and its name, for check_no_overlap().
struct NamedTensor {
  const char* name;
  const Tensor* tensor;
};

/// No byte of an output may belong to an input or to another output; absent tensors do not count.
Status check_no_overlap(const char* operation, std::initializer_list<NamedTensor> inputs,
                        std::initializer_list<NamedTensor> outputs) noexcept;

/// Checks the workspace of a device call against `required` bytes, and the thread count of a CPU
/// call.
Status check_execution(const char* operation, const Execution& execution,
                       std::size_t required) noexcept;

/// True for one of the first `count` enumerators of an enumeration that starts at 0.
template <class Enum>
bool is_enumerator(Enum value, int count) noexcept {
  return static_cast<int>(value) >= 0 && static_cast<int>(value) < count;
}

}  // namespace cudet
