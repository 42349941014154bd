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

/// True where a chain or panels rank elements, instead of sorting them, unless a test wants it
/// otherwise.
bool can_rank(const NmsShape& shape, NmsOrdering ordering) {
  if (ordering != NmsOrdering::automatic) return ordering == NmsOrdering::ranking;
  constexpr std::int64_t kMostElements = std::int64_t{1} << 30;  // whose square is a number
  return shape.elements <= kMostElements &&
         shape.batch <= kNmsRankedPairs / std::max<std::int64_t>(shape.elements, 1) /
                            std::max<std::int64_t>(shape.elements, 1);
}

NmsPath choose_path(const NmsShape& shape, std::int64_t candidates, NmsOrdering ordering) {
  const bool greedy = shape.method == NmsMethod::greedy;
  if (greedy && shape.elements <= kNmsWarpBoxes) return NmsPath::warp;
  if (candidates == 0) return NmsPath::block;  // which writes the padding
  if (is_soft(shape.method)) return NmsPath::soft;
  if (is_matrix(shape.method)) return NmsPath::matrix;
  const bool fits = greedy && candidates <= kNmsBlockBoxes && !shape.rotated;
  const bool spreads = ordering == NmsOrdering::ranking ||
                       (shape.batch <= kNmsFewImages && shape.elements > kNmsFewElements);
  if (fits && !(spreads && can_rank(shape, ordering))) return NmsPath::block;
  return greedy && candidates <= kNmsBlockBoxes ? NmsPath::chain : NmsPath::panels;
}

/// Everything but the workspace.
void choose_kernels(const NmsShape& shape, NmsOrdering ordering, NmsPlan* plan) {
  *plan = NmsPlan();
  plan->shape = shape;
  plan->candidates = std::min(shape.top_k, shape.elements);
  plan->path = choose_path(shape, plan->candidates, ordering);
  const bool chain = plan->path == NmsPath::chain;
  plan->ranks = (chain || plan->path == NmsPath::panels) && can_rank(shape, ordering);
  // A warp or block that has all elements selects the best of them by the way, and so do ranks.
  plan->has_all = plan->path == NmsPath::warp || plan->ranks ||
                  (plan->path == NmsPath::block && shape.elements <= kNmsBlockBoxes);
  plan->select = plan->candidates < shape.elements && !plan->has_all;
  plan->element_bits = bits_for(shape.elements);
  // Elements that were selected come in any order, and their numbers have to be sorted as well.
  plan->score_shift = !plan->sorts() ? 32 : (plan->select ? plan->element_bits : 0);
  if (chain) plan->chain_tiles = (plan->candidates + kNmsTile - 1) / kNmsTile;
  if (plan->path != NmsPath::panels) return;
  plan->panel_boxes = std::min(plan->candidates, kNmsPanelBoxes);
  plan->panels = (plan->candidates + kNmsPanelBoxes - 1) / kNmsPanelBoxes;
  const std::int64_t side = (plan->panel_boxes + kNmsTile - 1) / kNmsTile;
  plan->panel_tiles = triangle(side);
  const bool few = shape.batch * tile_pairs(side) <= kNmsFewTasks;
  plan->task_tiles = few ? 1 : 2;
  plan->panel_tasks = few ? plan->panel_tiles : tile_pairs(side);
  plan->removed_words = (plan->candidates + 31) / 32;
}

/// Places the pieces of the workspace.
void lay_out(NmsPlan* plan) {
  const NmsShape& shape = plan->shape;
  WorkspaceLayout layout;
  const std::int64_t total = shape.batch * plan->candidates;
  const auto add = [&](bool needed, std::int64_t count, std::size_t size) {
    return needed ? layout.add(count, size) : 0;
  };
  const bool chain = plan->path == NmsPath::chain;
  const bool panels = plan->path == NmsPath::panels;
  const bool matrix = plan->path == NmsPath::matrix;
  const bool sorts = plan->sorts();
  const bool large_soft = plan->path == NmsPath::soft && plan->candidates > kNmsBlockBoxes;
  const bool has_boxes = plan->orders() || large_soft;
  plan->histogram = add(plan->select, shape.batch * kNmsDigits, sizeof(std::uint32_t));
  plan->selection = add(plan->select, shape.batch, sizeof(NmsSelection));
  const bool has_keys = plan->select || (plan->path != NmsPath::block && !plan->has_all);
  plan->keys[0] = add(has_keys, total, sizeof(std::uint64_t));
  plan->keys[1] = add(sorts, total, sizeof(std::uint64_t));
  plan->order[0] = add(plan->orders(), total, sizeof(std::uint32_t));
  plan->order[1] = add(sorts, total, sizeof(std::uint32_t));
  if (sorts) {
    plan->sort_bits = plan->score_shift + 32 + bits_for(shape.batch);
    plan->sort_temporary_bytes = device::sort_workspace_size(total);
    plan->sort_temporary =
        layout.add(static_cast<std::int64_t>(plan->sort_temporary_bytes), sizeof(char));
  }
  plan->state = add(plan->orders(), shape.batch, sizeof(NmsImageState));
  plan->boxes = add(has_boxes, total, 4 * sizeof(float));
  plan->angles = add(shape.rotated && has_boxes, total, sizeof(float));
  plan->classes =
      add((plan->orders() && shape.class_aware) || large_soft, total, sizeof(std::int64_t));
  plan->scores = add(matrix || large_soft, total, sizeof(float));
  plan->elements = add(matrix || large_soft, total, sizeof(std::uint32_t));
  plan->overlaps = plan->keys[1];  // not in use between the two sorts
  plan->suppressors =
      add(panels && shape.method == NmsMethod::weighted, total, sizeof(std::uint32_t));
  plan->kept = add(chain || panels || large_soft, total, sizeof(std::uint32_t));
  plan->tile_words = add(chain, shape.batch * plan->chain_tiles, 2 * sizeof(std::uint64_t));
  plan->tickets = add(chain, std::min<std::int64_t>(shape.batch, 1), sizeof(std::uint32_t));
  plan->removed = add(panels, shape.batch * plan->removed_words, sizeof(std::uint32_t));
  plan->mask = add(panels, shape.batch * plan->panel_tiles, kNmsTile * sizeof(std::uint64_t));
  plan->mask_rows = add(panels, shape.batch * plan->panel_tiles, sizeof(std::uint64_t));
  plan->workspace_bytes = layout.total();
}

}  // namespace

Status make_nms_plan(const NmsShape& shape, NmsPlan* plan, NmsOrdering ordering) noexcept {
  CUDET_RETURN_IF_ERROR(check_limits(shape));
  choose_kernels(shape, ordering, plan);
  lay_out(plan);
  if (plan->path != NmsPath::block || plan->candidates == 0) return Status();
  // A workspace for many images, or for large ones, is to serve fewer and smaller ones too, which
  // may be ranked.
  NmsShape smaller = shape;
  smaller.batch = std::min(shape.batch, kNmsFewImages);
  if (shape.elements <= kNmsFewElements) return Status();
  NmsPlan ranked;
  choose_kernels(smaller, NmsOrdering::ranking, &ranked);
  lay_out(&ranked);
  plan->workspace_bytes = std::max(plan->workspace_bytes, ranked.workspace_bytes);
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
