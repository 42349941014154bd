// gpu_bench: checks and times cudet's operations on named workloads.
#include "build_info.h"
#include "device.h"
#include "runner.h"
#include "table.h"
#include "workload.h"

#include <cudet/version.h>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
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

constexpr const char* kDescription =
    "Checks and times cudet's operations on named workloads, made-up ones and the candidates of\n"
    "real detectors. Every result is compared with cudet::reference, and on real candidates with\n"
    "the official result, before it is timed.";

constexpr const char* kFooter =
    "Examples:\n"
    "  gpu_bench                            all workloads, on the GPU where there is one\n"
    "  gpu_bench --quick --filter real      a short run on the candidates of real detectors\n"
    "  gpu_bench --filter '^nms/.*0\\.7$'    the made-up NMS workloads at IoU 0.7\n"
    "  gpu_bench --device cpu --min-time 2  the CPU, at least two seconds a workload\n"
    "\n"
    "Exit status:\n"
    "  0  all results that were checked are right; rows may have been skipped with a reason\n"
    "  1  a result is wrong, or a workload could not be run\n"
    "  2  bad usage: an unknown option, a filter that matches nothing, no such device or data";

struct Options {
  bool list = false;
  bool quick = false;
  std::string filter;
  std::string device = "auto";
  std::optional<double> min_seconds;
  std::string data_directory;
};

/// Something is wrong with what the user asked for.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

DeviceRequest device_request(const std::string& name) {
  if (name == "cuda") return DeviceRequest::cuda;
  return name == "cpu" ? DeviceRequest::cpu : DeviceRequest::automatic;
}

void declare_options(CLI::App& app, Options& options) {
  app.footer(kFooter);
  app.set_version_flag("--version", fmt::format("gpu_bench {} ({})", kVersion, kCommit));
  app.add_flag("--list", options.list, "Print the workloads that would run, and stop");
  app.add_option("--filter", options.filter,
                 "Only workloads whose name holds a match of this regular expression")
      ->type_name("REGEX");
  app.add_flag("--quick", options.quick, "Fewer samples, and without the largest workloads");
  app.add_option("--device", options.device,
                 "auto, cuda or cpu; auto takes a GPU where there is one, and else the CPU")
      ->type_name("DEVICE")
      ->check(CLI::IsMember({"auto", "cuda", "cpu"}).description(""))
      ->capture_default_str();
  app.add_option("--min-time", options.min_seconds,
                 "Seconds that a workload is timed at least, five times that at most; 0.5 unless "
                 "given, 0.05 with --quick")
      ->type_name("SECONDS")
      ->check(CLI::Range(1e-3, 1e3).description(""));
  app.add_option("--data", options.data_directory,
                 "Directory of the real candidates; \"data\" beside the program or in its source "
                 "tree unless given")
      ->type_name("DIR");
}

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
  append(focal_loss_workloads());
  append(iou_workloads());
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

std::vector<Workload> select(std::vector<Workload> workloads, const std::string& filter) {
  std::vector<Workload> selected;
  try {
    const std::regex pattern(filter);
    for (Workload& workload : workloads) {
      if (std::regex_search(workload.name, pattern)) selected.push_back(std::move(workload));
    }
  } catch (const std::regex_error& error) {
    throw UsageError(
        fmt::format("--filter: '{}' is no regular expression: {}", filter, error.what()));
  }
  if (selected.empty()) {
    throw UsageError(
        fmt::format("--filter: '{}' matches no workload; --list shows their names", filter));
  }
  return selected;
}

void print_run(const Device& device, const RunOptions& options) {
  const std::string cuda =
      built_with_cuda()
          ? fmt::format("{}, architectures {}", Device::cuda_versions(), kCudaArchitectures)
          : Device::cuda_versions();
  fmt::print("gpu_bench {}, commit {}, {:%Y-%m-%d %H:%M:%S %z}\n", kVersion, kCommit,
             fmt::localtime(std::time(nullptr)));
  fmt::print("device    {} ({}): {}\n", device.kind(), device.reason(), device.name());
  fmt::print("measured  {}\n",
             device.is_cuda() ? "cudet on the GPU, between two events on a stream"
                              : "cudet on the CPU, Execution::cpu(); these are no GPU figures");
  fmt::print("compiler  {}\n", kCompiler);
  fmt::print("CUDA      {}\n", cuda);
  fmt::print("samples   {} or more in {:g} to {:g} s, until the median is known to {:g} %\n\n",
             options.measured.min_samples, options.measured.min_seconds,
             options.measured.max_seconds, 100.0 * options.measured.precision);
}

/// The workload that is running, on a terminal only.
void show_progress(std::size_t position, std::size_t count, const std::string& name) {
  if (isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r\033[K[{}/{}] {}", position, count, name);
  std::fflush(stderr);
}

void clear_progress() {
  if (isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

int run(const Options& options) {
  const std::vector<Workload> workloads = select(all_workloads(options), options.filter);
  if (options.list) {
    print_list(stdout, workloads);
    return kOk;
  }
  const RunOptions run_options =
      make_run_options(options.quick, options.min_seconds.value_or(options.quick ? 0.05 : 0.5));
  std::optional<Device> device;
  try {
    device.emplace(device_request(options.device));
  } catch (const std::runtime_error& error) {
    throw UsageError(error.what());
  }
  print_run(*device, run_options);
  const ResultTable table(stdout, workloads);
  table.print_header();
  int counts[3] = {};
  for (std::size_t i = 0; i < workloads.size(); ++i) {
    show_progress(i + 1, workloads.size(), workloads[i].name);
    const Result result = run_workload(workloads[i], *device, run_options);
    clear_progress();
    table.print(result);
    ++counts[static_cast<int>(result.outcome)];
  }
  table.print_legend();
  const int failed = counts[static_cast<int>(Outcome::failed)];
  fmt::print("\n{} timed, {} skipped, {} failed\n", counts[static_cast<int>(Outcome::timed)],
             counts[static_cast<int>(Outcome::skipped)], failed);
  return failed == 0 ? kOk : kCheckFailed;
}

}  // namespace
}  // namespace cudet::bench

int main(int argc, char** argv) {
  using namespace cudet::bench;
  CLI::App app(kDescription, "gpu_bench");
  Options options;
  declare_options(app, options);
  try {
    app.parse(argc, argv);
    return run(options);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kBadUsage;
  } catch (const UsageError& error) {
    fmt::print(stderr, "gpu_bench: {}\n", error.what());
    return kBadUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "gpu_bench: {}\n", error.what());
    return kCheckFailed;
  }
}
