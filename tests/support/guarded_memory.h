// Poison for outputs and guard bytes round buffers, for host and device buffers alike.
#pragma once

#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace cudet::test {

/// Bytes on each side of a buffer that nobody may write.
inline constexpr std::size_t kGuardBytes = 256;
inline constexpr std::uint8_t kGuardByte = 0xc7;

/// What an element holds before a test writes it: a signalling NaN that no computation produces, or
/// an unlikely integer.
inline std::uint64_t poison_bits(DataType type) {
  switch (type) {
    case DataType::float32:
      return 0x7fa5a5a5u;
    case DataType::float16:
      return 0x7da5u;
    case DataType::bfloat16:
      return 0x7fa5u;
    default:
      return 0xa5a5a5a5a5a5a5a5u;
  }
}

/// `count` elements of poison. Only the low bytes of the pattern are used (little-endian hosts).
inline std::vector<std::uint8_t> poison_bytes(DataType type, std::size_t count) {
  const auto element_size = static_cast<std::size_t>(size_of(type));
  const std::uint64_t pattern = poison_bits(type);
  std::vector<std::uint8_t> bytes(count * element_size);
  for (std::size_t i = 0; i < count; ++i)
    std::memcpy(bytes.data() + i * element_size, &pattern, element_size);
  return bytes;
}

/// Position of the first byte that is not kGuardByte, or `count`.
inline std::size_t first_broken_guard(const std::uint8_t* guard, std::size_t count) {
  std::size_t i = 0;
  while (i < count && guard[i] == kGuardByte)
    ++i;
  return i;
}

}  // namespace cudet::test
