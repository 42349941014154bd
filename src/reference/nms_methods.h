// The methods of NMS, each from its definition in include/cudet/nms.h.
#pragma once

#include "nms_candidates.h"

#include <vector>

namespace cudet::reference {

/// A call's arguments and what follows from them.
struct NmsCall {
  const NmsOptions& options;
  const NmsInput& input;
  const NmsOutput& output;
  NmsShape shape;
};

/// A box that is kept, with its score in the end.
struct Kept {
  Candidate candidate;
  float score;
};

/// The IoU threshold that holds for boxes of the class.
float threshold_of(const NmsCall& call, std::int64_t class_id);

/// The score as options mean it.
float activated_score(const NmsOptions& options, float score);

/// True where `kept` suppresses `other` in the greedy methods.
bool suppresses(const NmsCall& call, const Candidate& kept, const Candidate& other);

/// What each method keeps of the candidates, in order.
std::vector<Kept> keep_greedily(const NmsCall& call, const std::vector<Candidate>& candidates);
std::vector<Kept> keep_softly(const NmsCall& call, const std::vector<Candidate>& candidates);
std::vector<Kept> keep_by_matrix(const NmsCall& call, const std::vector<Candidate>& candidates);

}  // namespace cudet::reference
