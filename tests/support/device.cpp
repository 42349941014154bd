#include "device.h"

#include <cstring>

#if defined(CUDET_EMULATED) && defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define CUDET_TEST_POISONED_GUARDS 1
#else
#define CUDET_TEST_POISONED_GUARDS 0
#endif

namespace cudet::test {
namespace {

/// The memory of the emulated device is the host's: with AddressSanitizer its guards can be closed,
/// so that reads outside a buffer are found as well.
void close_guard([[maybe_unused]] const void* guard, [[maybe_unused]] std::size_t bytes) {
#if CUDET_TEST_POISONED_GUARDS
  ASAN_POISON_MEMORY_REGION(guard, bytes);
#endif
}

void open_guard([[maybe_unused]] const void* guard, [[maybe_unused]] std::size_t bytes) {
#if CUDET_TEST_POISONED_GUARDS
  ASAN_UNPOISON_MEMORY_REGION(guard, bytes);
#endif
}

std::string guard_failure(const std::vector<std::uint8_t>& guard, const char* side) {
  const std::size_t broken = first_broken_guard(guard.data(), guard.size());
  if (broken == guard.size()) return "";
  return "a byte " + std::string(side) + " the device buffer was written: byte " +
         std::to_string(broken) + " of a guard of " + std::to_string(guard.size());
}

}  // namespace

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // a failure that is not sticky must not surface in the next test
  throw CudaFailure(std::string(what) + " failed: " + cudaGetErrorName(error) + " (" +
                    cudaGetErrorString(error) + ")");
}

DeviceBytes::DeviceBytes(std::size_t bytes, std::size_t byte_offset)
    : bytes_(bytes),
      byte_offset_(byte_offset),
      allocated_bytes_(kGuardBytes + byte_offset + bytes + kGuardBytes) {
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, allocated_bytes_), "cudaMalloc");
  allocation_ = static_cast<char*>(memory);
  const cudaError_t error = cudaMemset(memory, kGuardByte, allocated_bytes_);
  if (error != cudaSuccess) {
    (void)cudaFree(memory);
    check_cuda(error, "cudaMemset");
  }
  check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  close_guard(allocation_, kGuardBytes + byte_offset_);
  close_guard(allocation_ + kGuardBytes + byte_offset_ + bytes_, kGuardBytes);
}

DeviceBytes::~DeviceBytes() {
  try {
    check_guards();
  } catch (const CudaFailure& failure) {
    ADD_FAILURE() << "checking the guards of a device buffer: " << failure.what();
  }
  open_guard(allocation_, allocated_bytes_);
  EXPECT_EQ(cudaFree(allocation_), cudaSuccess);
}

