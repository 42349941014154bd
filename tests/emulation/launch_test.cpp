// Launch limits, attributes, arguments, counters, and what the device says of itself.
#include <string>
#include <thread>

#include "device_array.h"

namespace cudet::emulation {
namespace {

using LaunchTest = EmulationTest;

__global__ void do_nothing() {}

struct Dimensions {
  dim3 grid;
  dim3 block;
  cudaError_t expected;
};

TEST_F(LaunchTest, DimensionsAreLimited) {
  const Dimensions cases[] = {
      {1, 1024, cudaSuccess},
      {1, dim3(16, 1, 64), cudaSuccess},
      {dim3(1, 65535, 1), 1, cudaSuccess},
      {1, 1025, cudaErrorInvalidConfiguration},
      {1, dim3(32, 33), cudaErrorInvalidConfiguration},
      {1, dim3(1, 1, 65), cudaErrorInvalidConfiguration},
      {1, dim3(65536, 65536, 0), cudaErrorInvalidConfiguration},
      {dim3(1u << 31, 1, 1), 1, cudaErrorInvalidConfiguration},
      {dim3(1, 65536, 1), 1, cudaErrorInvalidConfiguration},
      {dim3(1, 1, 65536), 1, cudaErrorInvalidConfiguration},
      {0, 1, cudaErrorInvalidConfiguration},
      {dim3(1, 0, 1), 1, cudaErrorInvalidConfiguration},
      {1, dim3(1, 1, 0), cudaErrorInvalidConfiguration},
  };
  for (const Dimensions& dimensions : cases) {
    EXPECT_EQ(run(do_nothing, dimensions.grid, dimensions.block), dimensions.expected)
        << dimensions.grid.x << " " << dimensions.block.x;
    EXPECT_EQ(cudaGetLastError(), dimensions.expected);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "a launch error is not sticky";
  }
}

__global__ void fill_dynamic(int count, int* out) {
  CUDET_DYNAMIC_SHARED(int, values);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    values[i] = i;
  }
  __syncthreads();
  if (threadIdx.x == 0) *out = values[count - 1];
}

TEST_F(LaunchTest, DynamicSharedMemoryIsLimitedUntilOptedIn) {
  DeviceArray<int> out(1);
  for (const int bytes : {48 * 1024, 48 * 1024 + 4, 227 * 1024, 227 * 1024 + 4}) {
    const cudaLaunchConfig_t config = launch_config(1, 64, static_cast<std::size_t>(bytes));
    const bool fits = bytes <= 48 * 1024;
    EXPECT_EQ(cudaLaunchKernelEx(&config, fill_dynamic, bytes / 4, out.data()),
              fits ? cudaSuccess : cudaErrorInvalidValue)
        << bytes;
  }
  EXPECT_EQ(cudaFuncSetAttribute(fill_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 227 * 1024 + 4),
            cudaErrorInvalidValue);
  ASSERT_EQ(
      cudaFuncSetAttribute(fill_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024),
      cudaSuccess);
  const cudaLaunchConfig_t config = launch_config(1, 64, 227 * 1024);
  EXPECT_EQ(cudaLaunchKernelEx(&config, fill_dynamic, 227 * 256, out.data()), cudaSuccess);
  EXPECT_EQ(out.get()[0], 227 * 256 - 1);
  cudaFuncSetAttribute(fill_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 48 * 1024);
}

TEST_F(LaunchTest, ProgrammaticSerializationIsAcceptedAndNothingElse) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = launch_config(1, 1);
  config.attrs = &attribute;
  config.numAttrs = 1;
  EXPECT_EQ(cudaLaunchKernelEx(&config, do_nothing), cudaSuccess);
  attribute.id = static_cast<cudaLaunchAttributeID>(2);  // a cooperative launch
  EXPECT_EQ(cudaLaunchKernelEx(&config, do_nothing), cudaErrorNotSupported);
}

struct Pair {
  int first;
  double second;
};

__global__ void take_arguments(Pair pair, const float* in, long long scale, float* out) {
  out[threadIdx.x] =
      in[threadIdx.x] * static_cast<float>(scale) + static_cast<float>(pair.first + pair.second);
}

