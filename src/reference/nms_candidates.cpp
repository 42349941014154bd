#include "nms_candidates.h"

#include <algorithm>
#include <utility>

namespace cudet::reference {
namespace {

Box corners_of(const NmsOptions& options, const Tensor& boxes, std::int64_t index) {
  if (!options.reorder_corners) return box_at(boxes, index, options.format, options.legacy_offset);
  Box box = box_at(boxes, index, options.format, false);
  if (box.x2 < box.x1) std::swap(box.x1, box.x2);
  if (box.y2 < box.y1) std::swap(box.y1, box.y2);
  if (options.legacy_offset) {
    box.x2 += 1.0f;
    box.y2 += 1.0f;
  }
  box.valid = has_valid_corners(box);
  return box;
}

void read_rotated_box(const NmsOptions& options, const Tensor& boxes, Candidate& candidate) {
  float numbers[5];
  for (std::int64_t i = 0; i < 5; ++i)
    numbers[i] = real_at(boxes, 5 * candidate.box_element + i);
  const auto& [cx, cy, width, height, angle] = numbers;
  candidate.valid = pinned::is_valid_rotated_box(cx, cy, width, height, angle);
  candidate.rotated = pinned::make_rotated_box(cx, cy, width, height, angle, options.angle_unit,
                                               options.angle_direction);
}

}  // namespace

ImageRange image_range(const NmsInput& input, const NmsShape& shape, std::int64_t image) {
  if (shape.ragged) {
    const std::int64_t first =
        std::clamp<std::int64_t>(integer_at(input.offsets, image), 0, shape.total);
    const std::int64_t end =
        std::clamp<std::int64_t>(integer_at(input.offsets, image + 1), first, shape.total);
    return {image, first, std::min(end - first, shape.n)};
  }
  std::int64_t boxes = shape.n;
  if (input.counts.present()) {
    boxes = std::clamp<std::int64_t>(integer_at(input.counts, image), 0, shape.n);
  }
  return {image, image * shape.n, boxes};
}

Candidate element_of(const NmsOptions& options, const NmsInput& input, const NmsShape& shape,
                     const ImageRange& image, std::int64_t number) {
  const std::int64_t i = number / shape.classes;
  const std::int64_t c = number % shape.classes;
  Candidate element = {};
  element.number = number;
  element.index = i;
  element.box_element = image.first_box + i;
  if (shape.boxes_per_class) element.box_element = element.box_element * shape.classes + c;
  element.score_element = (image.first_box + i) * shape.classes + c;
  if (shape.dense && options.score_layout == ScoreLayout::class_box) {
    element.score_element = (image.index * shape.classes + c) * shape.n + i;
  }
  if (shape.dense) element.class_id = c;
  if (input.classes.present()) {
    element.class_id = integer_at(input.classes, image.first_box + i);
  }
  element.score = real_at(input.scores, element.score_element);
  if (shape.rotated) {
    read_rotated_box(options, input.boxes, element);
  } else {
    element.box = corners_of(options, input.boxes, element.box_element);
    element.valid = element.box.valid;
  }
  return element;
}

std::vector<Candidate> elements_of(const NmsOptions& options, const NmsInput& input,
                                   const NmsShape& shape, const ImageRange& image) {
  std::vector<Candidate> elements;
  for (std::int64_t number = 0; number < image.boxes * shape.classes; ++number)
    elements.push_back(element_of(options, input, shape, image, number));
  return elements;
}

std::vector<Candidate> candidates_by_score(const NmsOptions& options, const NmsInput& input,
                                           const NmsShape& shape, const ImageRange& image) {
  const NmsScoreThreshold threshold = raw_score_threshold(options);
  const bool has_classes = shape.dense || input.classes.present();
  std::vector<Candidate> candidates;
  for (const Candidate& element : elements_of(options, input, shape, image)) {
    const bool passes = element.score > threshold.value ||
                        (threshold.inclusive && element.score == threshold.value);
    const bool background = has_classes && options.background_class != NmsOptions::kNoClass &&
                            element.class_id == options.background_class;
    if (passes && !background) candidates.push_back(element);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  if (static_cast<std::int64_t>(candidates.size()) > shape.top_k) {
    candidates.resize(static_cast<std::size_t>(shape.top_k));
  }
  return candidates;
}

}  // namespace cudet::reference
