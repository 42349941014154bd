// Matching on the CPU without the matrix: threads share out stretches of anchors, for each of which
// the IoUs of one box after the other are a vector. Of a box only its largest IoU with each stretch
// is kept; the few stretches that hold the largest of all are looked at again.
#include "matching.h"

#include "../reference/box_range.h"
#include "../reference/match_output.h"
#include "box_columns.h"
#include "parallel.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cudet::cpu {
namespace {

/// Anchors of a stretch: their boxes and IoUs stay in the first-level cache.
constexpr std::int64_t kStretch = 512;

BoxList read_boxes(const MatchOptions& options, const Tensor& boxes, std::int64_t begin,
                   std::int64_t end) {
  BoxList list;
  list.reserve(end - begin);
  for (std::int64_t i = begin; i < end; ++i) {
    const reference::Box box = reference::box_at(boxes, i, options.format, options.legacy_offset);
    list.push_back(box.valid ? make_pair_box(box, false) : PairBox());
  }
  return list;
}

/// The matching of one image.
class ImageMatcher {
 public:
  ImageMatcher(const MatchOptions& options, const BoxList& boxes, const BoxList& anchors,
               bool looks_at_boxes)
      : options_(options),
        boxes_(boxes),
        anchors_(anchors),
        later_wins_(options.ties == MatchTies::later_index),
        looks_at_boxes_(looks_at_boxes),
        stretches_((anchors.size() + kStretch - 1) / kStretch) {
    const auto anchor_count = static_cast<std::size_t>(anchors.size());
    const auto box_count = static_cast<std::size_t>(boxes.size());
    result_.matches.assign(anchor_count, MatchOutput::kNoMatch);
    result_.ious.assign(anchor_count, 0.0f);
    result_.best_anchors.assign(box_count, -1);
    result_.best_anchor_ious.assign(box_count, 0.0f);
    best_box_.resize(anchor_count);
    if (looks_at_boxes) stretch_best_.resize(static_cast<std::size_t>(stretches_) * box_count);
  }

  reference::ImageMatches run(int threads) {
    if (boxes_.size() == 0) return result_;
    parallel_for(threads, stretches_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t stretch = begin; stretch < end; ++stretch)
        match_stretch(stretch);
    });
    if (!looks_at_boxes_ || stretches_ == 0) return result_;
    for (std::int64_t box = 0; box < boxes_.size(); ++box)
      look_at_box(box);
    return result_;
  }

 private:
  std::int64_t first_of(std::int64_t stretch) const { return stretch * kStretch; }
  std::int64_t size_of(std::int64_t stretch) const {
    return std::min(kStretch, anchors_.size() - first_of(stretch));
  }

  void compute_ious(std::int64_t box, std::int64_t stretch, float* ious) const {
    box_loops().iou_row(IouKind::iou, boxes_[box], anchors_.columns(first_of(stretch)),
                        size_of(stretch), 0.0f, ious);
  }

  float& stretch_best(std::int64_t stretch, std::int64_t box) {
    return stretch_best_[static_cast<std::size_t>(stretch * boxes_.size() + box)];
  }

  void match_stretch(std::int64_t stretch) {
    const std::int64_t count = size_of(stretch);
    float ious[kStretch];
    float best[kStretch];
    std::int32_t best_box[kStretch];
    std::fill(best, best + count, -1.0f);
    for (std::int64_t box = 0; box < boxes_.size(); ++box) {
      compute_ious(box, stretch, ious);
      const auto number = static_cast<std::int32_t>(box);
      float largest = 0.0f;
      for (std::int64_t k = 0; k < count; ++k) {
        const bool wins = later_wins_ ? ious[k] >= best[k] : ious[k] > best[k];
        best_box[k] = wins ? number : best_box[k];
        best[k] = wins ? ious[k] : best[k];
        largest = ious[k] > largest ? ious[k] : largest;
      }
      if (looks_at_boxes_) stretch_best(stretch, box) = largest;
    }
    for (std::int64_t k = 0; k < count; ++k) {
      const auto anchor = static_cast<std::size_t>(first_of(stretch) + k);
      best_box_[anchor] = best_box[k];
      result_.ious[anchor] = best[k];
      if (best[k] >= options_.high_threshold) {
        result_.matches[anchor] = best_box[k];
      } else if (best[k] >= options_.low_threshold) {
        result_.matches[anchor] = MatchOutput::kBetweenThresholds;
      }
    }
  }

  /// The best anchor of a box, and what is forced for its sake.
  void look_at_box(std::int64_t box) {
    float highest = 0.0f;
    for (std::int64_t stretch = 0; stretch < stretches_; ++stretch)
      highest = std::max(highest, stretch_best(stretch, box));
    std::int64_t best_anchor = -1;
    const bool forces_all = options_.forced == ForcedMatches::low_quality;
    for (std::int64_t i = 0; i < stretches_; ++i) {
      // Stretches in the order in which their anchors win.
      const std::int64_t stretch = later_wins_ ? stretches_ - 1 - i : i;
      if (stretch_best(stretch, box) != highest) continue;
      float ious[kStretch];
      compute_ious(box, stretch, ious);
      std::int64_t winner = -1;
      for (std::int64_t k = 0; k < size_of(stretch); ++k) {
        if (ious[k] != highest) continue;
        const std::int64_t anchor = first_of(stretch) + k;
        if (winner < 0 || later_wins_) winner = anchor;
        if (!forces_all) continue;
        const auto index = static_cast<std::size_t>(anchor);
        result_.matches[index] = best_box_[index];
      }
      if (best_anchor < 0) best_anchor = winner;
      if (!forces_all) break;
    }
    result_.best_anchors[static_cast<std::size_t>(box)] = best_anchor;
    result_.best_anchor_ious[static_cast<std::size_t>(box)] = highest;
    if (options_.forced == ForcedMatches::best_anchor) {
      result_.matches[static_cast<std::size_t>(best_anchor)] = box;
    }
  }

  const MatchOptions& options_;
  const BoxList& boxes_;
  const BoxList& anchors_;
  const bool later_wins_;
  const bool looks_at_boxes_;
  const std::int64_t stretches_;
  reference::ImageMatches result_;
  std::vector<std::int32_t> best_box_;  ///< by anchor, whatever the thresholds
  std::vector<float> stretch_best_;     ///< by stretch and box: the largest IoU
};

}  // namespace

Status match_boxes(const MatchPlan& plan, const MatchOptions& options, const MatchInput& input,
                   const MatchOutput& output, int threads) {
  reference::clear_matches(plan, output);
  BoxList anchors;
  if (!plan.anchors_by_image) anchors = read_boxes(options, input.anchors, 0, plan.anchors);
  for (std::int64_t image = 0; image < plan.batch; ++image) {
    if (plan.anchors_by_image) {
      anchors =
          read_boxes(options, input.anchors, image * plan.anchors, (image + 1) * plan.anchors);
    }
    const auto [begin, end] = reference::range_of_image(input.offsets, image, plan.boxes);
    const BoxList boxes = read_boxes(options, input.boxes, begin, end);
    ImageMatcher matcher(options, boxes, anchors, plan.looks_at_boxes);
    reference::store_matches(plan, options, input, output, image, matcher.run(threads));
  }
  return Status();
}

}  // namespace cudet::cpu
