// Non-maximum suppression from the definition in include/cudet/nms.h.

#include <cudet/nms.h>

#include "../check.h"
#include "../host_memory.h"
#include "../nms_plan.h"
#include "nms_methods.h"
#include "nms_output.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace cudet::reference {
namespace {

std::vector<Kept> keep(const NmsCall& call, const std::vector<Candidate>& candidates) {
  if (is_soft(call.options.method)) return keep_softly(call, candidates);
  if (is_matrix(call.options.method)) return keep_by_matrix(call, candidates);
  return keep_greedily(call, candidates);
}

/// Copies `count` elements of `source` from element `from` into `target` at element `to`.
void copy_elements(const Tensor& source, std::int64_t from, const Tensor& target, std::int64_t to,
                   std::int64_t count) {
  const std::int64_t size = size_of(source.type());
  std::memcpy(target.data_as<char>() + to * size, source.data_as<char>() + from * size,
              static_cast<std::size_t>(count * size));
}

void write_slot(const NmsCall& call, std::int64_t slot, const Kept& kept) {
  const NmsOutput& output = call.output;
  const Candidate& candidate = kept.candidate;
  if (output.indices.present()) store_integer(output.indices, slot, candidate.index);
  if (output.boxes.present()) {
    const std::int64_t numbers = numbers_of(call.options.format);
    copy_elements(call.input.boxes, numbers * candidate.box_element, output.boxes, numbers * slot,
                  numbers);
  }
  if (output.scores.present()) {
    const bool changed = decays_scores(call.options.method) ||
                         call.options.score_activation != ScoreActivation::none;
    if (changed) {
      store_real(output.scores, slot, kept.score);
    } else {
      copy_elements(call.input.scores, candidate.score_element, output.scores, slot, 1);
    }
  }
  if (output.classes.present()) store_integer(output.classes, slot, candidate.class_id);
}

/// The mean of the four numbers of the boxes, weighted with their scores.
void write_mean(const NmsCall& call, std::int64_t slot, const std::vector<Candidate>& boxes) {
  double sums[4] = {};
  double weights = 0.0;
  for (const Candidate& box : boxes) {
    const auto weight = static_cast<double>(activated_score(call.options, box.score));
    weights += weight;
    for (int i = 0; i < 4; ++i)
      sums[i] += weight * static_cast<double>(real_at(call.input.boxes, 4 * box.box_element + i));
  }
  const bool finite = weights > 0.0 && std::isfinite(weights) &&
                      std::all_of(sums, sums + 4, [](double sum) { return std::isfinite(sum); });
  for (int i = 0; i < 4 && finite; ++i)
    store_real(call.output.boxes, 4 * slot + i, static_cast<float>(sums[i] / weights));
}

void write_padding(const NmsCall& call, std::int64_t slot) {
  const NmsOutput& output = call.output;
  const std::int64_t numbers = numbers_of(call.options.format);
  if (output.indices.present()) store_integer(output.indices, slot, -1);
  for (std::int64_t i = 0; i < numbers && output.boxes.present(); ++i) {
    store_real(output.boxes, numbers * slot + i, 0.0f);
  }
  if (output.scores.present()) store_real(output.scores, slot, 0.0f);
  if (output.classes.present()) store_integer(output.classes, slot, -1);
}

/// For each candidate the slot of the first kept box before it that suppresses it, or -1; its own
/// slot where it is kept.
std::vector<std::int64_t> slots_of(const NmsCall& call, const std::vector<Candidate>& candidates,
                                   const std::vector<Kept>& kept) {
  std::vector<std::int64_t> slots;
  auto next = kept.begin();  // candidates and kept boxes are in the same order
  for (const Candidate& candidate : candidates) {
    if (next != kept.end() && next->candidate.number == candidate.number) {
      slots.push_back(next - kept.begin());
      ++next;
      continue;
    }
    const auto suppressor = std::find_if(kept.begin(), next, [&](const Kept& other) {
      return suppresses(call, other.candidate, candidate);
    });
    slots.push_back(suppressor == next ? -1 : suppressor - kept.begin());
  }
  return slots;
}

/// The outputs that have an entry for each score.
void write_masks(const NmsCall& call, const ImageRange& image,
                 const std::vector<Candidate>& candidates, const std::vector<Kept>& kept) {
  const NmsOutput& output = call.output;
  if (!output.keep.present() && !output.suppressed_by.present()) return;
  // Of images of equal size also what lies behind the boxes that they really have.
  const ImageRange all = {image.index, image.first_box,
                          call.shape.ragged ? image.boxes : call.shape.n};
  for (const Candidate& element : elements_of(call.options, call.input, call.shape, all)) {
    if (output.keep.present()) output.keep.data_as<std::uint8_t>()[element.score_element] = 0;
    if (output.suppressed_by.present()) {
      store_integer(output.suppressed_by, element.score_element, -1);
    }
  }
  for (const Kept& box : kept) {
    if (!output.keep.present()) break;
    output.keep.data_as<std::uint8_t>()[box.candidate.score_element] = 1;
  }
  if (!output.suppressed_by.present()) return;
  const std::vector<std::int64_t> slots = slots_of(call, candidates, kept);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] < 0) continue;
    const Candidate& other = kept[static_cast<std::size_t>(slots[i])].candidate;
    if (other.number == candidates[i].number) continue;
    store_integer(output.suppressed_by, candidates[i].score_element, other.index);
  }
}

