// A kernel launch as the device keeps it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include <cudet_emulation/vector_types.h>

namespace cudet::emulation {

struct KernelLaunch {
  std::string name;
  dim3 grid;
  dim3 block;
  std::size_t dynamic_shared_bytes = 0;
  std::size_t shared_limit = 0;  // of static and dynamic shared memory together
  std::function<void()> thread_body;
};

// Runs all blocks, one after the other, in an order that the seed decides; 0 is the natural order.
// A kernel error ends the grid and is recorded (errors.h).
void run_grid(const KernelLaunch& launch, std::uint64_t seed);

}  // namespace cudet::emulation
