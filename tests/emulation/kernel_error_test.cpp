// Kernels that are wrong on purpose: each must be reported for what it is, and leave the device fit
// for the next launch.
#include <cstdint>
#include <stdexcept>
#include <string>

#include "device_array.h"

namespace cudet::emulation {
namespace {

constexpr int kExitedLine = __LINE__;
__global__ void exited_thread_at_barrier() {
  if (threadIdx.x == 37) return;
  __syncthreads();
}

constexpr int kBranchesLine = __LINE__;
__global__ void barriers_in_both_branches() {
  if (threadIdx.x < 5) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void barrier_in_a_loop_of_uneven_length() {
  for (unsigned int i = 0; i <= threadIdx.x / 32; ++i)
    __syncthreads();
}

__global__ void barrier_against_warp_operation() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __ballot_sync(threadIdx.x == 32 ? 0x3u : 0xFFFFFFFFu, 1);
  }
}

__global__ void mask_names_an_exited_lane() {
  if (threadIdx.x == 9) return;
  __shfl_xor_sync(0xFFFFFFFFu, 1, 1);
}

__global__ void mask_names_a_lane_that_does_not_exist() {
  __ballot_sync(0xFFFFFFFFu, 1);
}

__global__ void mask_omits_the_caller() {
  __ballot_sync(0x0000FFFFu, 1);
}

__global__ void lanes_with_different_masks() {
  __ballot_sync(threadIdx.x == 0 ? 0xFFFFFFFFu : 0xFFFFFFFEu, 1);
}

__global__ void lanes_at_different_operations() {
  if (threadIdx.x < 16) {
    __ballot_sync(0xFFFFFFFFu, 1);
  } else {
    __shfl_sync(0xFFFFFFFFu, 1, 0);
  }
}

__global__ void width_that_is_no_power_of_two() {
  __shfl_sync(0xFFFFFFFFu, 1, 0, 12);
}

__global__ void too_much_static_shared() {
  CUDET_SHARED_ARRAY(float, first, 8 * 1024);
  CUDET_SHARED_ARRAY(float, second, 4 * 1024 + 1);
  first[threadIdx.x] = second[threadIdx.x];
}

__global__ void static_and_dynamic_shared() {
  CUDET_SHARED_ARRAY(float, fixed, 8 * 1024);
  fixed[threadIdx.x] = 0.0f;
}

__global__ void misaligned_load(const float* in, float* out) {
  *out = __ldg(reinterpret_cast<const float4*>(in + 1)).x;
}

__global__ void misaligned_store(float* out) {
  __stcs(reinterpret_cast<float2*>(out + 1), make_float2(0.0f, 0.0f));
}

__global__ void misaligned_shared_vector() {
  CUDET_SHARED_ARRAY(float, values, 64);
  values[threadIdx.x] = load_vector(reinterpret_cast<const float4*>(values)).x;
}

__global__ void throwing() {
  throw std::runtime_error("a kernel cannot throw");
}

__global__ void count_threads(int* count) {
  __syncthreads();
  atomicAdd(count, 1);
}

// A place in this file, as reports name it.
std::string line(int number) {
  return "kernel_error_test.cpp:" + std::to_string(number);
}

class KernelErrorTest : public EmulationTest {
 protected:
  // The launch succeeds, as on a GPU; what follows does not, until reset().
  void expect_error(cudaError_t launched, cudaError_t error,
                    const std::vector<std::string>& words) {
    EXPECT_EQ(launched, cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), error);
    EXPECT_EQ(cudaPeekAtLastError(), error);
    EXPECT_EQ(cudaGetLastError(), error);
    EXPECT_EQ(cudaGetLastError(), error) << "the error is sticky";
    for (const std::string& word : words) {
      EXPECT_NE(last_report().find(word), std::string::npos) << word << " in " << last_report();
    }
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, 4), error);
    reset();
    EXPECT_EQ(last_report(), "");
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    DeviceArray<int> count(std::vector<int>{0});
    EXPECT_EQ(run(count_threads, 3, 96, count.data()), cudaSuccess);
    EXPECT_EQ(count.get()[0], 288) << "the next launch runs whole";
  }

  void expect_divergence(void (*kernel)(), unsigned int block,
                         const std::vector<std::string>& words) {
    expect_error(run(kernel, 2, block), cudaErrorLaunchFailure, words);
  }
};

TEST_F(KernelErrorTest, ExitedThreadAtBarrier) {
  expect_divergence(exited_thread_at_barrier, 64,
                    {"kernel 'cudet::emulation::(anonymous namespace)::exited_thread_at_barrier'",
                     "barrier divergence", "thread (37,0,0) has exited",
                     line(kExitedLine + 3) + ",", "block (", "thread ("});
}

TEST_F(KernelErrorTest, BarriersInBothBranches) {
  expect_divergence(barriers_in_both_branches, 64,
                    {"barrier divergence", line(kBranchesLine + 3), line(kBranchesLine + 5)});
}

