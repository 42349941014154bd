// Checks and times one workload.
#pragma once

#include "measure.h"
#include "workload.h"

#include <cstdint>
#include <optional>
#include <string>

namespace cudet::bench {

class Device;

struct RunOptions {
  bool quick = false;
  Sampling measured;   ///< of the call on the device
  Sampling reference;  ///< of cudet::reference
};

/// Sampling of a full or a quick run, in which the measured call gets `min_seconds` at least.
RunOptions make_run_options(bool quick, double min_seconds);

enum class Outcome { timed, skipped, failed };

struct Result {
  std::string name;
  std::string shape;
  Outcome outcome = Outcome::failed;
  std::string check;                 ///< empty where it did not come to a check
  std::optional<std::int64_t> kept;  ///< boxes, for NMS
  Summary measured;
  Summary reference;
  double compulsory_bytes = 0.0;
  std::string note;  ///< why it was skipped, or what is wrong
};

/// Never throws: what goes wrong is in the result.
Result run_workload(const Workload& workload, Device& device, const RunOptions& options);

}  // namespace cudet::bench
