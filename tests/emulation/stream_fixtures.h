// Streams, events and a value to watch them by.
#pragma once

#include "device_array.h"

namespace cudet::emulation {

class Stream {
 public:
  explicit Stream(unsigned int flags = cudaStreamNonBlocking) {
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, flags), cudaSuccess);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { EXPECT_EQ(cudaEventCreate(&event_), cudaSuccess); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// A value that host code can look at without a synchronising call.
class PinnedInt {
 public:
  PinnedInt() {
    EXPECT_EQ(cudaMallocHost(&value_, sizeof(int)), cudaSuccess);
    *value_ = 0;
  }
  PinnedInt(const PinnedInt&) = delete;
  PinnedInt& operator=(const PinnedInt&) = delete;
  ~PinnedInt() { cudaFreeHost(value_); }
  int* data() { return value_; }
  int get() const { return *value_; }

 private:
  int* value_ = nullptr;
};

__global__ inline void add(int* value, int amount) {
  *value += amount;
}
__global__ inline void multiply(int* value, int factor) {
  *value *= factor;
}

inline void launch_on(cudaStream_t stream, void (*kernel)(int*, int), int* value, int operand) {
  const cudaLaunchConfig_t config = launch_config(1, 1, 0, stream);
  ASSERT_EQ(cudaLaunchKernelEx(&config, kernel, value, operand), cudaSuccess);
}

}  // namespace cudet::emulation
