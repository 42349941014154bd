#include "sort.h"

#include "launch.h"

#include <cub/device/device_radix_sort.cuh>

namespace cudet::device {

Status sort_pairs(const char* operation, const SortBuffers& buffers, std::int64_t count, int bits,
                  void* temporary, std::size_t temporary_bytes, cudaStream_t stream,
                  int* result) noexcept {
  cub::DoubleBuffer<std::uint64_t> keys(buffers.keys[0], buffers.keys[1]);
  cub::DoubleBuffer<std::uint32_t> values(buffers.values[0], buffers.values[1]);
  const cudaError_t error = cub::DeviceRadixSort::SortPairs(temporary, temporary_bytes, keys,
                                                            values, count, 0, bits, stream);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    return cuda_failure(operation, "sorting by score", error);
  }
  *result = keys.selector;
  return Status();
}

}  // namespace cudet::device
