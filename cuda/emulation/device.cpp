#include "device.h"

#include "block.h"
#include "runtime.h"

namespace cudet::emulation {
namespace {

std::lock_guard<std::mutex> lock() {
  return std::lock_guard<std::mutex>(runtime().mutex);
}

}  // namespace

void set_seed(std::uint64_t seed) {
  const auto guard = lock();
  runtime().seed = seed;
  runtime().kernels_run = 0;
}

std::uint64_t seed() {
  const auto guard = lock();
  return runtime().seed;
}

void set_deferred(bool deferred) {
  const auto guard = lock();
  Runtime& state = runtime();
  if (!deferred) synchronize_device(state);
  state.deferred = deferred;
}

bool deferred() {
  const auto guard = lock();
  return runtime().deferred;
}

void fail_launch(int n, cudaError_t error) {
  const auto guard = lock();
  runtime().launches_until_failure = n;
  runtime().launch_failure = error;
}

void fail_allocation(int n) {
  const auto guard = lock();
  runtime().allocations_until_failure = n;
}

std::string last_report() {
  const auto guard = lock();
  return runtime().report;
}

void reset() {
  const auto guard = lock();
  Runtime& state = runtime();
  state.kernel_error = cudaSuccess;
  state.report.clear();
  state.launches_until_failure = 0;
  state.allocations_until_failure = 0;
  last_error = cudaSuccess;
}

void mark() {
  const auto guard = lock();
  runtime().counters = {};
}

Counters counters() {
  const auto guard = lock();
  return runtime().counters;
}

int live_allocations() {
  const auto guard = lock();
  return runtime().memory.count();
}

int fiber_count() {
  const auto guard = lock();
  return block_state().fiber_count();
}

}  // namespace cudet::emulation
