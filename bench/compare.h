// Results of this run beside those of an earlier one.
#pragma once

#include "result.h"

#include <cstdio>
#include <string>
#include <vector>

namespace cudet::bench {

/// The times of an earlier run, from its JSON file.
struct EarlierRun {
  std::string device;
  std::vector<Result> results;  ///< name and warm time; only those that were timed
};

/// Throws std::runtime_error where the file cannot be read or is of another schema version.
EarlierRun read_earlier_run(const std::string& path);

enum class Change { none, slower, faster };

struct Comparison {
  std::string name;
  Summary before;
  Summary now;
  Change change = Change::none;
};

/// The workloads that both runs timed. A time has changed where it is more than `tolerance` away,
/// relative to the earlier one and beyond what the scatter of both medians explains.
std::vector<Comparison> compare(const EarlierRun& earlier, const std::vector<Result>& results,
                                double tolerance);

/// Prints the rows and a last line that counts them; returns how many became slower.
int print_comparison(std::FILE* file, const std::vector<Comparison>& comparisons);

}  // namespace cudet::bench
