#include "../src/cpu/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

namespace cudet::test {
namespace {

using cpu::parallel_for;

TEST(CpuParallel, CallsForEveryItemOnce) {
  for (const int threads : {1, 2, 7}) {
    for (const std::int64_t count : {0, 1, 10, 1000}) {
      for (const std::int64_t grain : {1, 3, 2000}) {
        std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
        parallel_for(threads, count, grain, [&](std::int64_t begin, std::int64_t end) {
          ASSERT_LE(end - begin, grain);
          for (std::int64_t i = begin; i < end; ++i)
            ++calls[static_cast<std::size_t>(i)];
        });
        EXPECT_TRUE(std::all_of(calls.begin(), calls.end(), [](int n) { return n == 1; }));
      }
    }
  }
}

// A thread that is held up leaves what it has not begun to the others.
TEST(CpuParallel, TakesWhatOthersHaveLeft) {
  constexpr std::int64_t kCount = 100;
  std::atomic<std::int64_t> done{0};
  parallel_for(3, kCount, 1, [&](std::int64_t begin, std::int64_t) {
    while (begin == 0 && done < kCount - 1)
      std::this_thread::yield();
    ++done;
  });
  EXPECT_EQ(done, kCount);
}

TEST(CpuParallel, PassesOnWhatABodyThrows) {
  for (const int threads : {1, 4}) {
    const auto body = [](std::int64_t begin, std::int64_t) {
      if (begin == 5) throw std::runtime_error("five");
    };
    EXPECT_THROW(parallel_for(threads, 100, 1, body), std::runtime_error);
  }
}

TEST(CpuParallel, CountsThreads) {
  EXPECT_EQ(cpu::thread_count(3), 3);
  EXPECT_GE(cpu::thread_count(0), 1);
}

}  // namespace
}  // namespace cudet::test
