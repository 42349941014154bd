// Threads of a call on the CPU. They live as long as the call: nothing is left behind that a fork
// or the end of the program would have to know of.
#pragma once

#include <cstdint>
#include <functional>

namespace cudet::cpu {

/// The threads that Execution::cpu(requested) means: all that the machine has for 0.
int thread_count(int requested) noexcept;

/// Calls body(begin, end) for ranges of `grain` items, the last one shorter, that cover 0 ...
/// count - 1, on up to `threads` threads, the caller being one of them. Each begins with a share of
/// neighbouring ranges, so that they find in their caches what the ranges have in common; yet which
/// thread takes which range is left open, and a result must not depend on it. Returns when all is
/// done, and passes on what a body throws.
void parallel_for(int threads, std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body);

}  // namespace cudet::cpu
