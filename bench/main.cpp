// gpu_bench: checks and times cudet's operations on named workloads.
#include "build_info.h"
#include "command_line.h"
#include "compare.h"
#include "device.h"
#include "host_machine.h"
#include "limits.h"
#include "nvtx_range.h"
#include "report.h"
#include "runner.h"
#include "table.h"
#include "workload.h"

#include <cudet/version.h>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cudet::bench {
namespace {

constexpr int kOk = 0;
constexpr int kCheckFailed = 1;
constexpr int kBadUsage = 2;
constexpr int kSlower = 3;

std::string default_data_directory() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path beside = program.parent_path() / "data";
  return std::filesystem::exists(beside / "index.json", error) ? beside.string()
                                                               : kSourceDataDirectory;
}

/// Stands for the real workloads where their files are not there, so that the table says so.
Workload missing_data(const std::string& reason) {
  Workload workload;
  workload.name = "real";
  workload.description = "not available: " + reason;
  workload.shape = "-";
  workload.obstacle = reason;
  return workload;
}

std::vector<Workload> all_workloads(const Options& options) {
  std::vector<Workload> workloads;
  const auto append = [&workloads](std::vector<Workload> more) {
    for (Workload& workload : more)
      workloads.push_back(std::move(workload));
  };
  append(depthwise_conv_workloads());
  append(depthwise_conv_backward_workloads());
  append(focal_loss_workloads());
  append(iou_workloads());
  append(matching_workloads());
  append(nms_workloads());
  const bool given = !options.data_directory.empty();
  try {
    append(real_workloads(given ? options.data_directory : default_data_directory()));
  } catch (const std::runtime_error& error) {
    if (given) throw UsageError(fmt::format("--data: {}", error.what()));
    workloads.push_back(missing_data(error.what()));
  }
  return workloads;
}

std::vector<Workload> select(std::vector<Workload> workloads, const Options& options) {
  std::vector<Workload> selected;
  try {
    const std::regex pattern(options.filter);
    for (Workload& workload : workloads) {
      const bool of_type = options.type.empty() || options.type == to_string(workload.type);
      if (of_type && std::regex_search(workload.name, pattern)) {
        selected.push_back(std::move(workload));
      }
    }
  } catch (const std::regex_error& error) {
    throw UsageError(
        fmt::format("--filter: '{}' is no regular expression: {}", options.filter, error.what()));
  }
  if (selected.empty()) {
    throw UsageError(fmt::format("--filter: '{}' matches no workload{}; --list shows their names",
                                 options.filter,
                                 options.type.empty() ? "" : " of type " + options.type));
  }
  return selected;
}

DeviceRequest device_request(const std::string& name) {
  if (name == "cuda") return DeviceRequest::cuda;
  return name == "cpu" ? DeviceRequest::cpu : DeviceRequest::automatic;
}

void print_run(std::FILE* text, const Device& device, const RunOptions& options,
               const Limits& limits) {
  const std::string cuda =
      built_with_cuda()
          ? fmt::format("{}, architectures {}", Device::cuda_versions(), kCudaArchitectures)
          : Device::cuda_versions();
  fmt::print(text, "gpu_bench {}, commit {}, {:%Y-%m-%d %H:%M:%S %z}\n", kVersion, kCommit,
             fmt::localtime(std::time(nullptr)));
  fmt::print(text, "device    {} ({}): {}\n", device.kind(), device.reason(),
             device.properties().text());
  if (device.is_cuda()) fmt::print(text, "host      {}\n", host_properties().text());
  fmt::print(text, "measured  {}\n",
             device.is_cuda() ? "cudet on the GPU, between two events on a stream"
                              : "cudet on the CPU, Execution::cpu(); these are no GPU figures");
  fmt::print(text, "compiler  {}\n", kCompiler);
  fmt::print(text, "CUDA      {}\n", cuda);
  if (options.profile) {
    fmt::print(text, "profile   one call a workload, {}\n\n",
               kHasNvtx ? "in an NVTX range" : "without NVTX ranges: built without that header");
    return;
  }
  fmt::print(text, "limits    {:.1f} GB/s copied, {:.0f} Gop/s multiplied and added in float32\n",
             limits.bytes_per_second * 1e-9, limits.operations_per_second * 1e-9);
  fmt::print(text,
             "samples   {} or more in {:g} to {:g} s, until the median is known to {:g} %\n\n",
             options.measured.min_samples, options.measured.min_seconds,
             options.measured.max_seconds, 100.0 * options.measured.precision);
}

