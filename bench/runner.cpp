#include "runner.h"

#include "device.h"
#include "host_machine.h"
#include "nvtx_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <vector>

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

double host_seconds(const std::function<Status()>& call) {
  const auto begin = std::chrono::steady_clock::now();
  require_ok(call());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Measurements of the calls of one case.
class CaseTimer {
 public:
  CaseTimer(Case& workload_case, Device& device, const RunOptions& options, bool has_baseline)
      : case_(workload_case), device_(device), options_(options), has_baseline_(has_baseline) {
    if (device_.is_cuda()) graph_.emplace(device_, run());
  }

  std::size_t graph_nodes() const { return graph_.has_value() ? graph_->nodes() : 0; }

  /// `reference_seconds` is how long the reference took before: that is enough where it is long.
  Timings measure_all(double reference_seconds) {
    Timings times;
    times.warm = measure_in_a_row(options_.measured, run());
    times.cold = measure_cold();
    if (graph_.has_value()) {
      times.graph = measure_in_a_row(options_.other, [this] { return graph_->launch(); });
      times.cpu = measure_on_host([this] { return case_.run_cpu(); });
    }
    if (has_baseline_) {
      times.baseline = measure_in_a_row(options_.other, [this] { return case_.run_baseline(); });
    }
    times.reference = reference_seconds >= options_.other.max_seconds
                          ? summarize({reference_seconds})
                          : measure_on_host([this] { return case_.run_reference(); });
    return times;
  }

 private:
  std::function<Status()> run() {
    return [this] { return case_.run(); };
  }

  /// So many calls a sample that the clock, or the recording of events, does not show.
  Summary measure_in_a_row(const Sampling& sampling, const std::function<Status()>& call) {
    const double least_seconds = device_.is_cuda() ? 500e-6 : 50e-6;
    constexpr double kMostCalls = 200.0;
    const double once = std::max(1e-9, device_.time(call));
    const int calls =
        static_cast<int>(std::clamp(std::ceil(least_seconds / once), 1.0, kMostCalls));
    return measure(sampling, [&] { return device_.time(call, calls); });
  }

  Summary measure_cold() {
    if (!device_.evict_caches()) return Summary();
    return measure(options_.other, [this] {
      device_.rotate_inputs();
      (void)device_.evict_caches();
      return device_.time(run());
    });
  }

  Summary measure_on_host(const std::function<Status()>& call) {
    const Status status = call();
    if (status.code() == StatusCode::unsupported) return Summary();
    require_ok(status);
    Sampling sampling = options_.other;
    sampling.warm_up = 0;
    return measure(sampling, [&] { return host_seconds(call); });
  }

  Case& case_;
  Device& device_;
  const RunOptions& options_;
  const bool has_baseline_;
  std::optional<GraphReplay> graph_;
};

Timings combine(const std::vector<Timings>& rounds) {
  const auto of = [&rounds](Summary Timings::*field) {
    std::vector<Summary> summaries;
    for (const Timings& times : rounds)
      summaries.push_back(times.*field);
    return combine(summaries);
  };
  return {of(&Timings::warm), of(&Timings::cold),     of(&Timings::graph),
          of(&Timings::cpu),  of(&Timings::baseline), of(&Timings::reference)};
}

/// False where the workload has no baseline; throws where its result is wrong.
bool check_baseline(Case& workload_case, Device& device) {
  workload_case.poison_outputs();
  const Status status = workload_case.run_baseline();
  if (status.code() == StatusCode::unsupported) return false;
  require_ok(status);
  device.synchronize();
  const Check check = workload_case.check_baseline();
  if (!check.passed) throw std::runtime_error("baseline: " + check.detail);
  return true;
}

/// One call in a range, for a profiler.
void run_in_range(Case& workload_case, Device& device, const std::string& name) {
  const NvtxRange range(name.c_str());
  require_ok(workload_case.run());
  device.synchronize();
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
  const double reference_seconds =
      host_seconds([&workload_case] { return workload_case.run_reference(); });
  const Check check = workload_case.check();
  result.check = check.text;
  result.kept = check.kept;
  result.note = check.detail;
  if (!check.passed) return;

  result.compulsory_bytes = workload_case.compulsory_bytes();
  result.operations = workload_case.operations();
  result.explanation = workload_case.explanation();
  const bool has_baseline = check_baseline(workload_case, device);
  if (options.profile) {
    run_in_range(workload_case, device, result.name);
    result.outcome = Outcome::checked;
    return;
  }
  CaseTimer timer(workload_case, device, options, has_baseline);
  std::vector<Timings> rounds;
  for (int i = 0; i < options.repeat; ++i)
    rounds.push_back(timer.measure_all(reference_seconds));
  result.times = combine(rounds);
  result.graph_nodes = timer.graph_nodes();
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
  options.other = options.measured;
  options.other.min_samples = quick ? 3 : 10;
  options.other.max_seconds = min_seconds;
  return options;
}

Result run_workload(const Workload& workload, Device& device, const RunOptions& options) {
  Result result;
  result.name = workload.name;
  result.shape = workload.shape;
  result.type = workload.type;
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
