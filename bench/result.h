// What is found out about one workload.
#pragma once

#include "limits.h"
#include "measure.h"

#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace cudet::bench {

enum class Outcome { timed, checked, skipped, failed };

const char* to_string(Outcome outcome);

/// Times of one workload; without samples where there is no such time.
struct Timings {
  Summary warm;       ///< calls in a row, on the same inputs
  Summary cold;       ///< single calls, on inputs and outputs that no cache holds
  Summary graph;      ///< calls in a row, captured in a CUDA graph and replayed
  Summary cpu;        ///< Execution::cpu(), where the device is a GPU
  Summary baseline;   ///< the plain implementation on the device, calls in a row
  Summary reference;  ///< cudet::reference
};

struct Result {
  std::string name;
  std::string shape;
  DataType type = DataType::float32;
  Outcome outcome = Outcome::failed;
  std::string check;                 ///< empty where it did not come to a check
  std::optional<std::int64_t> kept;  ///< boxes, for NMS
  Timings times;
  double compulsory_bytes = 0.0;
  double operations = 0.0;
  std::size_t graph_nodes = 0;  ///< kernels, copies and fills of a call on a GPU
  std::string explanation;
  std::string note;  ///< why it was skipped, or what is wrong
};

/// Part of the rate that the copy reaches, and of the operations that the multiply-adds reach, by
/// the median of warm calls.
double share_of_bandwidth(const Result& result, const Limits& limits);
double share_of_arithmetic(const Result& result, const Limits& limits);

}  // namespace cudet::bench
