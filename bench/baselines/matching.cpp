#include "matching.h"

#include "matching_element.h"

namespace cudet::bench {
namespace {

void find_best_anchor(const BaselineMatching& problem, std::int64_t box) {
  const float* row = problem.matrix + box * problem.anchor_count;
  std::int64_t best = 0;
  for (std::int64_t anchor = 1; anchor < problem.anchor_count; ++anchor)
    if (row[anchor] > row[best]) best = anchor;
  problem.best_anchors[box] = static_cast<std::int32_t>(best);
  problem.best_anchor_ious[box] = row[best];
}

}  // namespace

Status run_baseline(const BaselineMatching& problem, const Execution& execution) {
#if defined(CUDET_BENCH_WITH_CUDA)
  if (execution.is_cuda()) return launch_baseline(problem, execution.stream());
#else
  (void)execution;
#endif
  const std::int64_t boxes = problem.batch * problem.box_count;
  for (std::int64_t i = 0; i < boxes * problem.anchor_count; ++i)
    baseline_pair(problem, i);
  if (problem.ious == nullptr) return Status();
  for (std::int64_t i = 0; i < problem.batch * problem.anchor_count; ++i)
    baseline_match(problem, i);
  for (std::int64_t box = 0; box < boxes; ++box)
    find_best_anchor(problem, box);
  return Status();
}

}  // namespace cudet::bench
