#include "match_output.h"

#include "box.h"
#include "box_range.h"

#include <cmath>
#include <cstddef>

namespace cudet::reference {
namespace {

void store_codes(const Tensor& codes, std::int64_t index, const Box& anchor, const Box& box,
                 const float* weights) {
  const auto centre = [](float low, float high) {
    return (static_cast<double>(low) + static_cast<double>(high)) / 2.0;
  };
  const auto side = [](float low, float high) {
    return static_cast<double>(high) - static_cast<double>(low);
  };
  const double anchor_width = side(anchor.x1, anchor.x2);
  const double anchor_height = side(anchor.y1, anchor.y2);
  const double numbers[] = {(centre(box.x1, box.x2) - centre(anchor.x1, anchor.x2)) / anchor_width,
                            (centre(box.y1, box.y2) - centre(anchor.y1, anchor.y2)) / anchor_height,
                            std::log(side(box.x1, box.x2) / anchor_width),
                            std::log(side(box.y1, box.y2) / anchor_height)};
  for (int k = 0; k < 4; ++k)
    store_real(codes, 4 * index + k,
               static_cast<float>(static_cast<double>(weights[k]) * numbers[k]));
}

}  // namespace

void clear_matches(const MatchPlan& plan, const MatchOutput& output) {
  for (std::int64_t g = 0; g < plan.boxes; ++g) {
    if (output.best_anchors.present()) store_integer(output.best_anchors, g, -1);
    if (output.best_anchor_ious.present()) store_real(output.best_anchor_ious, g, 0.0f);
  }
}

void store_matches(const MatchPlan& plan, const MatchOptions& options, const MatchInput& input,
                   const MatchOutput& output, std::int64_t image, const ImageMatches& matches) {
  const std::int64_t anchors = plan.anchors;
  const std::int64_t first_anchor = plan.anchors_by_image ? image * anchors : 0;
  const auto [begin, end] = range_of_image(input.offsets, image, plan.boxes);
  const auto read = [&](const Tensor& boxes, std::int64_t index) {
    return box_at(boxes, index, options.format, options.legacy_offset);
  };
  for (std::int64_t a = 0; a < anchors; ++a) {
    const std::int64_t index = image * anchors + a;
    const std::int64_t match = matches.matches[static_cast<std::size_t>(a)];
    if (output.matches.present()) store_integer(output.matches, index, match);
    if (output.ious.present()) {
      store_real(output.ious, index, matches.ious[static_cast<std::size_t>(a)]);
    }
    if (output.match_labels.present()) {
      const std::int64_t label = match >= 0 ? integer_at(input.labels, begin + match)
                                 : match == MatchOutput::kNoMatch
                                     ? options.no_match_label
                                     : options.between_thresholds_label;
      store_integer(output.match_labels, index, label);
    }
    if (!output.codes.present()) continue;
    Box anchor = {}, box = {};
    if (match >= 0) {
      anchor = read(input.anchors, first_anchor + a);
      box = read(input.boxes, begin + match);
    }
    if (anchor.valid && box.valid) {
      store_codes(output.codes, index, anchor, box, options.code_weights);
    } else {
      for (int k = 0; k < 4; ++k)
        store_real(output.codes, 4 * index + k, 0.0f);
    }
  }
  for (std::int64_t g = begin; g < end; ++g) {
    const auto k = static_cast<std::size_t>(g - begin);
    if (output.best_anchors.present())
      store_integer(output.best_anchors, g, matches.best_anchors[k]);
    if (output.best_anchor_ious.present())
      store_real(output.best_anchor_ious, g, matches.best_anchor_ious[k]);
  }
}

}  // namespace cudet::reference
