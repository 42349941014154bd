// Barriers, shared memory, indices, the order of threads and blocks.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>

#include "device_array.h"

namespace cudet::emulation {
namespace {

using BlockTest = EmulationTest;

__global__ void block_sums(const float* in, float* out, int n) {
  CUDET_SHARED_ARRAY(float, warp_sums, 32);
  const unsigned int lane = threadIdx.x % 32;
  const unsigned int warp = threadIdx.x / 32;
  float sum = 0.0f;
  for (unsigned int i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned int>(n);
       i += gridDim.x * blockDim.x) {
    sum += in[i];
  }
  for (int offset = 16; offset > 0; offset /= 2)
    sum += __shfl_xor_sync(0xFFFFFFFFu, sum, offset);
  if (lane == 0) warp_sums[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    sum = lane < blockDim.x / 32 ? warp_sums[lane] : 0.0f;
    for (int offset = 16; offset > 0; offset /= 2)
      sum += __shfl_xor_sync(0xFFFFFFFFu, sum, offset);
    if (lane == 0) out[blockIdx.x] = sum;
  }
}

TEST_F(BlockTest, ReductionByShufflesAndSharedMemory) {
  constexpr int kCount = 5000;
  std::vector<float> values(kCount);
  std::iota(values.begin(), values.end(), 1.0f);
  DeviceArray<float> in(values);
  for (const unsigned int block : {32u, 64u, 256u, 1024u}) {
    DeviceArray<float> out(3);
    ASSERT_EQ(run(block_sums, 3, block, in.data(), out.data(), kCount), cudaSuccess);
    const std::vector<float> sums = out.get();
    EXPECT_EQ(sums[0] + sums[1] + sums[2], kCount * (kCount + 1) / 2.0f) << block;
  }
}

constexpr int kTile = 8;

__global__ void transpose(const int* in, int* out, int rows, int columns) {
  CUDET_SHARED_ARRAY(int, tile, kTile*(kTile + 1));
  const int tx = static_cast<int>(threadIdx.x);
  const int ty = static_cast<int>(threadIdx.y);
  int column = static_cast<int>(blockIdx.x) * kTile + tx;
  int row = static_cast<int>(blockIdx.y) * kTile + ty;
  if (row < rows && column < columns) tile[ty * (kTile + 1) + tx] = in[row * columns + column];
  __syncthreads();
  column = static_cast<int>(blockIdx.y) * kTile + tx;
  row = static_cast<int>(blockIdx.x) * kTile + ty;
  if (row < columns && column < rows) out[row * rows + column] = tile[tx * (kTile + 1) + ty];
}

TEST_F(BlockTest, TransposeThroughSharedMemory) {
  constexpr int kRows = 21;
  constexpr int kColumns = 13;
  std::vector<int> values(kRows * kColumns);
  std::iota(values.begin(), values.end(), 0);
  DeviceArray<int> in(values);
  DeviceArray<int> out(values.size());
  ASSERT_EQ(run(transpose, dim3(2, 3), dim3(kTile, kTile), in.data(), out.data(), kRows, kColumns),
            cudaSuccess);
  const std::vector<int> transposed = out.get();
  for (int row = 0; row < kRows; ++row) {
    for (int column = 0; column < kColumns; ++column) {
      ASSERT_EQ(transposed[static_cast<std::size_t>(column * kRows + row)],
                row * kColumns + column);
    }
  }
}

// Each thread puts down at its place what it takes itself for.
__global__ void write_indices(uint3* threads, uint3* blocks, int* extent) {
  const unsigned int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned int i = block * blockDim.x * blockDim.y * blockDim.z + thread;
  __syncthreads();  // the indices survive a switch
  threads[i] = threadIdx;
  blocks[i] = blockIdx;
  if (i == 0) {
    extent[0] = static_cast<int>(blockDim.x * 100 + blockDim.y * 10 + blockDim.z);
    extent[1] = static_cast<int>(gridDim.x * 100 + gridDim.y * 10 + gridDim.z);
  }
}

TEST_F(BlockTest, IndicesInThreeDimensions) {
  const dim3 grid(3, 2, 4);
  const dim3 block(5, 4, 3);
  constexpr std::size_t kThreads = 3 * 2 * 4 * 5 * 4 * 3;
  DeviceArray<uint3> threads(kThreads);
  DeviceArray<uint3> blocks(kThreads);
  DeviceArray<int> extent(2);
  ASSERT_EQ(run(write_indices, grid, block, threads.data(), blocks.data(), extent.data()),
            cudaSuccess);
  EXPECT_EQ(extent.get(), (std::vector<int>{543, 324}));
  const std::vector<uint3> thread = threads.get();
  const std::vector<uint3> at = blocks.get();
  std::size_t i = 0;
  for (unsigned int bz = 0; bz < grid.z; ++bz)
    for (unsigned int by = 0; by < grid.y; ++by)
      for (unsigned int bx = 0; bx < grid.x; ++bx)
        for (unsigned int tz = 0; tz < block.z; ++tz)
          for (unsigned int ty = 0; ty < block.y; ++ty)
            for (unsigned int tx = 0; tx < block.x; ++tx, ++i) {
              ASSERT_EQ((std::vector<unsigned int>{at[i].x, at[i].y, at[i].z, thread[i].x,
                                                   thread[i].y, thread[i].z}),
                        (std::vector<unsigned int>{bx, by, bz, tx, ty, tz}));
            }
}

__global__ void barrier_votes(int* out) {
  const int count = __syncthreads_count(threadIdx.x % 3 == 0);
  const int any = __syncthreads_or(threadIdx.x == 77);
  const int none = __syncthreads_or(threadIdx.x == 100);
  const int all = __syncthreads_and(threadIdx.x < 100);
  const int not_all = __syncthreads_and(threadIdx.x != 99);
  int* const own = out + threadIdx.x * 5;
  own[0] = count;
  own[1] = any;
  own[2] = none;
  own[3] = all;
  own[4] = not_all;
}

TEST_F(BlockTest, BarriersThatCount) {
  DeviceArray<int> out(500);
  ASSERT_EQ(run(barrier_votes, 1, 100, out.data()), cudaSuccess);
  const std::vector<int> values = out.get();
  for (std::size_t thread = 0; thread < 100; ++thread) {
    EXPECT_EQ(values[thread * 5], 34);
    EXPECT_NE(values[thread * 5 + 1], 0);
    EXPECT_EQ(values[thread * 5 + 2], 0);
    EXPECT_NE(values[thread * 5 + 3], 0);
    EXPECT_EQ(values[thread * 5 + 4], 0);
  }
}

// A template's declaration is another variable in each instantiation, and one in each.
template <int kValue>
__device__ int* counter_of() {
  CUDET_SHARED(int, counter);
  return &counter;
}

__global__ void shared_identity(int* out) {
  if (threadIdx.x == 0) {
    *counter_of<1>() = 10;
    *counter_of<2>() = 20;
  }
  __syncthreads();
  if (threadIdx.x == 1) {
    out[0] = *counter_of<1>();
    out[1] = *counter_of<2>();
  }
}

TEST_F(BlockTest, SharedVariablesAreOnePerInstantiation) {
  DeviceArray<int> out(2);
  ASSERT_EQ(run(shared_identity, 1, 2, out.data()), cudaSuccess);
  EXPECT_EQ(out.get(), (std::vector<int>{10, 20}));
}

__global__ void read_poison(unsigned int* static_bits, unsigned int* dynamic_bits) {
  CUDET_SHARED_ARRAY(float, values, 64);
  CUDET_DYNAMIC_SHARED(float, more);
  static_bits[blockIdx.x * 64 + threadIdx.x] = __float_as_uint(values[threadIdx.x]);
  dynamic_bits[blockIdx.x * 64 + threadIdx.x] = __float_as_uint(more[threadIdx.x]);
  values[threadIdx.x] = 0.0f;  // must be gone in the next block
  more[threadIdx.x] = 0.0f;
}

TEST_F(BlockTest, SharedMemoryStartsPoisonedInEveryBlock) {
  DeviceArray<unsigned int> static_bits(256);
  DeviceArray<unsigned int> dynamic_bits(256);
  const cudaLaunchConfig_t config = launch_config(4, 64, 256);
  ASSERT_EQ(cudaLaunchKernelEx(&config, read_poison, static_bits.data(), dynamic_bits.data()),
            cudaSuccess);
  for (const unsigned int bits : static_bits.get())
    ASSERT_EQ(bits, 0xFFFFFFFFu);
  for (const unsigned int bits : dynamic_bits.get())
    ASSERT_EQ(bits, 0xFFFFFFFFu);
}

__global__ void shared_addresses(std::uintptr_t* out) {
  CUDET_SHARED_ARRAY(float, floats, 3);
  CUDET_SHARED_ARRAY(float4, vectors, 2);
  CUDET_DYNAMIC_SHARED(float, dynamic);
  out[0] = reinterpret_cast<std::uintptr_t>(floats);
  out[1] = reinterpret_cast<std::uintptr_t>(vectors);
  out[2] = reinterpret_cast<std::uintptr_t>(dynamic);
}

TEST_F(BlockTest, SharedArraysAreAlignedForTheirElementsAndNoMore) {
  DeviceArray<std::uintptr_t> out(3);
  const cudaLaunchConfig_t config = launch_config(1, 1, 16);
  ASSERT_EQ(cudaLaunchKernelEx(&config, shared_addresses, out.data()), cudaSuccess);
  const std::vector<std::uintptr_t> addresses = out.get();
  EXPECT_EQ(addresses[0] % 16, 8u);
  EXPECT_EQ(addresses[1] % 16, 0u);
  EXPECT_EQ(addresses[2] % 16, 0u);
}

// Threads that leave early are no obstacle where nobody waits for them.
__global__ void early_return(int* out) {
  if (threadIdx.x % 2 == 1) return;
  out[threadIdx.x] = __popc(__ballot_sync(0x55555555u, 1));
}

TEST_F(BlockTest, ThreadsMayReturnEarly) {
  DeviceArray<int> out(std::vector<int>(64, -1));
  ASSERT_EQ(run(early_return, 1, 64, out.data()), cudaSuccess);
  const std::vector<int> counts = out.get();
  for (std::size_t i = 0; i < 64; ++i)
    EXPECT_EQ(counts[i], i % 2 == 0 ? 16 : -1);
}

__global__ void record_order(unsigned int* next, unsigned int* order) {
  order[atomicAdd(next, 1u)] = blockIdx.x * blockDim.x + threadIdx.x;
}

std::vector<unsigned int> order_with_seed(std::uint64_t seed, unsigned int grid,
                                          unsigned int block) {
  set_seed(seed);
  DeviceArray<unsigned int> next(std::vector<unsigned int>{0});
  DeviceArray<unsigned int> order(grid * block);
  EXPECT_EQ(run(record_order, grid, block, next.data(), order.data()), cudaSuccess);
  return order.get();
}

TEST_F(BlockTest, TheSeedDecidesTheOrder) {
  std::vector<unsigned int> natural(320);
  std::iota(natural.begin(), natural.end(), 0u);
  EXPECT_EQ(order_with_seed(0, 4, 80), natural);
  std::set<std::vector<unsigned int>> orders;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const std::vector<unsigned int> order = order_with_seed(seed, 4, 80);
    EXPECT_EQ(order, order_with_seed(seed, 4, 80)) << seed;
    std::vector<unsigned int> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(sorted, natural) << seed;
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 8u);
}

TEST_F(BlockTest, EveryBlockRunsOnceWhateverTheGrid) {
  for (unsigned int grid = 1; grid <= 40; ++grid) {
    std::vector<unsigned int> order = order_with_seed(grid, grid, 1);
    std::sort(order.begin(), order.end());
    for (unsigned int i = 0; i < grid; ++i)
      ASSERT_EQ(order[i], i) << grid;
  }
}

__global__ void many_barriers() {
  for (int i = 0; i < 3; ++i)
    __syncthreads();
}

TEST_F(BlockTest, FibersAreReused) {
  ASSERT_EQ(run(many_barriers, 2, 1024), cudaSuccess);
  const int fibers = fiber_count();
  EXPECT_GE(fibers, 1024);
  ASSERT_EQ(run(many_barriers, 5, 1024), cudaSuccess);
  EXPECT_EQ(fiber_count(), fibers);
}

}  // namespace
}  // namespace cudet::emulation