void DeviceBytes::write(const void* source) {
  check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  if (bytes_ > 0) {
    check_cuda(cudaMemcpy(data(), source, bytes_, cudaMemcpyHostToDevice), "cudaMemcpy to device");
  }
  // A copy from pageable memory may return before the device holds the last of it, and streams that
  // do not wait for the default stream would not wait for it either.
  check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

void DeviceBytes::read(void* destination) const {
  check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  if (bytes_ == 0) return;
  check_cuda(cudaMemcpy(destination, data(), bytes_, cudaMemcpyDeviceToHost),
             "cudaMemcpy from device");
}

void DeviceBytes::check_guards() const {
  const std::size_t before_bytes = kGuardBytes + byte_offset_;
  char* behind = allocation_ + before_bytes + bytes_;
  std::vector<std::uint8_t> before(before_bytes);
  std::vector<std::uint8_t> after(kGuardBytes);
  open_guard(allocation_, before_bytes);
  open_guard(behind, kGuardBytes);
  check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  check_cuda(cudaMemcpy(before.data(), allocation_, before_bytes, cudaMemcpyDeviceToHost),
             "cudaMemcpy from device");
  check_cuda(cudaMemcpy(after.data(), behind, kGuardBytes, cudaMemcpyDeviceToHost),
             "cudaMemcpy from device");
  close_guard(allocation_, before_bytes);
  close_guard(behind, kGuardBytes);
  EXPECT_EQ(guard_failure(before, "before"), "");
  EXPECT_EQ(guard_failure(after, "behind"), "");
}

DeviceTensor::DeviceTensor(const HostTensor& values, std::size_t byte_offset) : prototype_(values) {
  if (!values.present()) return;
  bytes_ = std::make_unique<DeviceBytes>(values.byte_count(), byte_offset);
  upload(values);
}

Tensor DeviceTensor::tensor() const {
  if (!prototype_.present()) return Tensor();
  return Tensor(bytes_->data(), prototype_.type(), static_cast<int>(prototype_.shape().size()),
                prototype_.shape().data());
}

Tensor DeviceTensor::const_tensor() const {
  if (!prototype_.present()) return Tensor();
  return Tensor(bytes_->data(), prototype_.type(), static_cast<int>(prototype_.shape().size()),
                prototype_.shape().data(), nullptr, true);
}

void DeviceTensor::upload(const HostTensor& values) {
  if (values.present() != prototype_.present() || values.type() != prototype_.type() ||
      values.shape() != prototype_.shape()) {
    throw std::logic_error("DeviceTensor::upload: type or shape differ");
  }
  if (values.present()) bytes_->write(values.data());
}

HostTensor DeviceTensor::download() const {
  if (!prototype_.present()) return HostTensor();
  HostTensor values(prototype_.type(), prototype_.shape());
  bytes_->read(values.data());
  bytes_->check_guards();
  return values;
}

void DeviceTensor::poison() {
  if (prototype_.present()) {
    bytes_->write(poison_bytes(prototype_.type(), prototype_.count()).data());
  }
}

Workspace::Workspace(std::size_t bytes, std::size_t byte_offset) : bytes_(bytes, byte_offset) {
  std::vector<std::uint8_t> noise(bytes);
  std::uint32_t state = 12345;
  for (std::uint8_t& byte : noise) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  bytes_.write(noise.data());
}

Stream::Stream() {
  check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
             "cudaStreamCreateWithFlags");
}

Stream::~Stream() {
  EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
}

void Stream::synchronize() const {
  check_cuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

Graph::Graph(const std::function<Status(cudaStream_t)>& enqueue) {
  check_cuda(cudaMalloc(&marker_, 1), "cudaMalloc");
  check_cuda(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal),
             "cudaStreamBeginCapture");
  const cudaError_t marked = cudaMemsetAsync(marker_, 0, 1, stream_.get());
  const Status status = enqueue(stream_.get());
  const cudaError_t error = cudaStreamEndCapture(stream_.get(), &graph_);
  EXPECT_TRUE(status.ok()) << status.message();
  check_cuda(error, "cudaStreamEndCapture");
  check_cuda(marked, "cudaMemsetAsync");
  check_cuda(cudaGraphInstantiate(&executable_, graph_, 0), "cudaGraphInstantiate");
}

Graph::~Graph() {
  if (executable_ != nullptr) {
    EXPECT_EQ(cudaGraphExecDestroy(executable_), cudaSuccess);
  }
  if (graph_ != nullptr) {
    EXPECT_EQ(cudaGraphDestroy(graph_), cudaSuccess);
  }
  EXPECT_EQ(cudaFree(marker_), cudaSuccess);
}

void Graph::launch() {
  check_cuda(cudaGraphLaunch(executable_, stream_.get()), "cudaGraphLaunch");
  stream_.synchronize();
}

const char* to_string(StreamMode mode) {
  switch (mode) {
    case StreamMode::default_stream:
      return "default_stream";
    case StreamMode::other_stream:
      return "other_stream";
    case StreamMode::captured:
      return "captured";
  }
  return "unknown";
}

void run_in_mode(StreamMode mode, const std::function<Status(cudaStream_t)>& enqueue,
                 const std::function<void()>& poison, const std::function<void()>& check) {
  SCOPED_TRACE(to_string(mode));
  if (mode == StreamMode::captured) {
    Graph graph(enqueue);
    for (int replay = 0; replay < 2; ++replay) {
      SCOPED_TRACE("launch " + std::to_string(replay) + " of the graph");
      poison();
      graph.launch();
      check();
    }
    return;
  }
  const auto run_on = [&](cudaStream_t stream) {
    poison();
    const Status status = enqueue(stream);
    EXPECT_TRUE(status.ok()) << status.message();
    check_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    check();
  };
  if (mode == StreamMode::default_stream) {
    run_on(nullptr);
  } else {
    const Stream stream;
    run_on(stream.get());
  }
}

}  // namespace cudet::test
