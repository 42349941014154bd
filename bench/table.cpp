#include "table.h"

#include <fmt/format.h>

#include <algorithm>

namespace cudet::bench {
namespace {

struct Column {
  const char* title;
  std::size_t width;
  bool left;
};

// Name and shape take the width of the longest workload; the note has no end.
constexpr Column kColumns[] = {
    {"workload", 0, true}, {"shape", 0, true},    {"check", 18, true},   {"kept", 6, false},
    {"median", 8, false},  {"spread", 7, false},  {"samples", 7, false}, {"bytes", 7, false},
    {"GB/s", 8, false},    {"speedup", 8, false}, {"note", 0, true},
};
constexpr std::size_t kNameColumn = 0;
constexpr std::size_t kShapeColumn = 1;

/// A number with this many significant digits, or all of those before the point where there are
/// more.
std::string with_digits(double value, int digits) {
  if (value > 0.0 && value < 1.0) return fmt::format("{:.{}g}", value, digits);
  const int before_point = value >= 100.0 ? 3 : value >= 10.0 ? 2 : 1;
  return fmt::format("{:.{}f}", value, std::max(0, digits - before_point));
}

std::string with_unit(double value, const char* const* units, int digits) {
  int unit = 0;
  while (value >= 1000.0 && units[unit + 1] != nullptr) {
    value /= 1000.0;
    ++unit;
  }
  return with_digits(value, digits) + " " + units[unit];
}

std::size_t longest(const std::vector<Workload>& workloads, std::string Workload::*field,
                    std::size_t least) {
  for (const Workload& workload : workloads)
    least = std::max(least, (workload.*field).size());
  return least;
}

}  // namespace

std::string format_seconds(double seconds) {
  constexpr const char* kUnits[] = {"ns", "us", "ms", "s", nullptr};
  return with_unit(seconds * 1e9, kUnits, 4);
}

std::string format_bytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", nullptr};
  return with_unit(bytes, kUnits, 3);
}

ResultTable::ResultTable(std::FILE* file, const std::vector<Workload>& workloads)
    : file_(file),
      name_width_(longest(workloads, &Workload::name, 8)),
      shape_width_(longest(workloads, &Workload::shape, 5)) {}

void ResultTable::print_header() const {
  std::vector<std::string> cells;
  for (const Column& column : kColumns)
    cells.push_back(column.title);
  print_cells(cells);
}

void ResultTable::print(const Result& result) const {
  const bool timed = result.outcome == Outcome::timed;
  const auto if_timed = [timed](std::string text) { return timed ? text : std::string("-"); };
  const double seconds = result.measured.median;
  const std::string check = result.outcome == Outcome::skipped ? "skipped"
                            : result.check.empty()             ? "FAILED"
                                                               : result.check;
  print_cells({result.name, result.shape, check,
               result.kept.has_value() ? fmt::format("{}", *result.kept) : "-",
               if_timed(format_seconds(seconds)),
               if_timed(fmt::format("{:.1f} %", 100.0 * result.measured.spread)),
               if_timed(fmt::format("{}", result.measured.samples)),
               if_timed(format_bytes(result.compulsory_bytes)),
               if_timed(with_digits(result.compulsory_bytes / seconds * 1e-9, 3)),
               if_timed(with_digits(result.reference.median / seconds, 3) + " x"), result.note});
}

void ResultTable::print_legend() const {
  fmt::print(
      file_,
      "\n"
      "check    the result was compared before timing: = bit for bit, ~ within the documented\n"
      "         accuracy, with cudet::reference and, where it says so, with the boxes that the\n"
      "         detector's own post-processing keeps (their number)\n"
      "kept     boxes that NMS keeps, over all images\n"
      "median   of the times of single calls, memory caches warm\n"
      "spread   interquartile range / median\n"
      "bytes    that any implementation must read or write: inputs and outputs once\n"
      "GB/s     these bytes / median\n"
      "speedup  median of cudet::reference on this CPU / median\n");
}

void ResultTable::print_cells(const std::vector<std::string>& cells) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Column& column = kColumns[i];
    const std::size_t width = i == kNameColumn    ? name_width_
                              : i == kShapeColumn ? shape_width_
                                                  : column.width;
    if (i > 0) line += "  ";
    line += column.left ? fmt::format("{:<{}}", cells[i], width)
                        : fmt::format("{:>{}}", cells[i], width);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  fmt::print(file_, "{}\n", line);
  std::fflush(file_);
}

void print_list(std::FILE* file, const std::vector<Workload>& workloads) {
  const std::size_t name_width = longest(workloads, &Workload::name, 0);
  const std::size_t shape_width = longest(workloads, &Workload::shape, 0);
  for (const Workload& workload : workloads) {
    fmt::print(file, "{:<{}}  {:<{}}  {}\n", workload.name, name_width, workload.shape, shape_width,
               workload.description);
  }
}

}  // namespace cudet::bench
