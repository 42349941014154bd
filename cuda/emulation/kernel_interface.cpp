// What kernels call: the variables and functions that the headers in include/ declare.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <cudet_emulation/memory_access.h>
#include <cudet_emulation/shared_memory.h>
#include <cudet_emulation/synchronization.h>
#include <cudet_emulation/warp.h>

#include "block.h"
#include "errors.h"
#include "sanitizers.h"

namespace cudet::emulation {
namespace {

Block& running_block() {
  Block& block = block_state();
  if (!block.running()) {
    std::fputs("cudet emulated device: a device function was called outside a kernel\n", stderr);
    std::abort();
  }
  return block;
}

}  // namespace

uint3 thread_index{};
uint3 block_index{};
dim3 block_dimensions;
dim3 grid_dimensions;

int block_barrier(bool predicate, Site site) {
  return running_block().barrier(predicate, site);
}

int block_size() {
  return running_block().size();
}

std::uint64_t warp_operation(const WarpRequest& request) {
  return running_block().warp_operation(request);
}

void* shared_storage(SharedSlot& slot, std::size_t bytes, std::size_t alignment, const char* name) {
  return running_block().shared_storage(slot, bytes, alignment, name);
}

void* dynamic_shared_storage() {
  return running_block().dynamic_shared_storage();
}

void device_fence() {
  static char token;
  release(&token);
  acquire(&token);
}

void block_fence() {
  running_block().fence();
}

void misaligned_access(const void* address, std::size_t alignment, Site site) {
  char text[32];
  std::snprintf(text, sizeof(text), "%p", address);
  running_block().fail(cudaErrorMisalignedAddress, "misaligned access at " + describe(site) +
                                                       ": address " + text + " is no multiple of " +
                                                       std::to_string(alignment));
}

}  // namespace cudet::emulation

const uint3& threadIdx = cudet::emulation::thread_index;
const uint3& blockIdx = cudet::emulation::block_index;
const dim3& blockDim = cudet::emulation::block_dimensions;
const dim3& gridDim = cudet::emulation::grid_dimensions;
