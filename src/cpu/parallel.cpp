#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace cudet::cpu {

namespace {

/// The ranges of a thread's share that nobody has taken yet.
struct alignas(64) Share {
  std::atomic<std::int64_t> next;
  std::int64_t end;
};

}  // namespace

int thread_count(int requested) noexcept {
  if (requested > 0) return requested;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallel_for(int threads, std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body) {
  const std::int64_t ranges = (count + grain - 1) / grain;
  const auto run = [&](std::int64_t range) {
    body(range * grain, std::min(count, (range + 1) * grain));
  };
  const std::int64_t workers = std::min<std::int64_t>(threads, ranges);
  if (workers <= 1) {
    for (std::int64_t range = 0; range < ranges; ++range)
      run(range);
    return;
  }
  std::vector<Share> shares(static_cast<std::size_t>(workers));
  for (std::int64_t i = 0; i < workers; ++i) {
    shares[static_cast<std::size_t>(i)].next = ranges * i / workers;
    shares[static_cast<std::size_t>(i)].end = ranges * (i + 1) / workers;
  }
  std::atomic<bool> failed{false};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&](std::int64_t worker) noexcept {
    // Its own share first, then what others have left.
    for (std::int64_t i = 0; i < workers; ++i) {
      Share& share = shares[static_cast<std::size_t>((worker + i) % workers)];
      while (!failed.load(std::memory_order_relaxed)) {
        const std::int64_t range = share.next.fetch_add(1, std::memory_order_relaxed);
        if (range >= share.end) break;
        try {
          run(range);
        } catch (...) {
          const std::lock_guard<std::mutex> lock(failure_mutex);
          failure = std::current_exception();
          failed.store(true, std::memory_order_relaxed);
        }
      }
    }
  };
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<std::size_t>(workers - 1));
  for (std::int64_t i = 1; i < workers; ++i) {
    try {
      helpers.emplace_back(work, i);
    } catch (const std::exception&) {
      break;  // No more threads or no memory for one: those that there are do the work.
    }
  }
  work(0);
  for (std::thread& helper : helpers)
    helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cudet::cpu
