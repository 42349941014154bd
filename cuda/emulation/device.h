// Control of the emulated device, for tests: order of execution, failures on demand, reports of
// kernel errors, counters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <cudet_emulation/error_codes.h>

namespace cudet::emulation {

// Seeds the order in which blocks and threads run. The environment variable CUDET_EMULATION_SEED
// sets the initial seed; 0 is the natural order.
void set_seed(std::uint64_t seed);
std::uint64_t seed();

// Deferred work waits in its stream until something synchronises, so that a missing synchronisation
// shows as old data. Off unless the environment variable CUDET_EMULATION_DEFER is 1.
void set_deferred(bool deferred);
bool deferred();

// The n-th launch or allocation from now on fails; n is at least 1. A failed launch does not run.
void fail_launch(int n, cudaError_t error);
void fail_allocation(int n);

// What went wrong in the last kernel error, in words; empty after reset().
std::string last_report();

// Clears the kernel error, the report and the failures that are still to come. Work that was queued
// or captured meanwhile stays as it is.
void reset();

// What has been asked of the device since mark(). Captured work counts when it is captured.
struct Counters {
  int launches = 0;
  int graph_launches = 0;
  int memory_operations = 0;  // copies and fills
  int allocations = 0;        // device and pinned host memory
  int frees = 0;
  int synchronizations = 0;          // waits of the host for the device
  std::vector<std::string> kernels;  // the launches' kernels, in order
};
void mark();
Counters counters();

// Device and pinned allocations that were not freed yet.
int live_allocations();

// Stacks that exist: one for each thread of the largest block yet, two under ThreadSanitizer. They
// are reused.
int fiber_count();

}  // namespace cudet::emulation