TEST_F(KernelErrorTest, BarrierInALoopOfUnevenLength) {
  expect_divergence(barrier_in_a_loop_of_uneven_length, 64, {"barrier divergence", "has exited"});
}

TEST_F(KernelErrorTest, BarrierAgainstWarpOperation) {
  expect_divergence(barrier_against_warp_operation, 64,
                    {"barrier divergence", "waits at the barrier", "waits at __ballot_sync"});
}

TEST_F(KernelErrorTest, MaskNamesAnExitedLane) {
  expect_divergence(mask_names_an_exited_lane, 32,
                    {"warp divergence", "__shfl_xor_sync", "mask 0xffffffff", "lane 9 has exited"});
}

TEST_F(KernelErrorTest, MaskNamesALaneThatDoesNotExist) {
  expect_divergence(mask_names_a_lane_that_does_not_exist, 20,
                    {"warp divergence", "lane 20 does not exist"});
}

TEST_F(KernelErrorTest, MaskOmitsTheCaller) {
  expect_divergence(mask_omits_the_caller, 32, {"mask 0x0000ffff, which omits the caller, lane"});
}

TEST_F(KernelErrorTest, LanesWithDifferentMasks) {
  set_seed(0);
  expect_divergence(lanes_with_different_masks, 32,
                    {"thread (0,0,0)", "lane 1 has exited", "mask 0xffffffff"});
}

TEST_F(KernelErrorTest, LanesAtDifferentOperations) {
  expect_divergence(lanes_at_different_operations, 32,
                    {"warp divergence", "waits at __ballot_sync", "waits at __shfl_sync"});
}

TEST_F(KernelErrorTest, WidthThatIsNoPowerOfTwo) {
  expect_divergence(width_that_is_no_power_of_two, 32, {"__shfl_sync", "width 12"});
}

TEST_F(KernelErrorTest, TooMuchStaticSharedMemory) {
  expect_error(run(too_much_static_shared, 1, 32), cudaErrorLaunchOutOfResources,
               {"too much shared memory", "'second'", "49156 bytes static"});
}

TEST_F(KernelErrorTest, StaticAndDynamicSharedMemoryCountTogether) {
  const cudaLaunchConfig_t fits = launch_config(1, 32, 16 * 1024);
  EXPECT_EQ(cudaLaunchKernelEx(&fits, static_and_dynamic_shared), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const cudaLaunchConfig_t exceeds = launch_config(1, 32, 16 * 1024 + 4);
  expect_error(cudaLaunchKernelEx(&exceeds, static_and_dynamic_shared),
               cudaErrorLaunchOutOfResources,
               {"too much shared memory", "32768 bytes static", "16388 bytes dynamic"});
}

TEST_F(KernelErrorTest, MisalignedVectorLoad) {
  DeviceArray<float> array(16);
  expect_error(run(misaligned_load, 1, 1, array.data(), array.data()), cudaErrorMisalignedAddress,
               {"misaligned access", "kernel_error_test.cpp", "no multiple of 16"});
}

TEST_F(KernelErrorTest, MisalignedVectorStore) {
  DeviceArray<float> array(16);
  expect_error(run(misaligned_store, 1, 1, array.data()), cudaErrorMisalignedAddress,
               {"misaligned access", "no multiple of 8"});
}

TEST_F(KernelErrorTest, VectorAccessToASharedArrayOfSmallerElements) {
  expect_error(run(misaligned_shared_vector, 1, 32), cudaErrorMisalignedAddress,
               {"misaligned access", "no multiple of 16"});
}

TEST_F(KernelErrorTest, ThrowingKernel) {
  expect_error(run(throwing, 1, 32), cudaErrorLaunchFailure, {"threw: a kernel cannot throw"});
}

// All threads of the block are unwound, those that waited included.
struct Destroyed {
  int* count;
  ~Destroyed() { atomicAdd(count, 1); }
};

__global__ void unwinding(int* count) {
  const Destroyed destroyed{count};
  __syncwarp();
  if (threadIdx.x == 0) return;
  __syncthreads();
}

TEST_F(KernelErrorTest, AbandonedThreadsAreUnwound) {
  int count = 0;
  ASSERT_EQ(run(unwinding, 1, 96, &count), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  EXPECT_EQ(count, 96);
}

TEST_F(KernelErrorTest, WorkAfterAKernelErrorDoesNotRun) {
  DeviceArray<int> count(std::vector<int>{0});
  set_deferred(true);
  run(exited_thread_at_barrier, 1, 64);
  run(count_threads, 1, 32, count.data());
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  reset();
  set_deferred(false);
  EXPECT_EQ(count.get()[0], 0);
}

TEST_F(KernelErrorTest, EverySeedFindsTheDivergence) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    set_seed(seed);
    run(exited_thread_at_barrier, 1, 64);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure) << seed;
    reset();
  }
}

}  // namespace
}  // namespace cudet::emulation
