#include "device.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

#if defined(CUDET_BENCH_WITH_CUDA)
#include <cuda_runtime_api.h>
#endif

namespace cudet::bench {
namespace {

constexpr std::size_t kGiB = std::size_t{1} << 30;

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  std::string model = "unknown processor";
  while (std::getline(file, line)) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      model = line.substr(colon + 2);
      break;
    }
  }
  return fmt::format("{}, {} hardware threads", model, std::thread::hardware_concurrency());
}

#if defined(CUDET_BENCH_WITH_CUDA)

void require(cudaError_t error, const char* action) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(fmt::format("{} failed: {} ({})", action, cudaGetErrorName(error),
                                       cudaGetErrorString(error)));
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

/// Empty where a GPU can be used, and otherwise the reason why none can.
std::string cuda_obstacle() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    return fmt::format("no CUDA device: {} ({})", cudaGetErrorName(error),
                       cudaGetErrorString(error));
  }
  return count > 0 ? std::string() : std::string("no CUDA device");
}

std::string gpu_name() {
  int ordinal = 0;
  cudaDeviceProp properties = {};
  require(cudaGetDevice(&ordinal), "cudaGetDevice");
  require(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  int clock_khz = 0;
  int memory_clock_khz = 0;
  require(cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, ordinal),
          "cudaDevAttrClockRate");
  require(cudaDeviceGetAttribute(&memory_clock_khz, cudaDevAttrMemoryClockRate, ordinal),
          "cudaDevAttrMemoryClockRate");
  // Two transfers a clock, over a bus whose width is in bits.
  const double bytes_per_second = 2e3 * memory_clock_khz * properties.memoryBusWidth / 8.0;
  return fmt::format("{}, compute capability {}.{}, {} SMs at up to {} MHz, {} GiB at {:.0f} GB/s",
                     static_cast<const char*>(properties.name), properties.major, properties.minor,
                     properties.multiProcessorCount, clock_khz / 1000,
                     properties.totalGlobalMem / kGiB, bytes_per_second * 1e-9);
}

#else

std::string cuda_obstacle() {
  return "this gpu_bench was built without CUDA";
}

#endif

}  // namespace

Device::Device(DeviceRequest request) {
  const std::string obstacle =
      request == DeviceRequest::cpu ? std::string("--device cpu") : cuda_obstacle();
  if (request == DeviceRequest::cuda && !obstacle.empty()) {
    throw std::runtime_error("--device cuda: " + obstacle);
  }
  is_cuda_ = obstacle.empty();
  if (!is_cuda_) {
    reason_ = obstacle;
    name_ = cpu_name();
    return;
  }
  reason_ = request == DeviceRequest::cuda ? "--device cuda" : "the first CUDA device";
#if defined(CUDET_BENCH_WITH_CUDA)
  name_ = gpu_name();
  require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  for (void*& event : events_) {
    cudaEvent_t created = nullptr;
    require(cudaEventCreate(&created), "cudaEventCreate");
    event = created;
  }
#endif
}

Device::~Device() {
#if defined(CUDET_BENCH_WITH_CUDA)
  for (void* event : events_) {
    if (event != nullptr) (void)cudaEventDestroy(static_cast<cudaEvent_t>(event));
  }
  if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
#endif
}

std::string Device::cuda_versions() {
#if defined(CUDET_BENCH_WITH_CUDA)
  int runtime = 0;
  int driver = 0;
  (void)cudaRuntimeGetVersion(&runtime);
  (void)cudaDriverGetVersion(&driver);
  return fmt::format("toolkit {}, runtime {}, driver {}", version_text(CUDART_VERSION),
                     version_text(runtime), driver > 0 ? version_text(driver) : "none");
#else
  return "not in this build";
#endif
}

std::size_t Device::free_memory() const {
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) {
    std::size_t available = 0;
    std::size_t total = 0;
    require(cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
    return available;
  }
#endif
  return free_host_memory();
}

Buffer Device::allocate(std::size_t bytes) {
  Buffer buffer;
  buffer.bytes_ = bytes;
  if (bytes == 0) return buffer;
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) {
    void* memory = nullptr;
    require(cudaMalloc(&memory, bytes), "cudaMalloc");
    buffer.memory_ = {memory, [](void* pointer) { (void)cudaFree(pointer); }};
    return buffer;
  }
#endif
  constexpr std::size_t kAlignment = 256;  // of cudaMalloc
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  buffer.memory_ = {std::aligned_alloc(kAlignment, rounded), std::free};
  if (buffer.memory_ == nullptr) {
    throw std::runtime_error(fmt::format("out of memory: {} bytes", bytes));
  }
  return buffer;
}

void Device::upload(const Buffer& buffer, const void* source, std::size_t bytes) {
  if (bytes == 0) return;
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) {
    require(cudaMemcpyAsync(buffer.data(), source, bytes, cudaMemcpyHostToDevice, stream_),
            "cudaMemcpyAsync");
    synchronize();
    return;
  }
#endif
  std::memcpy(buffer.data(), source, bytes);
}

void Device::download(void* destination, const Buffer& buffer) {
  if (buffer.bytes() == 0) return;
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) {
    require(cudaMemcpyAsync(destination, buffer.data(), buffer.bytes(), cudaMemcpyDeviceToHost,
                            stream_),
            "cudaMemcpyAsync");
    synchronize();
    return;
  }
#endif
  std::memcpy(destination, buffer.data(), buffer.bytes());
}

void Device::fill(const Buffer& buffer, int byte) {
  if (buffer.bytes() == 0) return;
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) {
    require(cudaMemsetAsync(buffer.data(), byte, buffer.bytes(), stream_), "cudaMemsetAsync");
    return;
  }
#endif
  std::memset(buffer.data(), byte, buffer.bytes());
}

Execution Device::execution(const Buffer& workspace) const {
  if (!is_cuda_) return Execution::cpu();
  return Execution::cuda(stream_, workspace.data(), workspace.bytes());
}

void Device::synchronize() {
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
#endif
}

double Device::time(const std::function<Status()>& call) {
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) {
    const auto begin = static_cast<cudaEvent_t>(events_[0]);
    const auto end = static_cast<cudaEvent_t>(events_[1]);
    require(cudaEventRecord(begin, stream_), "cudaEventRecord");
    require_ok(call());
    require(cudaEventRecord(end, stream_), "cudaEventRecord");
    require(cudaEventSynchronize(end), "cudaEventSynchronize");
    float milliseconds = 0.0f;
    require(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3;
  }
#endif
  const auto begin = std::chrono::steady_clock::now();
  const Status status = call();
  const auto end = std::chrono::steady_clock::now();
  require_ok(status);
  return std::chrono::duration<double>(end - begin).count();
}

std::size_t free_host_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::size_t kibibytes = 0;
  std::string rest;
  while (file >> key >> kibibytes && std::getline(file, rest)) {
    if (key == "MemAvailable:") return kibibytes * 1024;
  }
  return static_cast<std::size_t>(-1);  // unknown: the allocation itself will tell
}

void require_ok(const Status& status) {
  if (status.ok()) return;
  throw std::runtime_error(fmt::format("{}: {}", to_string(status.code()), status.message()));
}

}  // namespace cudet::bench
