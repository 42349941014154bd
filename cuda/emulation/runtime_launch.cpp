// Launching kernels: the checks that CUDA makes before one runs.
#include <climits>
#include <memory>
#include <unordered_map>
#include <utility>

#include <cudet_emulation/launch.h>

#include "kernel_launch.h"
#include "runtime.h"
#include "shared_arena.h"
#include "symbol_name.h"

namespace cudet::emulation {
namespace {

constexpr std::uint64_t kMaxThreads = 1024;
constexpr unsigned int kMaxBlockZ = 64;
constexpr unsigned int kMaxGridYZ = 65535;

// Looked up once, since reading a symbol table takes milliseconds.
const std::string& kernel_name(const void* function) {
  static auto& names = *new std::unordered_map<const void*, std::string>;
  const auto found = names.find(function);
  if (found != names.end()) return found->second;
  return names.emplace(function, symbol_name(function)).first->second;
}

bool valid_dimensions(const dim3& grid, const dim3& block) {
  const bool any_zero =
      grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0;
  const bool grid_fits = grid.x <= INT_MAX && grid.y <= kMaxGridYZ && grid.z <= kMaxGridYZ;
  const bool block_fits = block.x <= kMaxThreads && block.y <= kMaxThreads &&
                          block.z <= kMaxBlockZ &&
                          std::uint64_t{block.x} * block.y * block.z <= kMaxThreads;
  return !any_zero && grid_fits && block_fits;
}

// Programmatic stream serialization allows overlap and demands nothing; other attributes ask for
// what is not emulated.
bool valid_attributes(const cudaLaunchConfig_t& config) {
  for (unsigned int i = 0; i < config.numAttrs; ++i) {
    const cudaLaunchAttributeID id = config.attrs[i].id;
    if (id != cudaLaunchAttributeIgnore &&
        id != cudaLaunchAttributeProgrammaticStreamSerialization) {
      return false;
    }
  }
  return true;
}

}  // namespace

cudaError_t launch_kernel(const cudaLaunchConfig_t& config, const void* function,
                          std::function<void()> thread_body) {
  return runtime_call([&](Runtime& state) {
    if (function == nullptr) return cudaErrorInvalidDeviceFunction;
    ++state.counters.launches;
    state.counters.kernels.push_back(kernel_name(function));
    if (state.launches_until_failure > 0 && --state.launches_until_failure == 0) {
      return state.launch_failure;
    }
    if (!valid_dimensions(config.gridDim, config.blockDim)) return cudaErrorInvalidConfiguration;
    if (!valid_attributes(config)) return cudaErrorNotSupported;
    const auto opted_in = state.opted_in.find(function);
    const std::size_t dynamic_limit =
        opted_in == state.opted_in.end() ? kSharedLimit : opted_in->second;
    if (config.dynamicSmemBytes > dynamic_limit) return cudaErrorInvalidValue;

    const auto launch = std::make_shared<KernelLaunch>();
    launch->name = kernel_name(function);
    launch->grid = config.gridDim;
    launch->block = config.blockDim;
    launch->dynamic_shared_bytes = config.dynamicSmemBytes;
    launch->shared_limit = dynamic_limit > kSharedLimit ? kSharedOptInLimit : kSharedLimit;
    launch->thread_body = std::move(thread_body);
    return enqueue(state, config.stream, cudaGraphNodeTypeKernel, [&state, launch] {
      state.last_kernel = launch->name;
      // Every run of a kernel has an order of its own, the same whenever the seed is set anew.
      run_grid(*launch, state.seed == 0 ? 0 : state.seed + (++state.kernels_run << 32));
    });
  });
}

cudaError_t set_function_attribute(const void* function, cudaFuncAttribute attribute, int value) {
  return runtime_call([&](Runtime& state) {
    if (function == nullptr) return cudaErrorInvalidDeviceFunction;
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        static_cast<std::size_t>(value) > kSharedOptInLimit) {
      return cudaErrorInvalidValue;
    }
    state.opted_in[function] = static_cast<std::size_t>(value);
    return cudaSuccess;
  });
}

}  // namespace cudet::emulation
