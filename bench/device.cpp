#include "device.h"

#include "host_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#if defined(CUDET_BENCH_WITH_CUDA)
#include <cuda_runtime_api.h>
#endif

namespace cudet::bench {

/// Copies of one content, each on a boundary of kAlignment bytes.
struct Buffer::Memory {
  std::unique_ptr<void, void (*)(void*)> start{nullptr, [](void*) {}};
  std::size_t stride = 0;  ///< from one copy to the next
  std::size_t copies = 1;
  const std::size_t* rotation = nullptr;  ///< of the device

  char* copy(std::size_t index) const {
    return static_cast<char*>(start.get()) + index % copies * stride;
  }
};

void* Buffer::data() const {
  return memory_ == nullptr ? nullptr : memory_->copy(*memory_->rotation);
}

namespace {

constexpr std::size_t kAlignment = 256;  // of cudaMalloc

/// Copies of an input, and the size from which on one is enough.
constexpr int kInputCopies = 3;
constexpr std::size_t kLargeInput = std::size_t{64} << 20;

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

DeviceProperties gpu_properties() {
  int ordinal = 0;
  cudaDeviceProp cuda = {};
  require(cudaGetDevice(&ordinal), "cudaGetDevice");
  require(cudaGetDeviceProperties(&cuda, ordinal), "cudaGetDeviceProperties");
  int clock_khz = 0;
  int memory_clock_khz = 0;
  require(cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, ordinal),
          "cudaDevAttrClockRate");
  require(cudaDeviceGetAttribute(&memory_clock_khz, cudaDevAttrMemoryClockRate, ordinal),
          "cudaDevAttrMemoryClockRate");
  DeviceProperties properties;
  properties.name = fmt::format("{}, compute capability {}.{}", static_cast<const char*>(cuda.name),
                                cuda.major, cuda.minor);
  properties.units = cuda.multiProcessorCount;
  properties.clock_mhz = clock_khz / 1e3;
  properties.memory_clock_mhz = memory_clock_khz / 1e3;
  // Two transfers a clock, over a bus whose width is in bits.
  properties.bytes_per_second = 2e3 * memory_clock_khz * cuda.memoryBusWidth / 8.0;
  properties.memory_bytes = cuda.totalGlobalMem;
  properties.cache_bytes = static_cast<std::size_t>(std::max(0, cuda.l2CacheSize));
  return properties;
}

#else

std::string cuda_obstacle() {
  return "this gpu_bench was built without CUDA";
}

#endif

}  // namespace

std::string DeviceProperties::text() const {
  std::string text = name;
  if (bytes_per_second > 0.0) {
    text += fmt::format(", {} SMs at up to {:.0f} MHz, {} GiB at {:.0f} GB/s", units, clock_mhz,
                        memory_bytes >> 30, bytes_per_second * 1e-9);
  } else {
    text += fmt::format(", {} hardware threads", units);
    if (clock_mhz > 0.0) text += fmt::format(" at {:.0f} MHz", clock_mhz);
  }
  return text;
}

Device::Device(DeviceRequest request) {
  const std::string obstacle =
      request == DeviceRequest::cpu ? std::string("--device cpu") : cuda_obstacle();
  if (request == DeviceRequest::cuda && !obstacle.empty()) {
    throw std::runtime_error("--device cuda: " + obstacle);
  }
  is_cuda_ = obstacle.empty();
  if (!is_cuda_) {
    reason_ = obstacle;
    properties_ = host_properties();
    return;
  }
  reason_ = request == DeviceRequest::cuda ? "--device cuda" : "the first CUDA device";
#if defined(CUDET_BENCH_WITH_CUDA)
  properties_ = gpu_properties();
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

Buffer Device::allocate(std::size_t bytes, int copies) {
  Buffer buffer;
  buffer.bytes_ = bytes;
  if (bytes == 0) return buffer;
  buffer.memory_ = std::make_shared<Buffer::Memory>();
  Buffer::Memory& memory = *buffer.memory_;
  memory.stride = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  memory.copies = static_cast<std::size_t>(copies);
  memory.rotation = &rotation_;
  const std::size_t all_bytes = memory.stride * memory.copies;
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) {
    void* start = nullptr;
    require(cudaMalloc(&start, all_bytes), "cudaMalloc");
    memory.start = {start, [](void* pointer) { (void)cudaFree(pointer); }};
    return buffer;
  }
#endif
  memory.start = {std::aligned_alloc(kAlignment, all_bytes), std::free};
  if (memory.start == nullptr) {
    throw std::runtime_error(fmt::format("out of memory: {} bytes", all_bytes));
  }
  const auto is_gone = [](const auto& other) { return other.expired(); };
  buffers_.erase(std::remove_if(buffers_.begin(), buffers_.end(), is_gone), buffers_.end());
  buffers_.push_back(buffer.memory_);
  return buffer;
}

