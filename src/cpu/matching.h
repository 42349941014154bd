// Matching on the CPU, as the host side calls it.
#pragma once

#include <cudet/matching.h>

#include "../matching_plan.h"

namespace cudet::cpu {

/// match_boxes(); arguments have been checked. The results are those of the reference.
Status match_boxes(const MatchPlan& plan, const MatchOptions& options, const MatchInput& input,
                   const MatchOutput& output, int threads);

}  // namespace cudet::cpu
