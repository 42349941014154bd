// Numbers whose vectors do not straddle lines of the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cudet::cpu {

/// Zeros at first, and where the size has grown.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(std::size_t size) { resize(size); }
  AlignedFloats(const AlignedFloats&) = delete;
  AlignedFloats& operator=(const AlignedFloats&) = delete;

  /// What was there is lost where the size grows.
  void resize(std::size_t size) {
    if (size <= size_) return;
    numbers_.assign(size + kLine, 0.0f);
    const std::size_t past = reinterpret_cast<std::uintptr_t>(numbers_.data()) / sizeof(float);
    first_ = (kLine - past % kLine) % kLine;
    size_ = size;
  }
  float* data() { return numbers_.data() + first_; }
  const float* data() const { return numbers_.data() + first_; }

 private:
  static constexpr std::size_t kLine = 64 / sizeof(float);
  std::vector<float> numbers_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace cudet::cpu
