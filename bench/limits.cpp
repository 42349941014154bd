#include "limits.h"

#include "device.h"
#include "host_machine.h"
#include "limits_cpu.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>

namespace cudet::bench {
namespace {

constexpr int kRuns = 5;

/// Bytes to copy: so many that a cache of this size holds a small part, so few that there is
/// memory.
std::size_t copied_bytes(const Device& device, bool quick) {
  const std::size_t wanted =
      std::max(std::size_t{quick ? 64u : 256u} << 20, 2 * device.properties().cache_bytes);
  return std::min(wanted, device.free_memory() / 8) / 256 * 256;
}

double least_seconds(int runs, const std::function<double()>& seconds) {
  double least = seconds();
  for (int i = 1; i < runs; ++i)
    least = std::min(least, seconds());
  return least;
}

double seconds_of(const std::function<void()>& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Limits measure_cpu(Device& device, bool quick) {
  const int threads = std::max(1, device.properties().units);
  const std::int64_t rounds = quick ? 200000 : 2000000;
  const std::size_t bytes = copied_bytes(device, quick);
  const Buffer from = device.allocate(bytes);
  const Buffer to = device.allocate(bytes);
  device.fill(from, 1);
  device.fill(to, 2);  // so that its pages are there
  Limits limits;
  limits.bytes_per_second =
      2.0 * static_cast<double>(bytes) / least_seconds(kRuns, [&] {
        (void)evict_from_caches(from.data(), bytes);
        return seconds_of([&] { copy_on_cpu(to.data(), from.data(), bytes, threads); });
      });
  double operations = 0.0;
  const double seconds = least_seconds(kRuns, [&] {
    return seconds_of([&] { operations = multiply_add_on_cpu(threads, rounds); });
  });
  limits.operations_per_second = operations / seconds;
  return limits;
}

#if defined(CUDET_BENCH_WITH_CUDA)

Limits measure_gpu(Device& device, bool quick) {
  const int units = device.properties().units;
  const std::size_t bytes = copied_bytes(device, quick);
  const Buffer from = device.allocate(bytes);
  const Buffer to = device.allocate(bytes);
  const Buffer sink = device.allocate(sizeof(float));
  device.fill(from, 1);
  Limits limits;
  limits.bytes_per_second =
      2.0 * static_cast<double>(bytes) / least_seconds(kRuns, [&] {
        return device.time(
            [&] { return launch_copy(to.data(), from.data(), bytes, units, device.stream()); });
      });
  constexpr std::int64_t kThreadsPerUnit = 2048;
  const std::int64_t threads = kThreadsPerUnit * units;
  const std::int64_t rounds = quick ? 32 : 256;
  const double seconds = least_seconds(kRuns, [&] {
    return device.time([&] {
      return launch_multiply_add(threads, rounds, sink.data_as<float>(), device.stream());
    });
  });
  limits.operations_per_second = operations_of_multiply_add(threads, rounds) / seconds;
  return limits;
}

#else

Limits measure_gpu(Device& device, bool quick) {
  return measure_cpu(device, quick);
}

#endif

}  // namespace

Limits measure_limits(Device& device, bool quick) {
  return device.is_cuda() ? measure_gpu(device, quick) : measure_cpu(device, quick);
}

}  // namespace cudet::bench
