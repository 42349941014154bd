// Buffers and streams of the device, for tests on a real GPU and on the emulated one alike: device
// memory is reached through the CUDA runtime only, and nothing is read before a synchronisation.
#pragma once

#include "guarded_memory.h"
#include "host_tensor.h"

#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace cudet::test {

/// A CUDA runtime call that failed; GoogleTest reports it as the failure of the running test.
struct CudaFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws CudaFailure with `what` unless `error` is cudaSuccess.
void check_cuda(cudaError_t error, const char* what);

/// Bytes of device memory with guards on both sides. `byte_offset` moves the first byte off the
/// 256-byte boundary at which cudaMalloc() places memory. Freed by the destructor, which fails the
/// test where a guard byte has changed.
class DeviceBytes {
 public:
  DeviceBytes(std::size_t bytes, std::size_t byte_offset);
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  ~DeviceBytes();

  void* data() const { return allocation_ + kGuardBytes + byte_offset_; }
  std::size_t size() const { return bytes_; }

  /// Both wait for all work of the device, so that it does not matter which stream used the memory.
  void write(const void* source);
  void read(void* destination) const;

  /// Fails the test where a byte outside the buffer has changed.
  void check_guards() const;

 private:
  std::size_t bytes_;
  std::size_t byte_offset_;
  std::size_t allocated_bytes_;
  char* allocation_ = nullptr;
};

/// A typed array in device memory, poisoned at first.
template <class T>
class DeviceArray {
 public:
  static constexpr DataType kType = DataTypeOf<T>::value;

  explicit DeviceArray(std::size_t count, std::size_t byte_offset = 0)
      : count_(count), bytes_(count * sizeof(T), byte_offset) {
    poison();
  }
  explicit DeviceArray(const std::vector<T>& values, std::size_t byte_offset = 0)
      : DeviceArray(values.size(), byte_offset) {
    upload(values);
  }

  T* data() const { return static_cast<T*>(bytes_.data()); }
  std::size_t count() const { return count_; }

  /// View with `shape`, whose product must be count().
  Tensor tensor(std::initializer_list<std::int64_t> shape) const {
    const Tensor view(data(), shape);
    if (view.element_count() != static_cast<std::int64_t>(count_)) {
      throw std::logic_error("DeviceArray::tensor: the shape does not have count() elements");
    }
    return view;
  }

  void upload(const std::vector<T>& values) {
    if (values.size() != count_) throw std::logic_error("DeviceArray::upload: wrong size");
    bytes_.write(values.data());
  }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    bytes_.read(values.data());
    bytes_.check_guards();
    return values;
  }

  void poison() { bytes_.write(poison_bytes(kType, count_).data()); }
  void poison(T value) { upload(std::vector<T>(count_, value)); }
  void check_guards() const { bytes_.check_guards(); }

 private:
  std::size_t count_;
  DeviceBytes bytes_;
};

/// The device's copy of a HostTensor; absent where that is.
class DeviceTensor {
 public:
  DeviceTensor() = default;
  explicit DeviceTensor(const HostTensor& values, std::size_t byte_offset = 0);

  /// View of the elements; absent where this is.
  Tensor tensor() const;
  Tensor const_tensor() const;

  void upload(const HostTensor& values);
  HostTensor download() const;
  void poison();

 private:
  HostTensor prototype_;  ///< type and shape
  std::unique_ptr<DeviceBytes> bytes_;
};

/// Exactly the bytes that an operation asked for, at an odd address, filled with noise.
class Workspace {
 public:
  explicit Workspace(std::size_t bytes, std::size_t byte_offset = 1);
  void* data() const { return bytes_.size() == 0 ? nullptr : bytes_.data(); }
  std::size_t size() const { return bytes_.size(); }
  void check_guards() const { bytes_.check_guards(); }

 private:
  DeviceBytes bytes_;
};

/// A stream that does not wait for the default stream.
class Stream {
 public:
  Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();
  cudaStream_t get() const { return stream_; }
  void synchronize() const;

 private:
  cudaStream_t stream_ = nullptr;
};

/// The work that `enqueue` puts on a stream, captured, to be launched any number of times.
class Graph {
 public:
  /// Fails the test where `enqueue` answers with an error.
  explicit Graph(const std::function<Status(cudaStream_t)>& enqueue);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph();
  /// Launches the work and waits for it.
  void launch();

 private:
  Stream stream_;
  void* marker_ = nullptr;  ///< written by the graph too, for runtimes differ on empty ones
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

enum class StreamMode { default_stream, other_stream, captured };
inline constexpr StreamMode kStreamModes[] = {StreamMode::default_stream, StreamMode::other_stream,
                                              StreamMode::captured};
const char* to_string(StreamMode mode);

/// Runs `enqueue` on the default stream, on another one, or captured in a graph that is launched
/// twice; after every run it waits and calls `check`. Before every run it calls `poison`, which
/// is to spoil the outputs. Fails the test where `enqueue` answers with an error.
void run_in_mode(StreamMode mode, const std::function<Status(cudaStream_t)>& enqueue,
                 const std::function<void()>& poison, const std::function<void()>& check);

}  // namespace cudet::test
