#include "table.h"

#include <fmt/format.h>

#include <algorithm>

namespace cudet::bench {
namespace {

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

constexpr const char* kNothing = "-";

std::string time_cell(const Summary& time) {
  return time.samples > 0 ? format_seconds(time.median) : kNothing;
}

/// How much longer something takes than the measured call.
std::string ratio_cell(const Summary& other, const Summary& measured) {
  if (other.samples == 0 || measured.median <= 0.0) return kNothing;
  return with_digits(other.median / measured.median, 3) + " x";
}

std::string share_cell(double share) {
  return share > 0.0 ? with_digits(100.0 * share, 2) + " %" : kNothing;
}

std::string check_cell(const Result& result) {
  if (result.outcome == Outcome::skipped) return "skipped";
  return result.check.empty() ? "FAILED" : result.check;
}

struct Column {
  const char* title;
  std::size_t width;  ///< at least
  bool left;
  bool cuda_only;
  std::string (*cell)(const Result&, const TableStyle&);
};

constexpr std::size_t kNameColumn = 0;
constexpr std::size_t kShapeColumn = 1;

using Style = TableStyle;

constexpr Column kColumns[] = {
    {"workload", 8, true, false, [](const Result& r, const Style&) { return r.name; }},
    {"shape", 5, true, false, [](const Result& r, const Style&) { return r.shape; }},
    {"check", 18, true, false, [](const Result& r, const Style&) { return check_cell(r); }},
    {"kept", 6, false, false,
     [](const Result& r, const Style&) {
       return r.kept.has_value() ? fmt::format("{}", *r.kept) : std::string(kNothing);
     }},
    {"warm", 8, false, false,
     [](const Result& r, const Style&) { return time_cell(r.times.warm); }},
    {"spread", 7, false, false,
     [](const Result& r, const Style&) {
       if (r.times.warm.samples == 0) return std::string(kNothing);
       return fmt::format("{:.1f} %", 100.0 * r.times.warm.spread);
     }},
    {"cold", 8, false, false,
     [](const Result& r, const Style&) { return time_cell(r.times.cold); }},
    {"graph", 8, false, true,
     [](const Result& r, const Style&) { return time_cell(r.times.graph); }},
    {"bytes", 7, false, false,
     [](const Result& r, const Style&) {
       return r.compulsory_bytes > 0.0 ? format_bytes(r.compulsory_bytes) : std::string(kNothing);
     }},
    {"memory", 7, false, false,
     [](const Result& r, const Style& style) {
       return share_cell(share_of_bandwidth(r, style.limits));
     }},
    {"arith", 7, false, false,
     [](const Result& r, const Style& style) {
       return share_cell(share_of_arithmetic(r, style.limits));
     }},
    {"baseline", 8, false, false,
     [](const Result& r, const Style&) { return ratio_cell(r.times.baseline, r.times.warm); }},
    {"cpu", 8, false, true,
     [](const Result& r, const Style&) { return ratio_cell(r.times.cpu, r.times.warm); }},
    {"reference", 9, false, false,
     [](const Result& r, const Style&) { return ratio_cell(r.times.reference, r.times.warm); }},
    {"note", 0, true, false, [](const Result& r, const Style&) { return r.note; }},
};
constexpr std::size_t kColumnCount = sizeof(kColumns) / sizeof(kColumns[0]);

std::size_t longest(const std::vector<Workload>& workloads, std::string Workload::*field) {
  std::size_t length = 0;
  for (const Workload& workload : workloads)
    length = std::max(length, (workload.*field).size());
  return length;
}

std::string lines_indented(const std::string& text) {
  std::string result = "    ";
  for (const char c : text) {
    result += c;
    if (c == '\n') result += "    ";
  }
  return result;
}

/// The least time that a limit allows, with its name.
std::string floor_text(const char* name, double amount, double limit, const Summary& time) {
  const double seconds = amount / limit;
  return fmt::format("{}: at least {}, {:.1f} % of the time taken\n", name, format_seconds(seconds),
                     100.0 * seconds / time.median);
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

ResultTable::ResultTable(std::FILE* file, const std::vector<Workload>& workloads,
                         const TableStyle& style)
    : file_(file), style_(style) {
  for (const Column& column : kColumns)
    widths_.push_back(column.width);
  widths_[kNameColumn] = std::max(widths_[kNameColumn], longest(workloads, &Workload::name));
  widths_[kShapeColumn] = std::max(widths_[kShapeColumn], longest(workloads, &Workload::shape));
}

void ResultTable::print_header() const {
  std::vector<std::string> cells;
  for (const Column& column : kColumns)
    cells.push_back(column.title);
  print_cells(cells);
}

void ResultTable::print(const Result& result) const {
  std::vector<std::string> cells;
  for (const Column& column : kColumns)
    cells.push_back(column.cell(result, style_));
  print_cells(cells);
}

void ResultTable::print_explanation(const Result& result) const {
  std::string text = result.explanation;
  if (!text.empty()) text += '\n';
  const Summary& time = result.times.warm;
  if (time.samples > 0) {
    text += fmt::format("{} samples; median known to {:.2f} %\n", time.samples,
                        100.0 * time.median_error());
    text += floor_text("memory", result.compulsory_bytes, style_.limits.bytes_per_second, time);
    if (result.operations > 0.0) {
      text +=
          floor_text("arithmetic", result.operations, style_.limits.operations_per_second, time);
    }
  }
  if (result.graph_nodes > 0) {
    text += fmt::format("a graph of the call has {} nodes\n", result.graph_nodes);
  }
  if (text.empty()) return;
  text.pop_back();
  fmt::print(file_, "{}\n", lines_indented(text));
  std::fflush(file_);
}

void ResultTable::print_legend() const {
  fmt::print(
      file_,
      "\n"
      "check      the result was compared before timing: = bit for bit, ~ within the documented\n"
      "           accuracy, with cudet::reference and, where it says so, with the boxes that the\n"
      "           detector's own post-processing keeps (their number)\n"
      "kept       boxes that NMS keeps, over all images\n"
      "warm       median time of a call, calls in a row; spread: interquartile range / median\n"
      "cold       the same of single calls, with inputs and outputs that no cache holds\n"
      "{}"
      "bytes      that any implementation must read or write: inputs and outputs once\n"
      "memory     part of the rate of a copy, measured in this run, that these bytes reach;\n"
      "           more than all of it where they stay in a cache\n"
      "arith      part of the rate of multiply-adds in registers, measured in this run\n"
      "baseline   how many times as long a plain implementation takes on the device\n"
      "{}"
      "reference  how many times as long cudet::reference takes on this CPU\n",
      style_.cuda ? "graph      the same as warm, the call being replayed from a CUDA graph\n" : "",
      style_.cuda ? "cpu        how many times as long the CPU mode takes, Execution::cpu()\n"
                  : "");
}

void ResultTable::print_cells(const std::vector<std::string>& cells) const {
  std::string line;
  for (std::size_t i = 0; i < kColumnCount; ++i) {
    const Column& column = kColumns[i];
    if (column.cuda_only && !style_.cuda) continue;
    if (i > 0) line += "  ";
    line += column.left ? fmt::format("{:<{}}", cells[i], widths_[i])
                        : fmt::format("{:>{}}", cells[i], widths_[i]);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  fmt::print(file_, "{}\n", line);
  std::fflush(file_);
}

std::string markdown_table(const std::vector<Result>& results, const TableStyle& style) {
  std::string titles = "|";
  std::string rule = "|";
  for (const Column& column : kColumns) {
    if (column.cuda_only && !style.cuda) continue;
    titles += fmt::format(" {} |", column.title);
    rule += column.left ? "---|" : "---:|";
  }
  std::string text = titles + "\n" + rule + "\n";
  for (const Result& result : results) {
    text += '|';
    for (const Column& column : kColumns) {
      if (column.cuda_only && !style.cuda) continue;
      text += fmt::format(" {} |", column.cell(result, style));
    }
    text += '\n';
  }
  return text;
}

void print_list(std::FILE* file, const std::vector<Workload>& workloads) {
  const std::size_t name_width = longest(workloads, &Workload::name);
  const std::size_t shape_width = longest(workloads, &Workload::shape);
  for (const Workload& workload : workloads) {
    fmt::print(file, "{:<{}}  {:<8}  {:<{}}  {}\n", workload.name, name_width,
               to_string(workload.type), workload.shape, shape_width, workload.description);
  }
}

}  // namespace cudet::bench
