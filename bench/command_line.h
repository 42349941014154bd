// The options of gpu_bench.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

namespace cudet::bench {

struct Options {
  bool list = false;
  bool quick = false;
  bool explain = false;
  bool profile = false;
  int repeat = 1;
  std::string filter;
  std::string type;  ///< empty: all
  std::string device = "auto";
  std::optional<double> min_seconds;
  std::string data_directory;
  std::string json_path;  ///< of these four: empty where not asked for
  std::string csv_path;
  std::string markdown_path;
  std::string earlier_path;
  double tolerance_percent = 5.0;
};

/// Something is wrong with what the user asked for.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Fills in `options`. Where there is nothing more to do, for --help, --version or an unknown
/// option, prints what is to be said and returns the exit status.
std::optional<int> parse_command_line(int argc, char** argv, Options& options);

}  // namespace cudet::bench
