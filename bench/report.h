// Results for programs: JSON and CSV.
#pragma once

#include "limits.h"
#include "result.h"
#include "runner.h"

#include <string>
#include <vector>

namespace cudet::bench {

class Device;

/// Of the JSON file; docs/gpu_bench.md and schema.json describe it. It changes where a reader of
/// the former version would misread the new one.
inline constexpr int kSchemaVersion = 1;

/// All that is known of a run.
struct Report {
  const Device& device;
  Limits limits;
  RunOptions options;
  std::string filter;
  std::string type;  ///< of --dtype; empty where it was not given
  std::string time;  ///< when it began, ISO 8601
  const std::vector<Result>& results;
};

std::string to_json(const Report& report);

/// A line for each result; seconds as they are.
std::string to_csv(const std::vector<Result>& results);

}  // namespace cudet::bench
