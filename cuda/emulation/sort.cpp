// Twin of cuda/sort.cu on the emulated device: a kernel of one thread around the standard sort, so
// that it takes its place in the stream and in captured graphs like any other.

#include "../sort.h"

#include "../launch.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

namespace cudet::device {
namespace {

__global__ void sort_kernel(SortBuffers buffers, std::int64_t count, int bits, int result) {
  const auto size = static_cast<std::size_t>(count);
  const std::uint64_t mask = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  const std::vector<std::uint64_t> keys(buffers.keys[0], buffers.keys[0] + size);
  const std::vector<std::uint32_t> values(buffers.values[0], buffers.values[0] + size);
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return (keys[a] & mask) < (keys[b] & mask);
  });
  std::memset(buffers.keys[1 - result], 0xff, size * sizeof(std::uint64_t));
  std::memset(buffers.values[1 - result], 0xff, size * sizeof(std::uint32_t));
  for (std::size_t i = 0; i < size; ++i) {
    buffers.keys[result][i] = keys[order[i]];
    buffers.values[result][i] = values[order[i]];
  }
}

}  // namespace

Status sort_pairs(const char* operation, const SortBuffers& buffers, std::int64_t count, int bits,
                  void* temporary, std::size_t temporary_bytes, cudaStream_t stream,
                  int* result) noexcept {
  if (temporary == nullptr || temporary_bytes < sort_workspace_size(count)) {
    return cuda_failure(operation, "sorting by score", cudaErrorInvalidValue);
  }
  // A radix sort of 8 bits a pass changes buffers with each pass.
  *result = (bits + 7) / 8 % 2;
  return launch(operation, "sorting by score", sort_kernel, {dim3(1), dim3(1)}, stream, buffers,
                count, bits, *result);
}

}  // namespace cudet::device
