// The device that is measured, a GPU or the CPU: its memory, its clock and what it is called. All
// CUDA calls of gpu_bench are in device.cpp.
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

/// Memory of a device, freed with the object.
class Buffer {
 public:
  Buffer() = default;
  void* data() const { return memory_.get(); }
  template <class T>
  T* data_as() const {
    return static_cast<T*>(memory_.get());
  }
  std::size_t bytes() const { return bytes_; }

 private:
  friend class Device;
  std::unique_ptr<void, void (*)(void*)> memory_{nullptr, [](void*) {}};
  std::size_t bytes_ = 0;
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

  /// Name, size and limits: of a GPU its clock and the bandwidth of its memory.
  const std::string& name() const { return name_; }

  /// Versions of the CUDA toolkit, runtime and driver; "not in this build" without CUDA.
  static std::string cuda_versions();

  std::size_t free_memory() const;

  Buffer allocate(std::size_t bytes);
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

  Execution execution(const Buffer& workspace) const;

  /// Waits until all work is done; throws where some of it failed.
  void synchronize();

  /// Seconds that the device takes for one call: between two events on its stream, or by the clock
  /// of the CPU. Throws where the call fails.
  double time(const std::function<Status()>& call);

 private:
  bool is_cuda_ = false;
  std::string reason_;
  std::string name_;
  cudaStream_t stream_ = nullptr;
  void* events_[2] = {nullptr, nullptr};
};

/// Memory that the host can still give, in bytes.
std::size_t free_host_memory();

/// Throws std::runtime_error with the message of a failed status.
void require_ok(const Status& status);

}  // namespace cudet::bench
