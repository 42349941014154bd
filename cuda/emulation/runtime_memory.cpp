// Allocation, copies and fills.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <cudet_emulation/runtime_api.h>

#include "errors.h"
#include "runtime.h"

namespace cudet::emulation {
namespace {

cudaError_t allocate(void** pointer, std::size_t bytes, cudaMemoryType type) {
  return runtime_call([&](Runtime& state) {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    ++state.counters.allocations;
    const cudaError_t forbidden = forbid_while_capturing(state);
    if (forbidden != cudaSuccess) return forbidden;
    const bool planned_failure =
        state.allocations_until_failure > 0 && --state.allocations_until_failure == 0;
    if (planned_failure) return cudaErrorMemoryAllocation;
    *pointer = bytes == 0 ? nullptr : state.memory.allocate(bytes, type);
    return bytes != 0 && *pointer == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}

cudaError_t release_memory(void* pointer, cudaMemoryType type) {
  return release_call([&](Runtime& state) {
    ++state.counters.frees;
    const cudaError_t forbidden = forbid_while_capturing(state);
    if (forbidden != cudaSuccess || pointer == nullptr) return forbidden;
    // Queued work may use the memory, so freeing waits for it, as CUDA does.
    synchronize_device(state);
    std::string damage;
    if (!state.memory.free(pointer, type, damage)) return cudaErrorInvalidValue;
    return state.kernel_error;
  });
}

bool fits_direction(cudaMemcpyKind kind, bool to_device, bool from_device) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
      return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
      return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
      return to_device && from_device;
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

cudaError_t enqueue_copy(Runtime& state, void* to, const void* from, std::size_t bytes,
                         cudaMemcpyKind kind, cudaStream_t stream) {
  ++state.counters.memory_operations;
  if (bytes == 0) return cudaSuccess;
  if (to == nullptr || from == nullptr) return cudaErrorInvalidValue;
  const MemoryRegistry::Location target = state.memory.locate(to, bytes);
  const MemoryRegistry::Location source = state.memory.locate(from, bytes);
  if (target.exceeds || source.exceeds ||
      !fits_direction(kind, target.type == cudaMemoryTypeDevice,
                      source.type == cudaMemoryTypeDevice)) {
    return cudaErrorInvalidValue;
  }
  CUstream_st* const found = find_stream(state, stream);
  const bool executes_later = state.deferred && found != nullptr && found->capture == nullptr;
  if (executes_later && source.type == cudaMemoryTypeUnregistered) {
    // CUDA has read pageable memory when the call returns.
    const auto* first = static_cast<const unsigned char*>(from);
    std::vector<unsigned char> staged(first, first + bytes);
    return enqueue(state, stream, cudaGraphNodeTypeMemcpy, [to, staged = std::move(staged)] {
      std::memcpy(to, staged.data(), staged.size());
    });
  }
  return enqueue(state, stream, cudaGraphNodeTypeMemcpy, [=] { std::memmove(to, from, bytes); });
}

cudaError_t enqueue_fill(Runtime& state, void* to, int value, std::size_t bytes,
                         cudaStream_t stream) {
  ++state.counters.memory_operations;
  if (bytes == 0) return cudaSuccess;
  const MemoryRegistry::Location target = state.memory.locate(to, bytes);
  if (target.type == cudaMemoryTypeUnregistered || target.exceeds) return cudaErrorInvalidValue;
  return enqueue(state, stream, cudaGraphNodeTypeMemset, [=] { std::memset(to, value, bytes); });
}

}  // namespace
}  // namespace cudet::emulation

namespace emulation = cudet::emulation;
using cudet::emulation::Runtime;
using cudet::emulation::runtime_call;

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return emulation::allocate(pointer, bytes, cudaMemoryTypeDevice);
}

cudaError_t cudaFree(void* pointer) {
  return emulation::release_memory(pointer, cudaMemoryTypeDevice);
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return emulation::allocate(pointer, bytes, cudaMemoryTypeHost);
}

cudaError_t cudaFreeHost(void* pointer) {
  return emulation::release_memory(pointer, cudaMemoryTypeHost);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return runtime_call([&](Runtime& state) {
    ++state.counters.synchronizations;
    cudaError_t error = emulation::forbid_while_capturing(state);
    if (error != cudaSuccess) return error;
    error = emulation::enqueue_copy(state, to, from, bytes, kind, nullptr);
    if (error != cudaSuccess) return error;
    emulation::execute_until(state, state.legacy_stream, state.next_sequence);
    return emulation::check_guards(state);
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return runtime_call([&](Runtime& state) {
    return emulation::enqueue_copy(state, to, from, bytes, kind, stream);
  });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return runtime_call([&](Runtime& state) {
    const cudaError_t forbidden = emulation::forbid_while_capturing(state);
    if (forbidden != cudaSuccess) return forbidden;
    return emulation::enqueue_fill(state, to, value, bytes, nullptr);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return runtime_call(
      [&](Runtime& state) { return emulation::enqueue_fill(state, to, value, bytes, stream); });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return runtime_call([&](Runtime& state) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    const cudaMemoryType type = state.memory.locate(pointer, 1).type;
    const bool known = type != cudaMemoryTypeUnregistered;
    void* const address = const_cast<void*>(pointer);
    *attributes = {type, known ? 0 : -2, known ? address : nullptr,
                   type == cudaMemoryTypeDevice ? nullptr : address};
    return cudaSuccess;
  });
}
