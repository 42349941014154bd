// Results as a table for people: plain text, row by row, or Markdown.
#pragma once

#include "limits.h"
#include "result.h"
#include "workload.h"

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace cudet::bench {

/// What of a row depends on the run.
struct TableStyle {
  bool cuda = false;  ///< the device is a GPU: more columns
  Limits limits;
};

/// Prints a row as soon as it is known; the widths follow from the workloads that will come.
class ResultTable {
 public:
  ResultTable(std::FILE* file, const std::vector<Workload>& workloads, const TableStyle& style);

  void print_header() const;
  void print(const Result& result) const;

  /// What --explain adds to a row.
  void print_explanation(const Result& result) const;

  /// What the columns mean.
  void print_legend() const;

 private:
  void print_cells(const std::vector<std::string>& cells) const;

  std::FILE* file_;
  TableStyle style_;
  std::vector<std::size_t> widths_;
};

/// All rows as a Markdown table.
std::string markdown_table(const std::vector<Result>& results, const TableStyle& style);

/// Names, types, shapes and descriptions, for --list.
void print_list(std::FILE* file, const std::vector<Workload>& workloads);

/// A duration with four digits and the unit that suits it, for example "12.34 us".
std::string format_seconds(double seconds);

/// A number of bytes with three digits, for example "1.35 MB"; units are powers of 1000.
std::string format_bytes(double bytes);

}  // namespace cudet::bench
