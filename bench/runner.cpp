#include "runner.h"

#include "device.h"

#include <fmt/format.h>

#include <chrono>
#include <exception>

namespace cudet::bench {
namespace {

/// Why there is not enough memory, empty where there is.
std::string memory_obstacle(const Workload& workload, const Device& device) {
  const auto text = [](const char* place, std::size_t needed, std::size_t available) {
    constexpr double kMB = 1e6;
    return fmt::format("needs {:.0f} MB of {} memory, {:.0f} MB are free",
                       static_cast<double>(needed) / kMB, place,
                       static_cast<double>(available) / kMB);
  };
  std::size_t host_bytes = workload.host_bytes;
  if (device.is_cuda()) {
    const std::size_t available = device.free_memory();
    if (workload.device_bytes > available) {
      return text("device", workload.device_bytes, available);
    }
  } else {
    host_bytes += workload.device_bytes;
  }
  const std::size_t available = free_host_memory();
  return host_bytes > available ? text("host", host_bytes, available) : std::string();
}

/// Why the workload is not run, empty where it is.
std::string obstacle(const Workload& workload, const Device& device, bool quick) {
  if (!workload.obstacle.empty()) return workload.obstacle;
  if (quick && !workload.in_quick_run) return "not part of --quick";
  return memory_obstacle(workload, device);
}

double host_seconds(Case& workload_case) {
  const auto begin = std::chrono::steady_clock::now();
  require_ok(workload_case.run_reference());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void check_and_time(Case& workload_case, Device& device, const RunOptions& options,
                    Result& result) {
  workload_case.poison_outputs();
  const Status status = workload_case.run();
  if (status.code() == StatusCode::unsupported) {
    result.outcome = Outcome::skipped;
    result.note = status.message();
    return;
  }
  require_ok(status);
  device.synchronize();
  require_ok(workload_case.run_reference());
  const Check check = workload_case.check();
  result.check = check.text;
  result.kept = check.kept;
  result.note = check.detail;
  if (!check.passed) return;

  result.compulsory_bytes = workload_case.compulsory_bytes();
  result.measured = measure(options.measured, [&workload_case, &device] {
    return device.time([&workload_case] { return workload_case.run(); });
  });
  result.reference =
      measure(options.reference, [&workload_case] { return host_seconds(workload_case); });
  result.outcome = Outcome::timed;
}

}  // namespace

RunOptions make_run_options(bool quick, double min_seconds) {
  RunOptions options;
  options.quick = quick;
  options.measured.min_samples = quick ? 5 : 20;
  options.measured.min_seconds = min_seconds;
  options.measured.max_seconds = 5.0 * min_seconds;
  options.measured.precision = quick ? 0.02 : 0.005;
  // The reference is slow and its ratio is a rough figure; the checked call has warmed it up.
  options.reference = options.measured;
  options.reference.warm_up = 0;
  options.reference.min_samples = quick ? 3 : 5;
  options.reference.max_seconds = min_seconds;
  return options;
}

Result run_workload(const Workload& workload, Device& device, const RunOptions& options) {
  Result result;
  result.name = workload.name;
  result.shape = workload.shape;
  try {
    result.note = obstacle(workload, device, options.quick);
    if (!result.note.empty()) {
      result.outcome = Outcome::skipped;
      return result;
    }
    const std::unique_ptr<Case> workload_case = workload.build(device);
    check_and_time(*workload_case, device, options, result);
  } catch (const std::exception& error) {
    result.outcome = Outcome::failed;
    result.note = error.what();
  }
  return result;
}

}  // namespace cudet::bench
