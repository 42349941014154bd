// What the tests of the emulated device share: arrays in its memory, launches, a fixture that
// leaves the device as it was.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "cuda/emulation/device.h"

namespace cudet::emulation {

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    EXPECT_EQ(cudaMalloc(&data_, count * sizeof(T)), cudaSuccess);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { set(values); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T* data() { return data_; }

  void set(const std::vector<T>& values) {
    ASSERT_EQ(values.size(), count_);
    EXPECT_EQ(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }

  std::vector<T> get() const {
    std::vector<T> values(count_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost),
              cudaSuccess);
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

inline cudaLaunchConfig_t launch_config(dim3 grid, dim3 block, std::size_t dynamic_bytes = 0,
                                        cudaStream_t stream = nullptr) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_bytes;
  config.stream = stream;
  return config;
}

template <typename... Parameters, typename... Arguments>
cudaError_t run(void (*kernel)(Parameters...), dim3 grid, dim3 block, Arguments&&... arguments) {
  const cudaLaunchConfig_t config = launch_config(grid, block);
  return cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
}

class EmulationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    allocations_before_ = live_allocations();
    mark();
  }
  void TearDown() override {
    set_deferred(false);
    reset();
    set_seed(1);
    EXPECT_EQ(live_allocations(), allocations_before_);
  }

 private:
  int allocations_before_ = 0;
};

}  // namespace cudet::emulation
