// Warp operations: values, segments, partial masks.
#include <algorithm>
#include <cstdint>

#include "device_array.h"

namespace cudet::emulation {
namespace {

using WarpTest = EmulationTest;

constexpr unsigned int kFullMask = 0xFFFFFFFFu;

enum class Shuffle { kIndex, kUp, kDown, kXor };

template <typename T>
__global__ void shuffle_kernel(Shuffle kind, unsigned int parameter, int width, T* out) {
  const T value = static_cast<T>(threadIdx.x) + static_cast<T>(100);
  T result{};
  switch (kind) {
    case Shuffle::kIndex:
      result = __shfl_sync(kFullMask, value, static_cast<int>(parameter), width);
      break;
    case Shuffle::kUp:
      result = __shfl_up_sync(kFullMask, value, parameter, width);
      break;
    case Shuffle::kDown:
      result = __shfl_down_sync(kFullMask, value, parameter, width);
      break;
    case Shuffle::kXor:
      result = __shfl_xor_sync(kFullMask, value, static_cast<int>(parameter), width);
      break;
  }
  out[threadIdx.x] = result;
}

// The programming guide's words, not PTX's bit arithmetic.
int expected_source(Shuffle kind, int lane, int parameter, int width) {
  const int segment = lane / width;
  int source = lane;
  switch (kind) {
    case Shuffle::kIndex:
      return segment * width + parameter % width;
    case Shuffle::kUp:
      source = lane - parameter;
      return source / width == segment && source >= 0 ? source : lane;
    case Shuffle::kDown:
      source = lane + parameter;
      return source / width == segment ? source : lane;
    case Shuffle::kXor:  // earlier segments may be read, later ones may not
      source = lane ^ parameter;
      return source / width <= segment ? source : lane;
  }
  return lane;
}

template <typename T>
void check_shuffles() {
  DeviceArray<T> out(32);
  for (const Shuffle kind : {Shuffle::kIndex, Shuffle::kUp, Shuffle::kDown, Shuffle::kXor}) {
    for (const int width : {1, 2, 4, 8, 16, 32}) {
      for (const int parameter : {0, 1, 3, 7, 16, 31}) {
        ASSERT_EQ(run(shuffle_kernel<T>, 1, 32, kind, static_cast<unsigned int>(parameter), width,
                      out.data()),
                  cudaSuccess);
        const std::vector<T> values = out.get();
        for (int lane = 0; lane < 32; ++lane) {
          const int source = expected_source(kind, lane, parameter, width);
          ASSERT_EQ(values[static_cast<std::size_t>(lane)], static_cast<T>(source + 100))
              << "kind " << static_cast<int>(kind) << " width " << width << " parameter "
              << parameter << " lane " << lane;
        }
      }
    }
  }
}

TEST_F(WarpTest, ShufflesOfFourByteTypes) {
  check_shuffles<int>();
  check_shuffles<unsigned int>();
  check_shuffles<float>();
}

TEST_F(WarpTest, ShufflesOfEightByteTypes) {
  check_shuffles<long long>();
  check_shuffles<unsigned long long>();
  check_shuffles<double>();
}

// Lanes 0 to 15 shuffle among themselves; those above have left the kernel, which is legal as long
// as no mask names them.
__global__ void half_warp_sum(const int* in, int* out) {
  if (threadIdx.x >= 16) return;
  int sum = in[threadIdx.x];
  for (unsigned int delta = 8; delta > 0; delta /= 2) {
    sum += __shfl_down_sync(0x0000FFFFu, sum, delta, 16);
  }
  if (threadIdx.x == 0) *out = sum;
}

TEST_F(WarpTest, LanesThatAMaskOmitsMayHaveExited) {
  std::vector<int> values(16);
  for (int i = 0; i < 16; ++i)
    values[static_cast<std::size_t>(i)] = i * i;
  DeviceArray<int> in(values);
  DeviceArray<int> out(1);
  ASSERT_EQ(run(half_warp_sum, 1, 32, in.data(), out.data()), cudaSuccess);
  EXPECT_EQ(out.get()[0], 1240);
}

// Disjoint groups of a warp at different operations, and more often in one than in the other.
__global__ void divergent_groups(unsigned int* out) {
  const unsigned int lane = threadIdx.x;
  if (lane < 8) {
    unsigned int value = lane;
    for (int i = 0; i < 5; ++i)
      value += __shfl_xor_sync(0x000000FFu, value, 1);
    out[lane] = value;
  } else {
    out[lane] = __ballot_sync(0xFFFFFF00u, lane % 2 == 0);
  }
}

TEST_F(WarpTest, DisjointGroupsMeetIndependently) {
  DeviceArray<unsigned int> out(32);
  ASSERT_EQ(run(divergent_groups, 1, 32, out.data()), cudaSuccess);
  const std::vector<unsigned int> values = out.get();
  for (unsigned int lane = 0; lane < 8; ++lane) {
    EXPECT_EQ(values[lane], 16 * (2 * (lane / 2) * 2 + 1)) << lane;  // 16 times the pair's sum
  }
  for (unsigned int lane = 8; lane < 32; ++lane)
    EXPECT_EQ(values[lane], 0x55555500u) << lane;
}

// Lane 2 may come to the second meeting before lanes 0 and 1 have held the first.
__global__ void nested_groups(unsigned int* out) {
  const unsigned int lane = threadIdx.x;
  unsigned int small = 0;
  if (lane < 2) small = __ballot_sync(0x3u, 1);
  out[lane] = small * 100 + __ballot_sync(0x7u, lane != 1);
}

TEST_F(WarpTest, AMeetingMayBeginBeforeASmallerOneEnds) {
  DeviceArray<unsigned int> out(3);
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    set_seed(seed);
    ASSERT_EQ(run(nested_groups, 1, 3, out.data()), cudaSuccess);
    EXPECT_EQ(out.get(), (std::vector<unsigned int>{305, 305, 5})) << seed;
  }
}

__global__ void votes(unsigned int* out) {
  const unsigned int lane = threadIdx.x;
  out[lane] = __ballot_sync(kFullMask, lane % 3 == 0);
  out[32 + lane] = static_cast<unsigned int>(__any_sync(kFullMask, lane == 17));
  out[64 + lane] = static_cast<unsigned int>(__any_sync(kFullMask, lane == 32));
  out[96 + lane] = static_cast<unsigned int>(__all_sync(kFullMask, lane < 32));
  out[128 + lane] = static_cast<unsigned int>(__all_sync(kFullMask, lane != 5));
}

TEST_F(WarpTest, Votes) {
  DeviceArray<unsigned int> out(160);
  ASSERT_EQ(run(votes, 1, 32, out.data()), cudaSuccess);
  const std::vector<unsigned int> values = out.get();
  for (std::size_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(values[lane], 0x49249249u);
    EXPECT_EQ(values[32 + lane], 1u);
    EXPECT_EQ(values[64 + lane], 0u);
    EXPECT_EQ(values[96 + lane], 1u);
    EXPECT_EQ(values[128 + lane], 0u);
  }
}

template <typename T>
__global__ void match_kernel(const T* in, unsigned int* out) {
  out[threadIdx.x] = __match_any_sync(kFullMask, in[threadIdx.x]);
}

template <typename T>
void check_match(T spread) {
  std::vector<T> values(32);
  for (std::size_t i = 0; i < 32; ++i)
    values[i] = static_cast<T>(i * 7 % 5) * spread;
  DeviceArray<T> in(values);
  DeviceArray<unsigned int> out(32);
  ASSERT_EQ(run(match_kernel<T>, 1, 32, in.data(), out.data()), cudaSuccess);
  const std::vector<unsigned int> masks = out.get();
  for (std::size_t i = 0; i < 32; ++i) {
    unsigned int expected = 0;
    for (std::size_t j = 0; j < 32; ++j) {
      if (values[j] == values[i]) expected |= 1u << j;
    }
    EXPECT_EQ(masks[i], expected) << i;
  }
}

TEST_F(WarpTest, Match) {
  check_match<int>(-3);
  check_match<float>(0.25f);
  check_match<unsigned long long>(1ull << 40);  // differs in the upper word only
}

template <typename T>
__global__ void reduce_kernel(const T* in, T* out) {
  const T value = in[threadIdx.x];
  out[threadIdx.x] = __reduce_add_sync(kFullMask, value);
  out[32 + threadIdx.x] = __reduce_min_sync(kFullMask, value);
  out[64 + threadIdx.x] = __reduce_max_sync(kFullMask, value);
}

template <typename T>
void check_reduce() {
  std::vector<T> values(32);
  T sum = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    values[i] = static_cast<T>((i * 0x9E3779B9u) ^ 0x55u);
    sum = static_cast<T>(static_cast<unsigned int>(sum) + static_cast<unsigned int>(values[i]));
  }
  DeviceArray<T> in(values);
  DeviceArray<T> out(96);
  ASSERT_EQ(run(reduce_kernel<T>, 1, 32, in.data(), out.data()), cudaSuccess);
  const std::vector<T> results = out.get();
  for (std::size_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(results[lane], sum);
    EXPECT_EQ(results[32 + lane], *std::min_element(values.begin(), values.end()));
    EXPECT_EQ(results[64 + lane], *std::max_element(values.begin(), values.end()));
  }
}

