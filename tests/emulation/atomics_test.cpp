// Atomic operations, and the pattern in which the last block to finish does the rest.
#include <climits>
#include <cstdint>

#include "device_array.h"

namespace cudet::emulation {
namespace {

using AtomicsTest = EmulationTest;

template <typename T>
__global__ void integer_atomics(T* values) {
  const T i = static_cast<T>(threadIdx.x);
  atomicAdd(&values[0], i);
  atomicMin(&values[1], static_cast<T>(1000 - i));
  atomicMax(&values[2], i);
  atomicAnd(&values[3], static_cast<T>(~(T{1} << (threadIdx.x % 16))));
  atomicOr(&values[4], static_cast<T>(T{1} << (threadIdx.x % 16)));
  atomicXor(&values[5], i);
  const T old = atomicExch(&values[6], i);
  atomicAdd(&values[7], old);  // all but the last value pass through here once
}

template <typename T>
void check_integer_atomics() {
  DeviceArray<T> values(std::vector<T>{0, 2000, 0, 0x1FFFF, 0, 0, 0, 0});
  ASSERT_EQ(run(integer_atomics<T>, 1, 64, values.data()), cudaSuccess);
  const std::vector<T> results = values.get();
  EXPECT_EQ(results[0], T{2016});
  EXPECT_EQ(results[1], T{937});
  EXPECT_EQ(results[2], T{63});
  EXPECT_EQ(results[3], T{0x10000});
  EXPECT_EQ(results[4], T{0xFFFF});
  EXPECT_EQ(results[5], T{0});
  EXPECT_EQ(results[6] + results[7], T{2016});
}

TEST_F(AtomicsTest, Integers) {
  check_integer_atomics<int>();
  check_integer_atomics<unsigned int>();
  check_integer_atomics<unsigned long long>();
}

__global__ void signed_extremes(int* ints, long long* longs) {
  const int i = static_cast<int>(threadIdx.x) - 16;
  atomicMin(&ints[0], i);
  atomicMax(&ints[1], i);
  atomicMin(&longs[0], static_cast<long long>(i) * (1ll << 40));
  atomicMax(&longs[1], static_cast<long long>(i) * (1ll << 40));
  atomicSub(&ints[2], 2);
}

TEST_F(AtomicsTest, SignedExtremes) {
  DeviceArray<int> ints({0, INT_MIN, 100});
  DeviceArray<long long> longs({0, LLONG_MIN});
  ASSERT_EQ(run(signed_extremes, 1, 32, ints.data(), longs.data()), cudaSuccess);
  EXPECT_EQ(ints.get(), (std::vector<int>{-16, 15, 36}));
  EXPECT_EQ(longs.get(), (std::vector<long long>{-(16ll << 40), 15ll << 40}));
}

__global__ void floating_sums(float* single, double* twofold) {
  atomicAdd(single, 0.5f);
  atomicAdd(twofold, 0.25);
}

TEST_F(AtomicsTest, FloatingSums) {
  DeviceArray<float> single(std::vector<float>{1.0f});
  DeviceArray<double> twofold(std::vector<double>{1.0});
  ASSERT_EQ(run(floating_sums, 2, 32, single.data(), twofold.data()), cudaSuccess);
  EXPECT_EQ(single.get()[0], 33.0f);
  EXPECT_EQ(twofold.get()[0], 17.0);
}

__global__ void compare_and_swap(unsigned int* value, unsigned int* old) {
  old[0] = atomicCAS(value, 7u, 9u);  // does not match
  old[1] = atomicCAS(value, 5u, 6u);
  old[2] = atomicInc(value + 1, 2u);
  old[3] = atomicInc(value + 1, 2u);  // wraps
  old[4] = atomicDec(value + 2, 4u);  // wraps
  old[5] = atomicDec(value + 2, 4u);
}

TEST_F(AtomicsTest, CompareAndSwapAndTheWrappingOnes) {
  DeviceArray<unsigned int> value({5, 1, 0});
  DeviceArray<unsigned int> old(6);
  ASSERT_EQ(run(compare_and_swap, 1, 1, value.data(), old.data()), cudaSuccess);
  EXPECT_EQ(value.get(), (std::vector<unsigned int>{6, 0, 3}));
  EXPECT_EQ(old.get(), (std::vector<unsigned int>{5, 5, 1, 2, 0, 4}));
}

__global__ void shared_counter(int* out) {
  CUDET_SHARED(int, counter);
  if (threadIdx.x == 0) counter = 0;
  __syncthreads();
  atomicAdd(&counter, 1);
  __syncthreads();
  if (threadIdx.x == 0) out[blockIdx.x] = counter;
}

TEST_F(AtomicsTest, OnSharedMemory) {
  DeviceArray<int> out(3);
  ASSERT_EQ(run(shared_counter, 3, 96, out.data()), cudaSuccess);
  EXPECT_EQ(out.get(), (std::vector<int>{96, 96, 96}));
}

// As in the programming guide's example of __threadfence.
__global__ void last_block_sums(float* partial, unsigned int* ticket, float* total) {
  CUDET_SHARED(bool, is_last);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = static_cast<float>(blockIdx.x + 1);
    __threadfence();
    is_last = atomicAdd(ticket, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  if (threadIdx.x == 0) {
    float sum = 0.0f;
    for (unsigned int i = 0; i < gridDim.x; ++i)
      sum += partial[i];
    *total = sum;
    atomicExch(ticket, 0u);  // a plain store would race with the others' atomicAdd
  }
}

TEST_F(AtomicsTest, TheLastBlockSeesWhatAllWrote) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    set_seed(seed);
    DeviceArray<float> partial(9);
    DeviceArray<unsigned int> ticket(std::vector<unsigned int>{0});
    DeviceArray<float> total(1);
    ASSERT_EQ(run(last_block_sums, 9, 64, partial.data(), ticket.data(), total.data()),
              cudaSuccess);
    EXPECT_EQ(total.get()[0], 45.0f);
    EXPECT_EQ(ticket.get()[0], 0u);
  }
}

}  // namespace
}  // namespace cudet::emulation
