// Sizes and offsets of the pieces that share one workspace buffer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Hands out offsets one after the other, each on a boundary that suits every type and a whole
/// memory transaction. Pure arithmetic; an overflow sticks and shows in ok().
class WorkspaceLayout {
 public:
  static constexpr std::size_t kAlignment = 256;

  /// Reserves count elements and returns their offset from the aligned start of the buffer.
  std::size_t add(std::int64_t count, std::size_t element_size) noexcept {
    const std::size_t offset = bytes_;
    std::size_t piece = 0;
    ok_ = ok_ && count >= 0 &&
          !__builtin_mul_overflow(static_cast<std::size_t>(count), element_size, &piece) &&
          !__builtin_add_overflow(piece, kAlignment - 1, &piece) &&
          !__builtin_add_overflow(bytes_, piece / kAlignment * kAlignment, &bytes_);
    return offset;
  }

  bool ok() const noexcept { return ok_; }

  /// Bytes that a buffer of any alignment must have; 0 where nothing was reserved.
  std::size_t total() const noexcept { return bytes_ == 0 ? 0 : bytes_ + kAlignment - 1; }

  /// First address at or after `buffer` from which the offsets count.
  static char* align(void* buffer) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(buffer);
    return reinterpret_cast<char*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }

 private:
  std::size_t bytes_ = 0;
  bool ok_ = true;
};

}  // namespace cudet
