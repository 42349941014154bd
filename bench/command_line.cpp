#include "command_line.h"

#include "build_info.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <string>

namespace cudet::bench {
namespace {

constexpr const char* kDescription =
    "Checks and times cudet's operations on named workloads, made-up ones and the candidates of\n"
    "real detectors. Every result is compared with cudet::reference, and on real candidates with\n"
    "the official result, before it is timed.";

constexpr const char* kFooter =
    "FILE may be -, the standard output; the table then goes to the standard error.\n"
    "\n"
    "Examples:\n"
    "  gpu_bench                            all workloads, on the GPU where there is one\n"
    "  gpu_bench --quick --filter real      a short run on the candidates of real detectors\n"
    "  gpu_bench --filter '^nms/.*-0\\.7'    the made-up NMS workloads at IoU 0.7\n"
    "  gpu_bench --device cpu --min-time 2  the CPU, at least two seconds a workload\n"
    "  gpu_bench --json before.json         to compare with later:\n"
    "  gpu_bench --compare before.json      fails where something became slower\n"
    "  nsys profile gpu_bench --profile     one call of each workload in a named range\n"
    "\n"
    "Exit status:\n"
    "  0  all results that were checked are right; rows may have been skipped with a reason\n"
    "  1  a result is wrong, a workload could not be run, or a file could not be written\n"
    "  2  bad usage: an unknown option, a filter that matches nothing, no such device or data\n"
    "  3  all right, but with --compare something became slower";

void declare_selection(CLI::App& app, Options& options) {
  app.add_flag("--list", options.list, "Print the workloads that would run, and stop");
  app.add_option("--filter", options.filter,
                 "Only workloads whose name holds a match of this regular expression")
      ->type_name("REGEX");
  app.add_option("--dtype", options.type,
                 "Only workloads of this type: float32, float16 or bfloat16")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"float32", "float16", "bfloat16"}).description(""));
  app.add_flag("--quick", options.quick, "Fewer samples, and without the largest workloads");
  app.add_option("--device", options.device,
                 "auto, cuda or cpu; auto takes a GPU where there is one, and else the CPU")
      ->type_name("DEVICE")
      ->check(CLI::IsMember({"auto", "cuda", "cpu"}).description(""))
      ->capture_default_str();
  app.add_option("--data", options.data_directory,
                 "Directory of the real candidates; \"data\" beside the program or in its source "
                 "tree unless given")
      ->type_name("DIR");
}

void declare_measurement(CLI::App& app, Options& options) {
  app.add_option("--min-time", options.min_seconds,
                 "Seconds that a workload is timed at least, five times that at most; 0.5 unless "
                 "given, 0.05 with --quick")
      ->type_name("SECONDS")
      ->check(CLI::Range(1e-3, 1e3).description(""));
  app.add_option("--repeat", options.repeat,
                 "Measurements of each workload; the table shows their median, and their range as "
                 "spread where that is more")
      ->type_name("N")
      ->check(CLI::Range(1, 1000).description(""))
      ->capture_default_str();
  app.add_flag("--profile", options.profile,
               "Check, then run each workload once in an NVTX range, and time nothing");
}

void declare_output(CLI::App& app, Options& options) {
  app.add_flag("--explain", options.explain,
               "Below each row: the kernel that was chosen, and the limits that hold");
  app.add_option("--json", options.json_path, "Write the results to this file, as JSON")
      ->type_name("FILE");
  app.add_option("--csv", options.csv_path, "The same as comma-separated values")
      ->type_name("FILE");
  app.add_option("--markdown", options.markdown_path, "The table in Markdown")->type_name("FILE");
  app.add_option("--compare", options.earlier_path,
                 "Compare the warm times with those of this JSON file")
      ->type_name("FILE");
  app.add_option("--tolerance", options.tolerance_percent,
                 "How much slower is slower, in percent, beyond the scatter of both medians")
      ->type_name("PERCENT")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->capture_default_str();
}

}  // namespace

std::optional<int> parse_command_line(int argc, char** argv, Options& options) {
  constexpr int kBadUsage = 2;
  CLI::App app(kDescription, "gpu_bench");
  app.footer(kFooter);
  app.set_version_flag("--version", fmt::format("gpu_bench {} ({})", kVersion, kCommit));
  declare_selection(app, options);
  declare_measurement(app, options);
  declare_output(app, options);
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kBadUsage;
  }
}

}  // namespace cudet::bench