/// The workload that is running, on a terminal only.
class Progress {
 public:
  explicit Progress(std::size_t count) : count_(count) {}
  void show(const std::string& name) {
    ++position_;
    if (on_terminal_) print(fmt::format("[{}/{}] {}", position_, count_, name));
  }
  void clear() {
    if (on_terminal_) print("");
  }

 private:
  static void print(const std::string& text) {
    fmt::print(stderr, "\r\033[K{}", text);
    std::fflush(stderr);
  }
  const bool on_terminal_ = isatty(STDERR_FILENO) != 0;
  const std::size_t count_;
  std::size_t position_ = 0;
};

/// Nothing where `path` is empty, the standard output where it is "-".
void write_file(const std::string& path, const std::string& content) {
  if (path.empty()) return;
  if (path == "-") {
    fmt::print("{}", content);
    return;
  }
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file) throw std::runtime_error(path + ": cannot be written");
}

/// The earlier run of --compare, read before anything is measured.
std::optional<EarlierRun> earlier_run(const Options& options) {
  if (options.earlier_path.empty()) return std::nullopt;
  if (options.profile) throw UsageError("--compare: --profile times nothing");
  try {
    return read_earlier_run(options.earlier_path);
  } catch (const std::runtime_error& error) {
    throw UsageError(fmt::format("--compare: {}", error.what()));
  }
}

std::unique_ptr<Device> open_device(const Options& options) {
  try {
    return std::make_unique<Device>(device_request(options.device));
  } catch (const std::runtime_error& error) {
    throw UsageError(error.what());
  }
}

/// Prints what became of the earlier times; true where nothing is slower.
bool compare_with(const EarlierRun& earlier, const Device& device,
                  const std::vector<Result>& results, double tolerance, std::FILE* text) {
  if (earlier.device != device.properties().name) {
    fmt::print(text, "\nThe earlier times are those of another device: {}\n", earlier.device);
  }
  return print_comparison(text, compare(earlier, results, tolerance)) == 0;
}

int run(const Options& options) {
  const std::vector<Workload> workloads = select(all_workloads(options), options);
  if (options.list) {
    print_list(stdout, workloads);
    return kOk;
  }
  RunOptions run_options =
      make_run_options(options.quick, options.min_seconds.value_or(options.quick ? 0.05 : 0.5));
  run_options.profile = options.profile;
  run_options.repeat = options.repeat;
  const std::optional<EarlierRun> earlier = earlier_run(options);
  const std::unique_ptr<Device> device = open_device(options);
  const Limits limits = options.profile ? Limits() : measure_limits(*device, options.quick);
  const bool to_output =
      options.json_path == "-" || options.csv_path == "-" || options.markdown_path == "-";
  std::FILE* const text = to_output ? stderr : stdout;
  const TableStyle style = {device->is_cuda(), limits};
  const std::time_t begin = std::time(nullptr);
  print_run(text, *device, run_options, limits);
  const ResultTable table(text, workloads, style);
  table.print_header();
  std::vector<Result> results;
  std::map<Outcome, int> counts;
  Progress progress(workloads.size());
  for (const Workload& workload : workloads) {
    progress.show(workload.name);
    results.push_back(run_workload(workload, *device, run_options));
    progress.clear();
    table.print(results.back());
    if (options.explain) table.print_explanation(results.back());
    ++counts[results.back().outcome];
  }
  table.print_legend();
  fmt::print(text, "\n{} {}, {} skipped, {} failed\n",
             counts[options.profile ? Outcome::checked : Outcome::timed],
             options.profile ? "run" : "timed", counts[Outcome::skipped], counts[Outcome::failed]);

  write_file(options.json_path,
             to_json({*device, limits, run_options, options.filter, options.type,
                      fmt::format("{:%Y-%m-%dT%H:%M:%S%z}", fmt::localtime(begin)), results}));
  write_file(options.csv_path, to_csv(results));
  write_file(options.markdown_path, markdown_table(results, style));
  const bool as_fast =
      !earlier.has_value() ||
      compare_with(*earlier, *device, results, options.tolerance_percent / 100.0, text);
  if (counts[Outcome::failed] > 0) return kCheckFailed;
  return as_fast ? kOk : kSlower;
}

}  // namespace
}  // namespace cudet::bench

int main(int argc, char** argv) {
  using namespace cudet::bench;
  try {
    Options options;
    if (const std::optional<int> status = parse_command_line(argc, argv, options)) return *status;
    return run(options);
  } catch (const UsageError& error) {
    fmt::print(stderr, "gpu_bench: {}\n", error.what());
    return kBadUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "gpu_bench: {}\n", error.what());
    return kCheckFailed;
  }
}
