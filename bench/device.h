// The device that is measured, a GPU or the CPU: its memory, its clock and what it is called. All
// CUDA calls of gpu_bench but those of limits.cu and of the baselines are in device.cpp.
#pragma once

#include <cudet/execution.h>
#include <cudet/status.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace cudet::bench {

enum class DeviceRequest { automatic, cuda, cpu };

class Device;

/// Memory of a device, freed with the object, which must not outlive the device.
class Buffer {
 public:
  Buffer() = default;
  /// Of an input that Device::input_of made, another copy after each Device::rotate_inputs().
  void* data() const;
  template <class T>
  T* data_as() const {
    return static_cast<T*>(data());
  }
  /// Of one copy.
  std::size_t bytes() const { return bytes_; }

 private:
  friend class Device;
  struct Memory;
  std::shared_ptr<Memory> memory_;
  std::size_t bytes_ = 0;
};

/// What the device says of itself; 0 where it says nothing.
struct DeviceProperties {
  std::string name;
  int units = 0;  ///< multiprocessors, or hardware threads
  double clock_mhz = 0.0;
  double memory_clock_mhz = 0.0;
  double bytes_per_second = 0.0;  ///< of the memory, by its clock and the width of its bus
  std::size_t memory_bytes = 0;
  std::size_t cache_bytes = 0;  ///< of the last level

  std::string text() const;
};

class Device {
 public:
  /// Takes the device that was asked for; `automatic` takes a GPU where there is one. Throws
  /// std::runtime_error where there is none of the kind.
  explicit Device(DeviceRequest request);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  bool is_cuda() const { return is_cuda_; }

  /// "CUDA" or "CPU", and why this one.
  std::string kind() const { return is_cuda_ ? "CUDA" : "CPU"; }
  const std::string& reason() const { return reason_; }

  const DeviceProperties& properties() const { return properties_; }

  /// Versions of the CUDA toolkit, runtime and driver; "not in this build" without CUDA.
  static std::string cuda_versions();

  std::size_t free_memory() const;

  Buffer allocate(std::size_t bytes) { return allocate(bytes, 1); }
  void upload(const Buffer& buffer, const void* source, std::size_t bytes);
  void download(void* destination, const Buffer& buffer);
  void fill(const Buffer& buffer, int byte);

  /// A buffer that holds a copy of `values`.
  template <class T>
  Buffer copy_of(const std::vector<T>& values) {
    Buffer buffer = allocate(values.size() * sizeof(T));
    upload(buffer, values.data(), buffer.bytes());
    return buffer;
  }

  /// A buffer that holds several copies, so that a call may find inputs that the one before did not
  /// read; one copy where they are large enough to push each other out of the caches.
  template <class T>
  Buffer input_of(const std::vector<T>& values) {
    return input_of(values.data(), values.size() * sizeof(T));
  }

  /// All inputs move on to their next copies.
  void rotate_inputs() { ++rotation_; }

  /// Brings the memory of all buffers, of inputs the present copies, out of the caches: on a GPU by
  /// filling its second-level cache with something else, on the CPU line by line. False where this
  /// CPU cannot do that.
  bool evict_caches();

  Execution execution(const Buffer& workspace) const;
  cudaStream_t stream() const { return stream_; }

  /// Waits until all work is done; throws where some of it failed.
  void synchronize();

  /// Seconds that the device takes for `count` calls in a row, divided by `count`: between two
  /// events on its stream, or by the clock of the CPU. Throws where a call fails.
  double time(const std::function<Status()>& call, int count = 1);

 private:
  friend class Buffer;
  Buffer allocate(std::size_t bytes, int copies);
  Buffer input_of(const void* source, std::size_t bytes);

  bool is_cuda_ = false;
  std::string reason_;
  DeviceProperties properties_;
  cudaStream_t stream_ = nullptr;
  void* events_[2] = {nullptr, nullptr};
  std::size_t rotation_ = 0;
  std::vector<std::weak_ptr<Buffer::Memory>> buffers_;
  Buffer eviction_;  ///< on a GPU: written to evict what was there
};

/// A call captured in a CUDA graph: its launches without the host's part of them.
class GraphReplay {
 public:
  /// Throws where there is no GPU or the call cannot be captured.
  GraphReplay(Device& device, const std::function<Status()>& call);
  ~GraphReplay();
  GraphReplay(const GraphReplay&) = delete;
  GraphReplay& operator=(const GraphReplay&) = delete;

  /// Kernels, copies and fills of a call.
  std::size_t nodes() const { return nodes_; }
  Status launch();

 private:
  cudaStream_t stream_ = nullptr;
  void* graph_ = nullptr;
  std::size_t nodes_ = 0;
};

/// Throws std::runtime_error with the message of a failed status.
void require_ok(const Status& status);

}  // namespace cudet::bench
