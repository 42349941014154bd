// Device side of the matching, as the host side calls it.
#pragma once

#include <cudet/execution.h>
#include <cudet/matching.h>

#include "../src/matching_plan.h"

namespace cudet::device {

/// Enqueues match_boxes(); arguments have been checked, the workspace is as the plan asks.
Status match_boxes(const MatchPlan& plan, const MatchOptions& options, const MatchInput& input,
                   const MatchOutput& output, const Execution& execution) noexcept;

}  // namespace cudet::device
