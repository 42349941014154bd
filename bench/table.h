// Results as a table for people.
#pragma once

#include "runner.h"
#include "workload.h"

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace cudet::bench {

/// Prints a row as soon as it is known; the widths follow from the workloads that will come.
class ResultTable {
 public:
  ResultTable(std::FILE* file, const std::vector<Workload>& workloads);

  void print_header() const;
  void print(const Result& result) const;

  /// What the columns mean.
  void print_legend() const;

 private:
  void print_cells(const std::vector<std::string>& cells) const;

  std::FILE* file_;
  std::size_t name_width_;
  std::size_t shape_width_;
};

/// Names, shapes and descriptions, for --list.
void print_list(std::FILE* file, const std::vector<Workload>& workloads);

/// A duration with four digits and the unit that suits it, for example "12.34 us".
std::string format_seconds(double seconds);

/// A number of bytes with three digits, for example "1.35 MB"; units are powers of 1000.
std::string format_bytes(double bytes);

}  // namespace cudet::bench
