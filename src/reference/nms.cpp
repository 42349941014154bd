// Greedy non-maximum suppression from the definition in include/cudet/nms.h.

#include <cudet/nms.h>

#include "../check.h"
#include "../nms_plan.h"
#include "nms_candidates.h"
#include "nms_overlap.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

namespace cudet::reference {
namespace {

/// The call's arguments and what follows from them.
struct Call {
  const NmsOptions& options;
  const NmsInput& input;
  const NmsOutput& output;
  NmsShape shape;
};

float threshold_of(const Call& call, std::int64_t class_id) {
  const Tensor& thresholds = call.input.iou_thresholds;
  const bool listed = thresholds.present() && class_id >= 0 && class_id < thresholds.size(0);
  return listed ? thresholds.data_as<float>()[class_id] : call.options.iou_threshold;
}

bool suppresses(const Call& call, const Candidate& kept, const Candidate& other) {
  if (call.shape.class_aware && kept.class_id != other.class_id) return false;
  if (!kept.box.valid || !other.box.valid) return false;
  const float value = overlap_of(call.options.metric, kept.box, other.box);
  const float threshold = threshold_of(call, other.class_id);
  return value > threshold || (call.options.suppress_equal && value == threshold);
}

std::vector<Candidate> keep(const Call& call, const std::vector<Candidate>& candidates) {
  const std::int64_t class_limit = call.options.max_outputs_per_class;
  std::map<std::int64_t, std::int64_t> kept_of_class;
  std::vector<Candidate> kept;
  for (const Candidate& candidate : candidates) {
    if (static_cast<std::int64_t>(kept.size()) == call.shape.capacity) break;
    const bool dropped = std::any_of(kept.begin(), kept.end(), [&](const Candidate& other) {
      return suppresses(call, other, candidate);
    });
    if (dropped) continue;
    std::int64_t& in_class = kept_of_class[call.shape.class_aware ? candidate.class_id : 0];
    if (class_limit != NmsOptions::kNoLimit && in_class >= class_limit) continue;
    ++in_class;
    kept.push_back(candidate);
  }
  return kept;
}

/// Copies `count` elements of `source` from element `from` into `target` at element `to`.
void copy_elements(const Tensor& source, std::int64_t from, const Tensor& target, std::int64_t to,
                   std::int64_t count) {
  const std::int64_t size = size_of(source.type());
  std::memcpy(target.data_as<char>() + to * size, source.data_as<char>() + from * size,
              static_cast<std::size_t>(count * size));
}

void write_slot(const Call& call, std::int64_t slot, const Candidate& kept) {
  const NmsOutput& output = call.output;
  if (output.indices.present()) store_integer(output.indices, slot, kept.index);
  if (output.boxes.present()) {
    copy_elements(call.input.boxes, 4 * kept.box_element, output.boxes, 4 * slot, 4);
  }
  if (output.scores.present()) {
    if (call.options.score_activation == ScoreActivation::sigmoid) {
      store_real(output.scores, slot, pinned::sigmoid(kept.score));
    } else {
      copy_elements(call.input.scores, kept.score_element, output.scores, slot, 1);
    }
  }
  if (output.classes.present()) store_integer(output.classes, slot, kept.class_id);
}

void write_padding(const NmsOutput& output, std::int64_t slot) {
  if (output.indices.present()) store_integer(output.indices, slot, -1);
  for (int i = 0; i < 4 && output.boxes.present(); ++i) {
    store_real(output.boxes, 4 * slot + i, 0.0f);
  }
  if (output.scores.present()) store_real(output.scores, slot, 0.0f);
  if (output.classes.present()) store_integer(output.classes, slot, -1);
}

/// The outputs that have an entry for each score.
void write_masks(const Call& call, const ImageRange& image,
                 const std::vector<Candidate>& candidates, const std::vector<Candidate>& kept) {
  const NmsOutput& output = call.output;
  if (!output.keep.present() && !output.suppressed_by.present()) return;
  const auto set_keep = [&](const Candidate& element, std::uint8_t value) {
    if (output.keep.present()) output.keep.data_as<std::uint8_t>()[element.score_element] = value;
  };
  const auto set_suppressor = [&](const Candidate& element, std::int64_t index) {
    if (output.suppressed_by.present()) {
      store_integer(output.suppressed_by, element.score_element, index);
    }
  };
  // Of images of equal size also what lies behind the boxes that they really have.
  const ImageRange all = {image.index, image.first_box,
                          call.shape.ragged ? image.boxes : call.shape.n};
  for (const Candidate& element : elements_of(call.options, call.input, call.shape, all)) {
    set_keep(element, 0);
    set_suppressor(element, -1);
  }
  auto next = kept.begin();  // candidates and kept boxes are in the same order
  for (const Candidate& candidate : candidates) {
    if (next != kept.end() && next->number == candidate.number) {
      set_keep(candidate, 1);
      ++next;
      continue;
    }
    const auto suppressor = std::find_if(kept.begin(), next, [&](const Candidate& other) {
      return suppresses(call, other, candidate);
    });
    if (suppressor != next) set_suppressor(candidate, suppressor->index);
  }
}

}  // namespace

Status nms(const NmsOptions& options, const NmsInput& input, const NmsOutput& output) noexcept {
  Call call = {options, input, output, {}};
  CUDET_RETURN_IF_ERROR(check_nms_input(options, input, true, &call.shape));
  CUDET_RETURN_IF_ERROR(check_nms_output(options, input, output, call.shape));
  // Without an output that has slots, there may be more of them than anybody can count.
  const bool has_slots = output.indices.present() || output.boxes.present() ||
                         output.scores.present() || output.classes.present();
  const std::int64_t slots = has_slots ? call.shape.capacity : 0;
  for (std::int64_t b = 0; b < call.shape.batch; ++b) {
    const ImageRange image = image_range(input, call.shape, b);
    const std::vector<Candidate> candidates =
        candidates_by_score(options, input, call.shape, image);
    const std::vector<Candidate> kept = keep(call, candidates);
    const auto count = static_cast<std::int64_t>(kept.size());
    if (output.count.present()) store_integer(output.count, b, count);
    for (std::int64_t k = 0; k < slots; ++k) {
      if (k < count) {
        write_slot(call, b * slots + k, kept[static_cast<std::size_t>(k)]);
      } else {
        write_padding(output, b * slots + k);
      }
    }
    write_masks(call, image, candidates, kept);
  }
  return Status();
}

}  // namespace cudet::reference
