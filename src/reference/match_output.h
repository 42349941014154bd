// What the matching of an image leaves in the outputs, on host pointers; for the reference and the
// CPU mode.
#pragma once

#include "../matching_plan.h"
#include "matcher.h"

#include <cudet/matching.h>

#include <cstdint>

namespace cudet::reference {

/// Outputs by box as they are for boxes that belong to no image.
void clear_matches(const MatchPlan& plan, const MatchOutput& output);

/// All outputs of image `image`, whose matching is `matches`.
void store_matches(const MatchPlan& plan, const MatchOptions& options, const MatchInput& input,
                   const MatchOutput& output, std::int64_t image, const ImageMatches& matches);

}  // namespace cudet::reference