/// Replaces the boxes of the kept ones by their means.
void write_means(const NmsCall& call, std::int64_t first_slot,
                 const std::vector<Candidate>& candidates, const std::vector<Kept>& kept) {
  if (!call.output.boxes.present()) return;
  std::vector<std::vector<Candidate>> members(kept.size());
  const std::vector<std::int64_t> slots = slots_of(call, candidates, kept);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] >= 0) members[static_cast<std::size_t>(slots[i])].push_back(candidates[i]);
  }
  for (std::size_t k = 0; k < members.size(); ++k)
    write_mean(call, first_slot + static_cast<std::int64_t>(k), members[k]);
}

}  // namespace

void write_image(const NmsCall& call, const ImageRange& image,
                 const std::vector<Candidate>& candidates, const std::vector<Kept>& kept) {
  const NmsOutput& output = call.output;
  // Without an output that has slots, there may be more of them than anybody can count.
  const bool has_slots = output.indices.present() || output.boxes.present() ||
                         output.scores.present() || output.classes.present();
  const std::int64_t slots = has_slots ? call.shape.capacity : 0;
  const std::int64_t first_slot = image.index * slots;
  const auto count = static_cast<std::int64_t>(kept.size());
  if (output.count.present()) store_integer(output.count, image.index, count);
  for (std::int64_t k = 0; k < slots; ++k) {
    if (k < count) {
      write_slot(call, first_slot + k, kept[static_cast<std::size_t>(k)]);
    } else {
      write_padding(call, first_slot + k);
    }
  }
  if (call.options.method == NmsMethod::weighted) write_means(call, first_slot, candidates, kept);
  write_masks(call, image, candidates, kept);
}

Status nms(const NmsOptions& options, const NmsInput& input, const NmsOutput& output) noexcept try {
  NmsCall call = {options, input, output, {}};
  CUDET_RETURN_IF_ERROR(check_nms_input(options, input, true, &call.shape));
  CUDET_RETURN_IF_ERROR(check_nms_output(options, input, output, call.shape));
  for (std::int64_t b = 0; b < call.shape.batch; ++b) {
    const ImageRange image = image_range(input, call.shape, b);
    const std::vector<Candidate> candidates =
        candidates_by_score(options, input, call.shape, image);
    write_image(call, image, candidates, keep(call, candidates));
  }
  return Status();
} catch (const std::bad_alloc&) {
  return out_of_host_memory("nms");
}

}  // namespace cudet::reference
