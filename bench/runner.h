// Checks and times one workload.
#pragma once

#include "measure.h"
#include "result.h"
#include "workload.h"

namespace cudet::bench {

class Device;

struct RunOptions {
  bool quick = false;
  bool profile = false;  ///< run each call once, in a named range, and time nothing
  int repeat = 1;        ///< measurements of each workload
  Sampling measured;     ///< of the call on the device
  Sampling other;        ///< of everything that it is compared with
};

/// Sampling of a full or a quick run, in which the measured call gets `min_seconds` at least.
RunOptions make_run_options(bool quick, double min_seconds);

/// Never throws: what goes wrong is in the result.
Result run_workload(const Workload& workload, Device& device, const RunOptions& options);

}  // namespace cudet::bench
