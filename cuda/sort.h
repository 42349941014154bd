// Stable device-wide sort of 64-bit keys with 32-bit values: CUB on a device, the standard library
// on the emulated one.
#pragma once

#include <cudet/execution.h>
#include <cudet/status.h>

#include <cstddef>
#include <cstdint>

namespace cudet::device {

/// Temporary bytes that cover every architecture. CUB's own query needs a GPU, so this bounds its
/// one-sweep radix sort from above (CCCL 3.0, dispatch_radix_sort.cuh): per tile 256 look-back
/// words of 4 bytes, tiles being of 2048 items at least; per 2^27 items, histograms of 8 passes of
/// 256 digits of 8 bytes with counters; and the alignment of the pieces.
constexpr std::size_t sort_workspace_size(std::int64_t count) {
  constexpr std::int64_t kTileItems = 2048;
  constexpr std::int64_t kPortionItems = std::int64_t{1} << 27;
  constexpr std::size_t kPortionBytes = 8 * 256 * 8 + 8 * 8;
  constexpr std::size_t kAlignmentBytes = 8 * 256;
  return static_cast<std::size_t>(count / kTileItems + 1) * 256 * 4 +
         static_cast<std::size_t>(count / kPortionItems + 1) * kPortionBytes + kAlignmentBytes;
}

/// Two buffers of `count` elements each for keys and values; the input lies in the first ones.
struct SortBuffers {
  std::uint64_t* keys[2];
  std::uint32_t* values[2];
};

/// Sorts by the lowest `bits` of the keys, ascending, equal keys in their order. `*result`, 0 or 1,
/// says at once, before the sort has run, which of the buffers will hold it; the other ones hold
/// garbage. `temporary` has sort_workspace_size(count) bytes.
Status sort_pairs(const char* operation, const SortBuffers& buffers, std::int64_t count, int bits,
                  void* temporary, std::size_t temporary_bytes, cudaStream_t stream,
                  int* result) noexcept;

}  // namespace cudet::device
