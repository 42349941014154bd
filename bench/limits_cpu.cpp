// Compiled with -ffp-contract=fast: a product and a sum become one instruction where there is one.
#include "limits_cpu.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CUDET_BENCH_CLONES __attribute__((target_clones("default", "arch=haswell", "avx512f")))
#else
#define CUDET_BENCH_CLONES
#endif

namespace cudet::bench {
namespace {

constexpr std::size_t kVectors = 12;  // chains of operations side by side, to hide their latency
constexpr std::size_t kLanes = 16;    // of the widest vector

/// The values would never be anything else, but the compiler does not know.
CUDET_BENCH_CLONES float multiply_add(std::int64_t rounds, float factor, float summand) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
  Vector values[kVectors];
  for (std::size_t i = 0; i < kVectors; ++i)
    values[i] = Vector{} + static_cast<float>(i);
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kVectors; ++i)
      values[i] = values[i] * factor + summand;
  }
  float sum = 0.0f;
  for (const Vector& value : values) {
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      sum += value[lane];
  }
  return sum;
}

void on_threads(int threads, const std::function<void(int)>& body) {
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads; ++i)
    helpers.emplace_back(body, i);
  body(0);
  for (std::thread& helper : helpers)
    helper.join();
}

}  // namespace

void copy_on_cpu(void* to, const void* from, std::size_t bytes, int threads) {
  const auto count = static_cast<std::size_t>(threads);
  const std::size_t part = (bytes + count - 1) / count;
  on_threads(threads, [=](int thread) {
    const std::size_t begin = std::min(bytes, static_cast<std::size_t>(thread) * part);
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                std::min(part, bytes - begin));
  });
}

double multiply_add_on_cpu(int threads, std::int64_t rounds) {
  static std::atomic<float> sink;
  on_threads(threads, [rounds](int) {
    sink.store(multiply_add(rounds, 0.5f, 1.0f), std::memory_order_relaxed);
  });
  return 2.0 * static_cast<double>(kVectors * kLanes) * static_cast<double>(rounds) * threads;
}

}  // namespace cudet::bench
