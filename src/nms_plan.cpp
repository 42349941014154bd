#include "nms_plan.h"

#include "../cuda/sort.h"
#include "check.h"
#include "workspace_layout.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <limits>

namespace cudet {
namespace {

int bits_for(std::int64_t count) {
  int bits = 0;
  while ((std::int64_t{1} << bits) < count)
    ++bits;
  return bits;
}

Status check_limits(const NmsShape& shape) {
  // The kernels number the elements of a batch, and its output slots, with 31 bits.
  constexpr std::int64_t kLimit = INT32_MAX;
  constexpr std::int64_t kLargestImage = kLimit - kNmsTile;  // so that it rounds up to whole tiles
  const char* const size = shape.dense ? "n * classes" : "n";
  if (shape.elements > kLargestImage) {
    return Status::error(StatusCode::unsupported,
                         "nms: %s must be at most %" PRId64 " on a device, got %" PRId64, size,
                         kLargestImage, shape.elements);
  }
  if (shape.batch > kLimit || shape.batch * std::max<std::int64_t>(shape.elements, 1) > kLimit) {
    return Status::error(StatusCode::unsupported,
                         "nms: batch * %s must be below 2^31 on a device, got %" PRId64
                         " * %" PRId64,
                         size, shape.batch, shape.elements);
  }
  if (shape.capacity > kLimit || shape.batch * std::max<std::int64_t>(shape.capacity, 1) > kLimit) {
    return Status::error(StatusCode::unsupported,
                         "nms: batch * max_outputs must be below 2^31 on a device, got %" PRId64
                         " * %" PRId64,
                         shape.batch, shape.capacity);
  }
  return Status();
}

}  // namespace

Status make_nms_plan(const NmsShape& shape, NmsPlan* plan) noexcept {
  CUDET_RETURN_IF_ERROR(check_limits(shape));
  *plan = NmsPlan();
  plan->shape = shape;
  plan->candidates = std::min(shape.top_k, shape.elements);
  plan->one_block = plan->candidates <= kNmsBlockBoxes;
  plan->select = shape.elements > kNmsBlockBoxes && plan->candidates < shape.elements;
  plan->element_bits = bits_for(shape.elements);
  // Elements that were selected come in any order, and their numbers have to be sorted as well.
  plan->score_shift = plan->one_block ? 32 : (plan->select ? plan->element_bits : 0);

  WorkspaceLayout layout;
  const std::int64_t total = shape.batch * plan->candidates;
  if (plan->select) {
    plan->histogram = layout.add(shape.batch * kNmsDigits, sizeof(std::uint32_t));
    plan->selection = layout.add(shape.batch, sizeof(NmsSelection));
  }
  if (plan->select || !plan->one_block) plan->keys[0] = layout.add(total, sizeof(std::uint64_t));
  if (!plan->one_block) {
    plan->sort_bits = plan->score_shift + 32 + bits_for(shape.batch);
    plan->panel_boxes = std::min(plan->candidates, kNmsPanelBoxes);
    plan->panels = (plan->candidates + kNmsPanelBoxes - 1) / kNmsPanelBoxes;
    plan->panel_tiles = triangle((plan->panel_boxes + kNmsTile - 1) / kNmsTile);
    plan->removed_words = (plan->candidates + 31) / 32;
    plan->sort_temporary_bytes = device::sort_workspace_size(total);

    plan->keys[1] = layout.add(total, sizeof(std::uint64_t));
    for (std::size_t& order : plan->order)
      order = layout.add(total, sizeof(std::uint32_t));
    plan->sort_temporary =
        layout.add(static_cast<std::int64_t>(plan->sort_temporary_bytes), sizeof(char));
    plan->boxes = layout.add(total, 4 * sizeof(float));
    plan->classes = layout.add(shape.class_aware ? total : 0, sizeof(std::int64_t));
    plan->removed = layout.add(shape.batch * plan->removed_words, sizeof(std::uint32_t));
    plan->mask = layout.add(shape.batch * plan->panel_tiles, kNmsTile * sizeof(std::uint64_t));
    plan->kept = layout.add(total, sizeof(std::uint32_t));
    plan->state = layout.add(shape.batch, sizeof(NmsImageState));
  }
  plan->workspace_bytes = layout.total();
  return Status();
}

NmsScoreThreshold raw_score_threshold(const NmsOptions& options) noexcept {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float threshold = options.score_threshold;
  const bool inclusive = options.score_threshold_inclusive;
  if (options.score_activation == ScoreActivation::none) return {threshold, inclusive};

  // The sigmoid maps the real numbers to (0, 1), and the infinities to 0 and 1.
  if (threshold < 0.0f) return {-kInfinity, true};
  if (threshold == 0.0f) return {-kInfinity, inclusive};
  if (threshold > 1.0f) return {kInfinity, false};
  if (threshold == 1.0f) return {kInfinity, inclusive};
  // sigmoid(x) > t where x > log(t / (1 - t)). Apart from t = 1/2, which gives 0, that is no
  // float32, and x exceeds it exactly where x exceeds the largest float32 below it.
  if (threshold == 0.5f) return {0.0f, inclusive};
  const double t = static_cast<double>(threshold);
  const double logit = std::log(t) - std::log1p(-t);
  const float nearest = static_cast<float>(logit);
  const bool above = static_cast<double>(nearest) > logit;
  return {above ? std::nextafter(nearest, -kInfinity) : nearest, false};
}

}  // namespace cudet
