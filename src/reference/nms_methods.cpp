#include "nms_methods.h"

#include "nms_overlap.h"

#include <algorithm>
#include <map>

namespace cudet::reference {
namespace {

bool share_class(const NmsCall& call, const Candidate& a, const Candidate& b) {
  return !call.shape.class_aware || a.class_id == b.class_id;
}

bool exceeds(const NmsCall& call, float value, const Candidate& other) {
  const float threshold = threshold_of(call, other.class_id);
  return value > threshold || (call.options.suppress_equal && value == threshold);
}

float overlap_of_candidates(const NmsCall& call, const Candidate& a, const Candidate& b) {
  const OverlapMetric metric = call.options.metric;
  return call.shape.rotated ? overlap_of(metric, a.rotated, b.rotated)
                            : overlap_of(metric, a.box, b.box);
}

/// The metric, and 0 for an invalid box.
float metric_of(const NmsCall& call, const Candidate& a, const Candidate& b) {
  return a.valid && b.valid ? overlap_of_candidates(call, a, b) : 0.0f;
}

/// Counts kept boxes by class, and knows when a class has no room.
class ClassLimit {
 public:
  explicit ClassLimit(const NmsCall& call) : call_(call) {}

  /// True where another box of the candidate's class may be kept, which is then counted.
  bool admit(const Candidate& candidate) {
    const std::int64_t limit = call_.options.max_outputs_per_class;
    std::int64_t& kept = kept_[call_.shape.class_aware ? candidate.class_id : 0];
    if (limit != NmsOptions::kNoLimit && kept >= limit) return false;
    ++kept;
    return true;
  }

 private:
  const NmsCall& call_;
  std::map<std::int64_t, std::int64_t> kept_;
};

float linear_decay(float value) {
  return std::max(1.0f - value, 0.0f);
}

float gaussian_decay(float squares, float sigma) {
  return pinned::exp_of_nonpositive(-(squares / sigma));
}

}  // namespace

float threshold_of(const NmsCall& call, std::int64_t class_id) {
  const Tensor& thresholds = call.input.iou_thresholds;
  const bool listed = thresholds.present() && class_id >= 0 && class_id < thresholds.size(0);
  return listed ? thresholds.data_as<float>()[class_id] : call.options.iou_threshold;
}

float activated_score(const NmsOptions& options, float score) {
  return options.score_activation == ScoreActivation::sigmoid ? pinned::sigmoid(score) : score;
}

bool suppresses(const NmsCall& call, const Candidate& kept, const Candidate& other) {
  if (!share_class(call, kept, other) || !kept.valid || !other.valid) return false;
  return exceeds(call, overlap_of_candidates(call, kept, other), other);
}

std::vector<Kept> keep_greedily(const NmsCall& call, const std::vector<Candidate>& candidates) {
  ClassLimit limit(call);
  std::vector<Kept> kept;
  for (const Candidate& candidate : candidates) {
    if (static_cast<std::int64_t>(kept.size()) == call.shape.capacity) break;
    const bool dropped = std::any_of(kept.begin(), kept.end(), [&](const Kept& other) {
      return suppresses(call, other.candidate, candidate);
    });
    if (!dropped && limit.admit(candidate)) {
      kept.push_back({candidate, activated_score(call.options, candidate.score)});
    }
  }
  return kept;
}

std::vector<Kept> keep_softly(const NmsCall& call, const std::vector<Candidate>& candidates) {
  const bool gaussian = call.options.method == NmsMethod::soft_gaussian;
  ClassLimit limit(call);
  std::vector<Kept> remaining;
  for (const Candidate& candidate : candidates)
    remaining.push_back({candidate, activated_score(call.options, candidate.score)});
  std::vector<Kept> kept;
  while (static_cast<std::int64_t>(kept.size()) < call.shape.capacity) {
    // The highest score that is not below the threshold; NaN, from infinity times 0, never is.
    auto best = remaining.end();
    for (auto other = remaining.begin(); other != remaining.end(); ++other) {
      if (!(other->score >= call.options.decayed_score_threshold)) continue;
      if (best == remaining.end() || other->score > best->score ||
          (other->score == best->score && other->candidate.number < best->candidate.number)) {
        best = other;
      }
    }
    if (best == remaining.end()) break;
    const Kept chosen = *best;
    remaining.erase(best);
    if (!limit.admit(chosen.candidate)) continue;
    kept.push_back(chosen);
    for (Kept& other : remaining) {
      if (!share_class(call, chosen.candidate, other.candidate)) continue;
      const float value = metric_of(call, chosen.candidate, other.candidate);
      if (gaussian) {
        other.score *= gaussian_decay(value * value, call.options.sigma);
      } else if (exceeds(call, value, other.candidate)) {
        other.score *= linear_decay(value);
      }
    }
  }
  return kept;
}

std::vector<Kept> keep_by_matrix(const NmsCall& call, const std::vector<Candidate>& candidates) {
  const bool gaussian = call.options.method == NmsMethod::matrix_gaussian;
  const std::size_t n = candidates.size();
  std::vector<float> largest(n, 0.0f);  // metric with a box before
  std::vector<Kept> decayed;
  for (std::size_t j = 0; j < n; ++j) {
    float decay = 1.0f;
    float squares = 0.0f;  // largest v_ij^2 - m_i^2, whose exponential is the smallest quotient
    for (std::size_t i = 0; i < j; ++i) {
      if (!share_class(call, candidates[i], candidates[j])) continue;
      const float value = metric_of(call, candidates[i], candidates[j]);
      largest[j] = std::max(largest[j], value);
      squares = std::max(squares, value * value - largest[i] * largest[i]);
      const float compensation = 1.0f - largest[i];
      if (compensation > 0.0f) decay = std::min(decay, linear_decay(value) / compensation);
    }
    if (gaussian) decay = gaussian_decay(squares, call.options.sigma);
    decayed.push_back({candidates[j], activated_score(call.options, candidates[j].score) * decay});
  }
  std::stable_sort(decayed.begin(), decayed.end(), [](const Kept& a, const Kept& b) {
    // NaN, from infinity times 0, goes last.
    return a.score > b.score || (a.score == a.score && b.score != b.score);
  });
  ClassLimit limit(call);
  std::vector<Kept> kept;
  for (const Kept& box : decayed) {
    if (static_cast<std::int64_t>(kept.size()) == call.shape.capacity) break;
    if (!(box.score >= call.options.decayed_score_threshold)) break;
    if (limit.admit(box.candidate)) kept.push_back(box);
  }
  return kept;
}

}  // namespace cudet::reference
