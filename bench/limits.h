// What the device that is measured can do at most, found out in the same run.
#pragma once

#include <cudet/execution.h>
#include <cudet/status.h>

#include <cstddef>
#include <cstdint>

namespace cudet::bench {

class Device;

struct Limits {
  double bytes_per_second = 0.0;       ///< read and written by a copy of what no cache holds
  double operations_per_second = 0.0;  ///< float32, a fused multiply-add being two
};

/// Takes the best of several runs each, some tenths of a second in all; fewer and smaller runs
/// where `quick`.
Limits measure_limits(Device& device, bool quick);

/// Operations of launch_multiply_add(). In limits.cu.
double operations_of_multiply_add(std::int64_t threads, std::int64_t rounds);

/// Copies with 16-byte accesses; `bytes` is a multiple of 16. In limits.cu.
Status launch_copy(void* to, const void* from, std::size_t bytes, int multiprocessors,
                   cudaStream_t stream);

/// Each of `threads` threads, a multiple of 256, does `rounds` rounds of multiply-adds in
/// registers. In limits.cu. `sink` is written where a result is a NaN, which never happens.
Status launch_multiply_add(std::int64_t threads, std::int64_t rounds, float* sink,
                           cudaStream_t stream);

}  // namespace cudet::bench
