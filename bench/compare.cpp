#include "compare.h"

#include "report.h"
#include "table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <stdexcept>

namespace cudet::bench {
namespace {

using Json = nlohmann::json;

Change change_of(const Summary& before, const Summary& now, double tolerance) {
  // Errors of independent medians add up in squares.
  const double error =
      std::hypot(before.median_error() * before.median, now.median_error() * now.median);
  const double allowed = tolerance * before.median + error;
  if (now.median > before.median + allowed) return Change::slower;
  return now.median < before.median - allowed ? Change::faster : Change::none;
}

const char* text_of(Change change) {
  switch (change) {
    case Change::none:
      return "";
    case Change::slower:
      return "SLOWER";
    case Change::faster:
      return "faster";
  }
  return "";
}

}  // namespace

EarlierRun read_earlier_run(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  EarlierRun run;
  try {
    const Json json = Json::parse(file);
    const int version = json.at("schema_version").get<int>();
    if (version != kSchemaVersion) {
      throw std::runtime_error(
          fmt::format("schema version {}, this gpu_bench reads {}", version, kSchemaVersion));
    }
    run.device = json.at("device").at("name").get<std::string>();
    for (const Json& row : json.at("results")) {
      const Json& warm = row.at("times").at("warm");
      if (warm.is_null()) continue;
      Result result;
      result.name = row.at("name").get<std::string>();
      result.times.warm.median = warm.at("median_seconds").get<double>();
      result.times.warm.spread = warm.at("spread").get<double>();
      result.times.warm.samples = warm.at("samples").get<int>();
      run.results.push_back(std::move(result));
    }
  } catch (const std::exception& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
  return run;
}

std::vector<Comparison> compare(const EarlierRun& earlier, const std::vector<Result>& results,
                                double tolerance) {
  std::vector<Comparison> comparisons;
  for (const Result& result : results) {
    if (result.outcome != Outcome::timed) continue;
    const auto before =
        std::find_if(earlier.results.begin(), earlier.results.end(),
                     [&result](const Result& other) { return other.name == result.name; });
    if (before == earlier.results.end()) continue;
    const Summary& old_time = before->times.warm;
    const Summary& new_time = result.times.warm;
    comparisons.push_back(
        {result.name, old_time, new_time, change_of(old_time, new_time, tolerance)});
  }
  return comparisons;
}

int print_comparison(std::FILE* file, const std::vector<Comparison>& comparisons) {
  std::size_t width = 8;
  for (const Comparison& row : comparisons)
    width = std::max(width, row.name.size());
  fmt::print(file, "\n{:<{}}  {:>8}  {:>8}  {:>7}\n", "workload", width, "before", "now", "change");
  int slower = 0;
  int faster = 0;
  for (const Comparison& row : comparisons) {
    slower += row.change == Change::slower ? 1 : 0;
    faster += row.change == Change::faster ? 1 : 0;
    const std::string line =
        fmt::format("{:<{}}  {:>8}  {:>8}  {:>+6.1f} %  {}", row.name, width,
                    format_seconds(row.before.median), format_seconds(row.now.median),
                    100.0 * (row.now.median / row.before.median - 1.0), text_of(row.change));
    fmt::print(file, "{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
  fmt::print(file, "{} compared, {} slower, {} faster\n", comparisons.size(), slower, faster);
  return slower;
}

}  // namespace cudet::bench
