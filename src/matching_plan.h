// What match_boxes() derives from options and shapes before anything runs.
#pragma once

#include <cudet/matching.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Anchors of one block of the device.
inline constexpr std::int64_t kMatchBlockAnchors = 512;

struct MatchPlan {
  std::int64_t batch = 0;
  std::int64_t anchors = 0;       ///< of an image
  std::int64_t boxes = 0;         ///< of all images
  bool anchors_by_image = false;  ///< or shared by all
  std::int64_t blocks = 0;        ///< of an image
  bool looks_at_boxes = false;    ///< something asks for the best anchor of a box
  std::size_t best = 0;           ///< offset of uint64 [boxes] in the workspace
  std::size_t block_best = 0;     ///< offset of uint32 [blocks, boxes]; low_quality alone
  std::size_t notes = 0;          ///< offset of int32 [batch, anchors]; low_quality alone
  std::size_t workspace_bytes = 0;
};

/// Check everything but the execution, in the order of options, inputs and outputs; the first bad
/// argument decides. `with_data` = false leaves data pointers and outputs out.
Status check_match_boxes(const MatchOptions& options, const MatchInput& input,
                         const MatchOutput& output, bool with_data) noexcept;

/// Sizes of a checked call. unsupported where the workspace has 2^63 bytes.
Status plan_match_boxes(const MatchOptions& options, const MatchInput& input,
                        const MatchOutput& output, MatchPlan* plan) noexcept;

}  // namespace cudet
