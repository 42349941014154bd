// The loops that find out the limits of the CPU.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cudet::bench {

/// Copies with all threads.
void copy_on_cpu(void* to, const void* from, std::size_t bytes, int threads);

/// `rounds` rounds of multiply-adds in registers, on each of `threads` threads. Returns the
/// operations that were done, 2 a multiply-add.
double multiply_add_on_cpu(int threads, std::int64_t rounds);

}  // namespace cudet::bench
