// Matching from its definition (include/cudet/matching.h): a matrix of IoUs, then the rules.
#include <cudet/matching.h>

#include "../check.h"
#include "../host_memory.h"
#include "../matching_plan.h"
#include "box.h"
#include "box_range.h"
#include "match_output.h"
#include "matcher.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace cudet::reference {
namespace {

float area(const Box& box) {
  return (box.x2 - box.x1) * (box.y2 - box.y1);
}

/// In float32, as the header says: its bits decide.
float iou_of(const Box& a, const Box& b) {
  if (!a.valid || !b.valid) return 0.0f;
  const float width = std::max(std::min(a.x2, b.x2) - std::max(a.x1, b.x1), 0.0f);
  const float height = std::max(std::min(a.y2, b.y2) - std::max(a.y1, b.y1), 0.0f);
  const float intersection = width * height;
  const float union_area = area(a) + area(b) - intersection;
  return union_area > 0.0f ? intersection / union_area : 0.0f;
}

}  // namespace

Status match_boxes(const MatchOptions& options, const MatchInput& input,
                   const MatchOutput& output) noexcept try {
  CUDET_RETURN_IF_ERROR(check_match_boxes(options, input, output, true));
  MatchPlan plan;
  CUDET_RETURN_IF_ERROR(plan_match_boxes(options, input, output, &plan));
  const std::int64_t anchors = plan.anchors;
  const auto read = [&](const Tensor& boxes, std::int64_t index) {
    return box_at(boxes, index, options.format, options.legacy_offset);
  };
  clear_matches(plan, output);
  for (std::int64_t b = 0; b < plan.batch; ++b) {
    const auto [begin, end] = range_of_image(input.offsets, b, plan.boxes);
    const std::int64_t first_anchor = plan.anchors_by_image ? b * anchors : 0;
    std::vector<float> iou;
    for (std::int64_t g = begin; g < end; ++g)
      for (std::int64_t a = 0; a < anchors; ++a)
        iou.push_back(iou_of(read(input.boxes, g), read(input.anchors, first_anchor + a)));
    const ImageMatches image = match_image(options, iou, static_cast<std::size_t>(end - begin),
                                           static_cast<std::size_t>(anchors));
    store_matches(plan, options, input, output, b, image);
  }
  return Status();
} catch (const std::bad_alloc&) {
  return out_of_host_memory("match_boxes");
}

}  // namespace cudet::reference
