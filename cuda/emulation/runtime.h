// The state behind the runtime functions, and what all of them do at their start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <vector>

#include <cudet_emulation/error_codes.h>

#include "device.h"
#include "memory_registry.h"
#include "stream.h"

namespace cudet::emulation {

struct Runtime {
  Runtime();

  std::mutex mutex;  // held in every runtime function, kernels included

  std::uint64_t seed;
  std::uint64_t kernels_run = 0;  // since the seed was set
  bool deferred;

  cudaError_t kernel_error = cudaSuccess;  // sticky
  std::string report;
  int launches_until_failure = 0;  // 0: none planned
  int allocations_until_failure = 0;
  cudaError_t launch_failure = cudaSuccess;
  Counters counters;

  MemoryRegistry memory;
  std::string last_kernel;                      // the suspect when a guard was overwritten
  std::map<const void*, std::size_t> opted_in;  // dynamic shared memory that a kernel may have

  CUstream_st legacy_stream;
  std::set<CUstream_st*> streams;  // without the legacy one
  std::set<CUevent_st*> events;
  std::uint64_t next_sequence = 1;
};

Runtime& runtime();

// What cudaGetLastError returns if no kernel error stands.
extern thread_local cudaError_t last_error;

// The frame of a runtime function: takes the lock, returns a standing kernel error, keeps what the
// action returns for cudaGetLastError.
template <typename Action>
cudaError_t runtime_call(Action action) {
  Runtime& state = runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  cudaError_t error = state.kernel_error;
  if (error == cudaSuccess) {
    try {
      error = action(state);
    } catch (const std::bad_alloc&) {
      error = cudaErrorMemoryAllocation;
    }
  }
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

// The same for functions that give something back. They do so even while a kernel error stands.
template <typename Action>
cudaError_t release_call(Action action) {
  Runtime& state = runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  const cudaError_t standing = state.kernel_error;
  const cudaError_t result = action(state);
  const cudaError_t error = standing != cudaSuccess ? standing : result;
  if (error != cudaSuccess) last_error = error;
  return error;
}

// Executes all that is queued, checks the guards round allocations; returns the kernel error.
cudaError_t synchronize_device(Runtime& state);
cudaError_t check_guards(Runtime& state);

// Calls that could wait for a capturing stream are illegal while a capture goes on: they end it.
// cudaSuccess if there is none.
cudaError_t forbid_while_capturing(Runtime& state);

}  // namespace cudet::emulation
