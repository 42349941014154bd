// Greedy NMS on the CPU: each box, in order, is compared with the boxes kept so far of its class,
// as many at a time as a vector holds, until one suppresses it. That evaluates no pair which the
// definition would not. Classes are independent, so that threads share them out, a stretch of boxes
// at a time; stretches double, for an image may be full after few.
#include "nms.h"

#include "../reference/nms_output.h"
#include "../reference/nms_overlap.h"
#include "box_columns.h"
#include "nms_candidates.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <vector>

namespace cudet::cpu {
namespace {

using reference::Candidate;
using reference::ImageRange;
using reference::Kept;
using reference::NmsCall;

/// Boxes of the first stretch.
constexpr std::size_t kFirstStretch = 4096;

/// `threads`, or fewer where there are few scores: one that has to be started costs as much as a
/// thousand of them.
int useful_threads(int threads, std::int64_t scores) {
  constexpr std::int64_t kScoresPerThread = 1024;
  return static_cast<int>(std::clamp<std::int64_t>(scores / kScoresPerThread, 1, threads));
}

/// What has been kept of one class.
struct ClassState {
  BoxList boxes;                                  ///< valid ones
  std::vector<pinned::RotatedBox> rotated_boxes;  ///< likewise
  std::int64_t count = 0;                         ///< valid or not
  float bound = 0.0f;                             ///< a metric that reaches it suppresses
};

class GreedyNms {
 public:
  GreedyNms(const NmsCall& call, const ImageRange& image) : call_(call), image_(image) {}

  std::vector<Kept> run(const std::vector<std::uint32_t>& order, int threads) {
    const auto capacity = static_cast<std::size_t>(call_.shape.capacity);
    std::vector<Kept> kept;
    kept.reserve(std::min({capacity, order.size(), kFirstStretch}));
    std::size_t stretch = kFirstStretch;
    for (std::size_t begin = 0; begin < order.size() && kept.size() < capacity; begin += stretch) {
      if (begin != 0) stretch *= 2;
      read_candidates(order, begin, std::min(order.size(), begin + stretch));
      const int sharers = useful_threads(threads, static_cast<std::int64_t>(visits_.size()));
      if (sharers > 1 && classes_.size() > 1) decide_by_class(sharers);
      for (Visit& visit : visits_) {
        if (kept.size() == capacity) break;
        if (visit.kept == Decision::open) decide(visit);
        if (visit.kept == Decision::yes) {
          kept.push_back(
              {visit.candidate, reference::activated_score(call_.options, visit.candidate.score)});
        }
      }
    }
    return kept;
  }

 private:
  enum class Decision : std::uint8_t { open, no, yes };
  struct Visit {
    Candidate candidate;
    std::size_t class_index;
    Decision kept;
  };

  void read_candidates(const std::vector<std::uint32_t>& order, std::size_t begin,
                       std::size_t end) {
    visits_.clear();
    visits_.reserve(end - begin);
    for (std::size_t i = begin; i < end; ++i) {
      const Candidate candidate =
          reference::element_of(call_.options, call_.input, call_.shape, image_, order[i]);
      visits_.push_back({candidate, class_index(candidate), Decision::open});
    }
  }

  std::size_t class_index(const Candidate& candidate) {
    const std::int64_t id = call_.shape.class_aware ? candidate.class_id : 0;
    const auto [entry, is_new] = class_indices_.try_emplace(id, classes_.size());
    if (is_new) {
      classes_.emplace_back();
      classes_.back().bound = bound_of(candidate.class_id);
    }
    return entry->second;
  }

  /// A metric suppresses where it is greater than the threshold: where it reaches the next float.
  float bound_of(std::int64_t class_id) const {
    const float threshold = reference::threshold_of(call_, class_id);
    return call_.options.suppress_equal
               ? threshold
               : std::nextafter(threshold, std::numeric_limits<float>::infinity());
  }

