#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace cudet::cpu {

int thread_count(int requested) noexcept {
  if (requested > 0) return requested;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallel_for(int threads, std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body) {
  const std::int64_t ranges = (count + grain - 1) / grain;
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&]() noexcept {
    for (;;) {
      const std::int64_t range = next.fetch_add(1, std::memory_order_relaxed);
      if (range >= ranges) return;
      try {
        body(range * grain, std::min(count, (range + 1) * grain));
      } catch (...) {
        const std::lock_guard<std::mutex> lock(failure_mutex);
        failure = std::current_exception();
        next.store(ranges, std::memory_order_relaxed);
      }
    }
  };
  std::vector<std::thread> helpers;
  const std::int64_t workers = std::min<std::int64_t>(threads, ranges);
  helpers.reserve(static_cast<std::size_t>(std::max<std::int64_t>(workers - 1, 0)));
  for (std::int64_t i = 1; i < workers; ++i) {
    try {
      helpers.emplace_back(work);
    } catch (const std::exception&) {
      break;  // No more threads or no memory for one: those that there are do the work.
    }
  }
  work();
  for (std::thread& helper : helpers)
    helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cudet::cpu