TEST_F(LaunchTest, ArgumentsAreConvertedToTheParameters) {
  DeviceArray<float> in({1.0f, 2.0f});
  DeviceArray<float> out(2);
  ASSERT_EQ(run(take_arguments, 1, 2, Pair{1, 0.5}, in.data(), 10, out.data()), cudaSuccess);
  EXPECT_EQ(out.get(), (std::vector<float>{11.5f, 21.5f}));
}

__global__ void set_flag(int* flag) {
  *flag = 1;
}

TEST_F(LaunchTest, TheNthLaunchFailsOnDemandAndDoesNotRun) {
  DeviceArray<int> flag(std::vector<int>{0});
  fail_launch(2, cudaErrorLaunchOutOfResources);
  EXPECT_EQ(run(do_nothing, 1, 1), cudaSuccess);
  EXPECT_EQ(run(set_flag, 1, 1, flag.data()), cudaErrorLaunchOutOfResources);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchOutOfResources);
  EXPECT_EQ(flag.get()[0], 0);
  EXPECT_EQ(run(set_flag, 1, 1, flag.data()), cudaSuccess);
  EXPECT_EQ(flag.get()[0], 1);
}

template <int kValue>
__global__ void named_template(int* out) {
  *out = kValue;
}

TEST_F(LaunchTest, CountersSayWhatWasAsked) {
  DeviceArray<int> array(4);
  mark();
  run(set_flag, 1, 1, array.data());
  run(named_template<7>, 1, 1, array.data());
  cudaMemsetAsync(array.data(), 0, 4);
  const Counters without_sync = counters();
  EXPECT_EQ(without_sync.launches, 2);
  EXPECT_EQ(without_sync.memory_operations, 1);
  EXPECT_EQ(without_sync.allocations, 0);
  EXPECT_EQ(without_sync.frees, 0);
  EXPECT_EQ(without_sync.synchronizations, 0);
  EXPECT_EQ(
      without_sync.kernels,
      (std::vector<std::string>{"cudet::emulation::(anonymous namespace)::set_flag",
                                "cudet::emulation::(anonymous namespace)::named_template<7>"}));
  cudaDeviceSynchronize();
  array.get();
  const Counters with_sync = counters();
  EXPECT_EQ(with_sync.synchronizations, 2);
  EXPECT_EQ(with_sync.memory_operations, 2);
}

TEST_F(LaunchTest, HostThreadsMayLaunchAtTheSameTime) {
  DeviceArray<unsigned int> counts(4);
  cudaMemset(counts.data(), 0, 16);
  std::vector<std::thread> threads;
  for (unsigned int i = 0; i < 4; ++i) {
    threads.emplace_back([&counts, i] {
      for (int k = 0; k < 20; ++k) {
        run(
            +[](unsigned int* count) { atomicAdd(count, threadIdx.x); }, 2, 33, counts.data() + i);
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(counts.get(), (std::vector<unsigned int>(4, 20 * 2 * 528)));
}

TEST_F(LaunchTest, TheLastErrorIsOneForEachHostThread) {
  EXPECT_EQ(run(do_nothing, 0, 1), cudaErrorInvalidConfiguration);
  std::thread([] { EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess); }).join();
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
}

TEST_F(LaunchTest, ADeviceOfOneKind) {
  int count = 0;
  int device = -1;
  int value = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(device, 0);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0),
            cudaSuccess);
  EXPECT_EQ(value, 232448);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, static_cast<cudaDeviceAttr>(120), 0),
            cudaErrorInvalidValue);
  cudaDeviceProp properties{};
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_STREQ(properties.name, "cudet emulated device");
  EXPECT_EQ(properties.major, 9);
  EXPECT_EQ(properties.multiProcessorCount, 4);
  EXPECT_EQ(cudaRuntimeGetVersion(&value), cudaSuccess);
  EXPECT_EQ(value, CUDART_VERSION);
}

TEST_F(LaunchTest, ErrorsHaveNames) {
  EXPECT_STREQ(cudaGetErrorName(cudaErrorInvalidValue), "cudaErrorInvalidValue");
  EXPECT_STREQ(cudaGetErrorName(cudaErrorStreamCaptureInvalidated),
               "cudaErrorStreamCaptureInvalidated");
  EXPECT_STREQ(cudaGetErrorString(cudaSuccess), "no error");
  EXPECT_STREQ(cudaGetErrorName(static_cast<cudaError_t>(998)), "unrecognized error code");
}

}  // namespace
}  // namespace cudet::emulation