Buffer Device::input_of(const void* source, std::size_t bytes) {
  Buffer buffer = allocate(bytes, bytes < kLargeInput ? kInputCopies : 1);
  for (int i = 0; i < kInputCopies; ++i, rotate_inputs())
    upload(buffer, source, bytes);
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

bool Device::evict_caches() {
  if (is_cuda_) {
    if (eviction_.bytes() == 0) eviction_ = allocate(2 * properties_.cache_bytes);
    fill(eviction_, 0);
    return true;
  }
  for (const auto& buffer : buffers_) {
    const std::shared_ptr<Buffer::Memory> memory = buffer.lock();
    if (memory == nullptr) continue;
    if (!evict_from_caches(memory->copy(rotation_), memory->stride)) return false;
  }
  return true;
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

double Device::time(const std::function<Status()>& call, int count) {
#if defined(CUDET_BENCH_WITH_CUDA)
  if (is_cuda_) {
    const auto begin = static_cast<cudaEvent_t>(events_[0]);
    const auto end = static_cast<cudaEvent_t>(events_[1]);
    require(cudaEventRecord(begin, stream_), "cudaEventRecord");
    for (int i = 0; i < count; ++i)
      require_ok(call());
    require(cudaEventRecord(end, stream_), "cudaEventRecord");
    require(cudaEventSynchronize(end), "cudaEventSynchronize");
    float milliseconds = 0.0f;
    require(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3 / count;
  }
#endif
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i)
    require_ok(call());
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(end - begin).count() / count;
}

#if defined(CUDET_BENCH_WITH_CUDA)

GraphReplay::GraphReplay(Device& device, const std::function<Status()>& call)
    : stream_(device.stream()) {
  if (!device.is_cuda()) throw std::runtime_error("the CPU has no graphs");
  require(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
          "cudaStreamBeginCapture");
  const Status status = call();
  cudaGraph_t captured = nullptr;
  require(cudaStreamEndCapture(stream_, &captured), "cudaStreamEndCapture");
  const std::unique_ptr<CUgraph_st, void (*)(cudaGraph_t)> owner(
      captured, [](cudaGraph_t graph) { (void)cudaGraphDestroy(graph); });
  require_ok(status);
  require(cudaGraphGetNodes(captured, nullptr, &nodes_), "cudaGraphGetNodes");
  cudaGraphExec_t executable = nullptr;
  require(cudaGraphInstantiate(&executable, captured, 0), "cudaGraphInstantiate");
  graph_ = executable;
}

GraphReplay::~GraphReplay() {
  if (graph_ != nullptr) (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph_));
}

Status GraphReplay::launch() {
  const cudaError_t error = cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph_), stream_);
  if (error == cudaSuccess) return Status();
  return Status::error(StatusCode::cuda_error, "cudaGraphLaunch: %s", cudaGetErrorString(error));
}

#else

GraphReplay::GraphReplay(Device&, const std::function<Status()>&) {
  throw std::runtime_error("this gpu_bench was built without CUDA");
}
GraphReplay::~GraphReplay() = default;
Status GraphReplay::launch() {
  return Status();
}

#endif

void require_ok(const Status& status) {
  if (status.ok()) return;
  throw std::runtime_error(fmt::format("{}: {}", to_string(status.code()), status.message()));
}

}  // namespace cudet::bench