  void decide(Visit& visit) {
    ClassState& state = classes_[visit.class_index];
    const NmsOptions& options = call_.options;
    visit.kept = Decision::no;
    if (options.max_outputs_per_class != NmsOptions::kNoLimit &&
        state.count >= options.max_outputs_per_class) {
      return;
    }
    if (visit.candidate.valid) {
      const bool suppressed = call_.shape.rotated ? is_suppressed(visit.candidate.rotated, state)
                                                  : is_suppressed(visit.candidate.box, state);
      if (suppressed) return;
    }
    ++state.count;
    visit.kept = Decision::yes;
  }

  /// Whether a kept box of the class suppresses this one, which otherwise becomes one of them.
  bool is_suppressed(const reference::Box& box, ClassState& state) const {
    const OverlapMetric metric = call_.options.metric;
    const PairBox pair_box = make_pair_box(box, metric == OverlapMetric::ciou);
    if (box_loops().overlaps_any(metric, state.boxes.columns(), state.boxes.size(), pair_box,
                                 state.bound)) {
      return true;
    }
    state.boxes.push_back(pair_box);
    return false;
  }

  bool is_suppressed(const pinned::RotatedBox& box, ClassState& state) const {
    const bool overlaps =
        std::any_of(state.rotated_boxes.begin(), state.rotated_boxes.end(), [&](const auto& kept) {
          return reference::overlap_of(call_.options.metric, kept, box) >= state.bound;
        });
    if (!overlaps) state.rotated_boxes.push_back(box);
    return overlaps;
  }

  /// Decides all of the stretch, the classes side by side.
  void decide_by_class(int threads) {
    std::vector<std::vector<Visit*>> visits(classes_.size());
    for (Visit& visit : visits_)
      visits[visit.class_index].push_back(&visit);
    parallel_for(threads, static_cast<std::int64_t>(visits.size()), 1,
                 [&](std::int64_t begin, std::int64_t) {
                   for (Visit* visit : visits[static_cast<std::size_t>(begin)])
                     decide(*visit);
                 });
  }

  const NmsCall& call_;
  const ImageRange& image_;
  std::vector<Visit> visits_;
  std::vector<ClassState> classes_;
  std::unordered_map<std::int64_t, std::size_t> class_indices_;
};

/// Outputs that need the boxes that take part, not only those that are kept.
bool needs_candidates(const NmsCall& call) {
  return call.options.method != NmsMethod::greedy || call.output.suppressed_by.present();
}

void run_image(const NmsCall& call, std::int64_t index, int threads) {
  const ImageRange image = reference::image_range(call.input, call.shape, index);
  const std::vector<std::uint32_t> order = visiting_order(call, image, threads);
  std::vector<Candidate> candidates;
  if (needs_candidates(call)) {
    candidates.reserve(order.size());
    for (const std::uint32_t number : order) {
      candidates.push_back(
          reference::element_of(call.options, call.input, call.shape, image, number));
    }
  }
  std::vector<Kept> kept;
  if (is_soft(call.options.method)) {
    kept = reference::keep_softly(call, candidates);
  } else if (is_matrix(call.options.method)) {
    kept = reference::keep_by_matrix(call, candidates);
  } else {
    kept = GreedyNms(call, image).run(order, threads);
  }
  reference::write_image(call, image, candidates, kept);
}

}  // namespace

Status nms(const NmsShape& shape, const NmsOptions& options, const NmsInput& input,
           const NmsOutput& output, int threads) {
  const NmsCall call = {options, input, output, shape};
  const int threads_per_image =
      static_cast<int>(std::max<std::int64_t>(1, threads / std::max<std::int64_t>(shape.batch, 1)));
  const std::int64_t scores =
      shape.ragged ? shape.total * shape.classes : shape.batch * shape.elements;
  parallel_for(
      useful_threads(threads, scores), shape.batch, 1,
      [&](std::int64_t begin, std::int64_t) { run_image(call, begin, threads_per_image); });
  return Status();
}

}  // namespace cudet::cpu
