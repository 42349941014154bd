// Greedy non-maximum suppression from the definition in include/cudet/nms.h.

#include <cudet/nms.h>

#include "../check.h"
#include "../nms_plan.h"
#include "box.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace cudet::reference {
namespace {

float area(const Box& box) {
  return (box.x2 - box.x1) * (box.y2 - box.y1);
}

/// True where the IoU of the boxes, each operation rounded to float32, exceeds the threshold. 0 / 0
/// is NaN and exceeds nothing.
bool overlaps(const Box& a, const Box& b, float iou_threshold) {
  if (!a.valid || !b.valid) return false;
  const float width = std::max(std::min(a.x2, b.x2) - std::max(a.x1, b.x1), 0.0f);
  const float height = std::max(std::min(a.y2, b.y2) - std::max(a.y1, b.y1), 0.0f);
  const float intersection = width * height;
  return intersection / (area(a) + area(b) - intersection) > iou_threshold;
}

struct Candidate {
  std::int64_t index;
  float score;
  std::int64_t class_id;
  Box box;
};

std::vector<Candidate> candidates_by_score(const NmsOptions& options, const NmsInput& input,
                                           std::int64_t image, std::int64_t n) {
  std::int64_t count = n;
  if (input.counts.present()) {
    count = std::clamp<std::int64_t>(input.counts.data_as<std::int32_t>()[image], 0, n);
  }
  std::vector<Candidate> candidates;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t element = image * n + i;
    const float score = real_at(input.scores, element);
    if (!(score > options.score_threshold)) continue;
    const std::int64_t class_id =
        is_class_aware(options, input) ? integer_at(input.classes, element) : 0;
    candidates.push_back(
        {i, score, class_id, box_at(input.boxes, element, options.format, options.legacy_offset)});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  return candidates;
}

std::vector<std::int64_t> keep(const std::vector<Candidate>& candidates, float iou_threshold,
                               std::int64_t capacity) {
  std::vector<std::int64_t> indices;
  std::vector<const Candidate*> kept;
  for (const Candidate& candidate : candidates) {
    if (static_cast<std::int64_t>(kept.size()) == capacity) break;
    const bool dropped = std::any_of(kept.begin(), kept.end(), [&](const Candidate* other) {
      return other->class_id == candidate.class_id &&
             overlaps(other->box, candidate.box, iou_threshold);
    });
    if (dropped) continue;
    kept.push_back(&candidate);
    indices.push_back(candidate.index);
  }
  return indices;
}

/// Copies `count` elements of `source` from element `from` into `target` at element `to`.
void copy_elements(const Tensor& source, std::int64_t from, const Tensor& target, std::int64_t to,
                   std::int64_t count) {
  const std::int64_t size = size_of(source.type());
  std::memcpy(target.data_as<char>() + to * size, source.data_as<char>() + from * size,
              static_cast<std::size_t>(count * size));
}

void write_slot(const NmsInput& input, const NmsOutput& output, std::int64_t slot,
                std::int64_t index, std::int64_t element) {
  if (output.indices.present()) store_integer(output.indices, slot, index);
  if (output.boxes.present()) copy_elements(input.boxes, 4 * element, output.boxes, 4 * slot, 4);
  if (output.scores.present()) copy_elements(input.scores, element, output.scores, slot, 1);
  if (output.classes.present()) copy_elements(input.classes, element, output.classes, slot, 1);
}

void write_padding(const NmsOutput& output, std::int64_t slot) {
  if (output.indices.present()) store_integer(output.indices, slot, -1);
  for (int i = 0; i < 4 && output.boxes.present(); ++i) {
    store_real(output.boxes, 4 * slot + i, 0.0f);
  }
  if (output.scores.present()) store_real(output.scores, slot, 0.0f);
  if (output.classes.present()) store_integer(output.classes, slot, -1);
}

}  // namespace

Status nms(const NmsOptions& options, const NmsInput& input, const NmsOutput& output) noexcept {
  NmsShape shape;
  CUDET_RETURN_IF_ERROR(check_nms_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_nms_output(input, output, shape));
  // Without an output that has slots, there may be more of them than anybody can count.
  const bool has_slots = output.indices.present() || output.boxes.present() ||
                         output.scores.present() || output.classes.present();
  const std::int64_t slots = has_slots ? shape.capacity : 0;
  for (std::int64_t image = 0; image < shape.batch; ++image) {
    const std::vector<std::int64_t> indices = keep(
        candidates_by_score(options, input, image, shape.n), options.iou_threshold, shape.capacity);
    const auto count = static_cast<std::int64_t>(indices.size());
    if (output.count.present()) store_integer(output.count, image, count);
    for (std::int64_t k = 0; k < slots; ++k) {
      const std::int64_t slot = image * slots + k;
      if (k < count) {
        const std::int64_t index = indices[static_cast<std::size_t>(k)];
        write_slot(input, output, slot, index, image * shape.n + index);
      } else {
        write_padding(output, slot);
      }
    }
  }
  return Status();
}

}  // namespace cudet::reference
