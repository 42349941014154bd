// The rules of matching on a matrix of IoUs (include/cudet/matching.h).
#pragma once

#include <cudet/matching.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cudet::reference {

/// True where `candidate`, which comes later, takes the place of `best`.
inline bool takes_over(float candidate, float best, MatchTies ties) {
  return candidate > best || (candidate == best && ties == MatchTies::later_index);
}

/// What an image's matching gives.
struct ImageMatches {
  std::vector<std::int64_t> matches;       ///< by anchor
  std::vector<float> ious;                 ///< by anchor: its best
  std::vector<std::int64_t> best_anchors;  ///< by box; -1 without anchors
  std::vector<float> best_anchor_ious;     ///< by box
};

/// Matches the anchors of one image; iou[g * anchors + a] is that of box g and anchor a.
inline ImageMatches match_image(const MatchOptions& options, const std::vector<float>& iou,
                                std::size_t boxes, std::size_t anchors) {
  ImageMatches result;
  result.matches.assign(anchors, MatchOutput::kNoMatch);
  result.ious.assign(anchors, 0.0f);
  result.best_anchors.assign(boxes, -1);
  result.best_anchor_ious.assign(boxes, 0.0f);
  if (boxes == 0) return result;

  std::vector<std::size_t> best_box(anchors, 0);
  for (std::size_t a = 0; a < anchors; ++a) {
    for (std::size_t g = 1; g < boxes; ++g) {
      if (takes_over(iou[g * anchors + a], iou[best_box[a] * anchors + a], options.ties)) {
        best_box[a] = g;
      }
    }
    const float best = iou[best_box[a] * anchors + a];
    result.ious[a] = best;
    if (best >= options.high_threshold) {
      result.matches[a] = static_cast<std::int64_t>(best_box[a]);
    } else if (best >= options.low_threshold) {
      result.matches[a] = MatchOutput::kBetweenThresholds;
    }
  }

  for (std::size_t g = 0; g < boxes && anchors > 0; ++g) {
    std::size_t best = 0;
    for (std::size_t a = 1; a < anchors; ++a)
      if (takes_over(iou[g * anchors + a], iou[g * anchors + best], options.ties)) best = a;
    const float highest = iou[g * anchors + best];
    result.best_anchors[g] = static_cast<std::int64_t>(best);
    result.best_anchor_ious[g] = highest;
    if (options.forced == ForcedMatches::low_quality) {
      for (std::size_t a = 0; a < anchors; ++a)
        if (iou[g * anchors + a] == highest)
          result.matches[a] = static_cast<std::int64_t>(best_box[a]);
    } else if (options.forced == ForcedMatches::best_anchor) {
      result.matches[best] = static_cast<std::int64_t>(g);
    }
  }
  return result;
}

}  // namespace cudet::reference
