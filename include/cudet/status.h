// The result of every cudet call: a code and, where something is wrong, a sentence that says what.
#pragma once

#include <cudet/export.h>

#include <type_traits>

namespace cudet {

enum class StatusCode {
  ok = 0,
  invalid_argument,  ///< An argument breaks the function's contract; no output was written.
  unsupported,   ///< Legal, but this build, device or release cannot do it; no output was written.
  cuda_error,    ///< The CUDA runtime refused a launch or an asynchronous operation.
  out_of_memory  ///< The host's memory did not suffice, on the CPU or in a reference; outputs may
                 ///< have been written in part.
};

/// Name of the code as it is spelled in the enumeration, for example "invalid_argument".
CUDET_API const char* to_string(StatusCode code) noexcept;

/// Value type; copying it allocates nothing and cannot fail.
class [[nodiscard]] Status {
 public:
  /// Success, with an empty message.
  Status() noexcept = default;

  /// A failure whose message is formatted as by std::printf and cut at the capacity of message().
#if defined(__GNUC__)
  __attribute__((format(printf, 2, 3)))
#endif
  CUDET_API static Status
  error(StatusCode code, const char* format, ...) noexcept;

  bool ok() const noexcept {
    return code_ == StatusCode::ok;
  }
  StatusCode code() const noexcept {
    return code_;
  }

  /// One line, NUL-terminated, for example
  /// "nms: boxes must be [batch, n, 4], got [8, 100, 5]". Empty on success.
  const char* message() const noexcept {
    return message_;
  }

 private:
  StatusCode code_ = StatusCode::ok;
  char message_[236] = {};
};

static_assert(std::is_trivially_copyable_v<Status>, "Status is passed through C interfaces");

}  // namespace cudet