TEST_F(WarpTest, ReduceArithmetic) {
  check_reduce<int>();
  check_reduce<unsigned int>();
}

__global__ void reduce_bits(const unsigned int* in, unsigned int* out) {
  const unsigned int value = in[threadIdx.x];
  const unsigned int bits_and = __reduce_and_sync(kFullMask, value);
  const unsigned int bits_or = __reduce_or_sync(kFullMask, value);
  const unsigned int bits_xor = __reduce_xor_sync(kFullMask, value);
  if (threadIdx.x == 31) {
    out[0] = bits_and;
    out[1] = bits_or;
    out[2] = bits_xor;
  }
}

TEST_F(WarpTest, ReduceBits) {
  std::vector<unsigned int> values(32, 0xF0F0u);
  values[3] = 0xF1F0u;
  values[9] = 0x70F4u;
  DeviceArray<unsigned int> in(values);
  DeviceArray<unsigned int> out(3);
  ASSERT_EQ(run(reduce_bits, 1, 32, in.data(), out.data()), cudaSuccess);
  EXPECT_EQ(out.get(), (std::vector<unsigned int>{0x70F0u, 0xF1F4u, 0x8104u}));
}

// CUDA leaves the value of a lane outside the mask undefined. Here it is a NaN, so that a kernel
// that uses it is seen.
__global__ void read_outside_mask(float* out) {
  if (threadIdx.x >= 8) return;
  out[threadIdx.x] = __shfl_down_sync(0xFFu, 1.0f, 4);
}

TEST_F(WarpTest, ALaneOutsideTheMaskGivesNaN) {
  DeviceArray<float> out(8);
  ASSERT_EQ(run(read_outside_mask, 1, 32, out.data()), cudaSuccess);
  const std::vector<float> values = out.get();
  for (std::size_t lane = 0; lane < 4; ++lane)
    EXPECT_EQ(values[lane], 1.0f);
  for (std::size_t lane = 4; lane < 8; ++lane)
    EXPECT_NE(values[lane], values[lane]);
}

__global__ void partial_warp(int* out) {
  const unsigned int mask = threadIdx.x < 32 ? kFullMask : 0xFFu;
  out[threadIdx.x] = __reduce_add_sync(mask, 1);
}

TEST_F(WarpTest, TheLastWarpMayBePartial) {
  DeviceArray<int> out(40);
  ASSERT_EQ(run(partial_warp, 1, 40, out.data()), cudaSuccess);
  const std::vector<int> counts = out.get();
  for (std::size_t i = 0; i < 40; ++i)
    EXPECT_EQ(counts[i], i < 32 ? 32 : 8) << i;
}

}  // namespace
}  // namespace cudet::emulation
