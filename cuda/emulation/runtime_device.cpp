// The errors' names and the device's properties.
#include <climits>
#include <cstdio>

#include <cudet_emulation/runtime_api.h>

#include "runtime.h"
#include "shared_arena.h"

namespace emulation = cudet::emulation;
using cudet::emulation::Runtime;
using cudet::emulation::runtime_call;

namespace {

// Those of an H100, but for the number of multiprocessors: grids that fill the device stay small.
struct AttributeValue {
  cudaDeviceAttr attribute;
  int value;
};
constexpr AttributeValue kAttributes[] = {
    {cudaDevAttrMaxThreadsPerBlock, 1024},
    {cudaDevAttrMaxBlockDimX, 1024},
    {cudaDevAttrMaxBlockDimY, 1024},
    {cudaDevAttrMaxBlockDimZ, 64},
    {cudaDevAttrMaxGridDimX, INT_MAX},
    {cudaDevAttrMaxGridDimY, 65535},
    {cudaDevAttrMaxGridDimZ, 65535},
    {cudaDevAttrMaxSharedMemoryPerBlock, emulation::kSharedLimit},
    {cudaDevAttrTotalConstantMemory, 64 * 1024},
    {cudaDevAttrWarpSize, 32},
    {cudaDevAttrMaxRegistersPerBlock, 65536},
    {cudaDevAttrClockRate, 1980000},
    {cudaDevAttrMultiProcessorCount, 4},
    {cudaDevAttrIntegrated, 0},
    {cudaDevAttrEccEnabled, 0},
    {cudaDevAttrMemoryClockRate, 2619000},
    {cudaDevAttrGlobalMemoryBusWidth, 5120},
    {cudaDevAttrL2CacheSize, 50 * 1024 * 1024},
    {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
    {cudaDevAttrComputeCapabilityMajor, 9},
    {cudaDevAttrComputeCapabilityMinor, 0},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, 228 * 1024},
    {cudaDevAttrMaxRegistersPerMultiprocessor, 65536},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, emulation::kSharedOptInLimit},
    {cudaDevAttrMaxBlocksPerMultiprocessor, 32},
};
constexpr std::size_t kGlobalMemory = std::size_t{4} << 30;

// INT_MIN if there is no such attribute.
constexpr int attribute_value(cudaDeviceAttr attribute) {
  for (const AttributeValue& entry : kAttributes) {
    if (entry.attribute == attribute) return entry.value;
  }
  return INT_MIN;
}

cudaError_t set_version(int* version) {
  return runtime_call([&](Runtime&) {
    if (version == nullptr) return cudaErrorInvalidValue;
    *version = CUDART_VERSION;
    return cudaSuccess;
  });
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define CUDET_EMULATION_CASE(name, value, text) \
  case name:                                    \
    return #name;
    CUDET_EMULATION_ERRORS(CUDET_EMULATION_CASE)
#undef CUDET_EMULATION_CASE
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
#define CUDET_EMULATION_CASE(name, value, text) \
  case name:                                    \
    return text;
    CUDET_EMULATION_ERRORS(CUDET_EMULATION_CASE)
#undef CUDET_EMULATION_CASE
  }
  return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError() {
  Runtime& state = emulation::runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  return state.kernel_error != cudaSuccess ? state.kernel_error : emulation::last_error;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  emulation::last_error = cudaSuccess;
  return error;
}

cudaError_t cudaGetDeviceCount(int* count) {
  return runtime_call([&](Runtime&) {
    if (count == nullptr) return cudaErrorInvalidValue;
    *count = 1;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return runtime_call([&](Runtime&) {
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return runtime_call([&](Runtime&) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return runtime_call([&](Runtime&) {
    if (device != 0) return cudaErrorInvalidDevice;
    const int found = attribute_value(attribute);
    if (value == nullptr || found == INT_MIN) return cudaErrorInvalidValue;
    *value = found;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return runtime_call([&](Runtime&) {
    if (device != 0) return cudaErrorInvalidDevice;
    if (properties == nullptr) return cudaErrorInvalidValue;
    *properties = {};
    std::snprintf(properties->name, sizeof(properties->name), "cudet emulated device");
    properties->totalGlobalMem = kGlobalMemory;
    properties->sharedMemPerBlock = emulation::kSharedLimit;
    properties->sharedMemPerBlockOptin = emulation::kSharedOptInLimit;
    properties->sharedMemPerMultiprocessor = 228 * 1024;
    properties->warpSize = attribute_value(cudaDevAttrWarpSize);
    properties->maxThreadsPerBlock = attribute_value(cudaDevAttrMaxThreadsPerBlock);
    properties->maxThreadsPerMultiProcessor =
        attribute_value(cudaDevAttrMaxThreadsPerMultiProcessor);
    properties->maxThreadsDim[0] = attribute_value(cudaDevAttrMaxBlockDimX);
    properties->maxThreadsDim[1] = attribute_value(cudaDevAttrMaxBlockDimY);
    properties->maxThreadsDim[2] = attribute_value(cudaDevAttrMaxBlockDimZ);
    properties->maxGridSize[0] = attribute_value(cudaDevAttrMaxGridDimX);
    properties->maxGridSize[1] = attribute_value(cudaDevAttrMaxGridDimY);
    properties->maxGridSize[2] = attribute_value(cudaDevAttrMaxGridDimZ);
    properties->major = attribute_value(cudaDevAttrComputeCapabilityMajor);
    properties->minor = attribute_value(cudaDevAttrComputeCapabilityMinor);
    properties->multiProcessorCount = attribute_value(cudaDevAttrMultiProcessorCount);
    properties->memoryBusWidth = attribute_value(cudaDevAttrGlobalMemoryBusWidth);
    properties->l2CacheSize = attribute_value(cudaDevAttrL2CacheSize);
    return cudaSuccess;
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  return set_version(version);
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return set_version(version);
}

cudaError_t cudaDeviceSynchronize() {
  return runtime_call([](Runtime& state) {
    ++state.counters.synchronizations;
    const cudaError_t forbidden = emulation::forbid_while_capturing(state);
    return forbidden != cudaSuccess ? forbidden : emulation::synchronize_device(state);
  });
}
