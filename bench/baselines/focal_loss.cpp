#include "focal_loss.h"

#include "focal_loss_element.h"

namespace cudet::bench {
namespace {

constexpr float kAlpha = 0.25f;
constexpr float kGamma = 2.0f;

}  // namespace

Status run_baseline(const BaselineFocalLoss& problem, const Execution& execution) {
#if defined(CUDET_BENCH_WITH_CUDA)
  if (execution.is_cuda()) return launch_baseline(problem, execution.stream());
#else
  (void)execution;
#endif
  for (std::int64_t i = 0; i < problem.rows * problem.classes; ++i)
    baseline_loss(problem, i, kAlpha, kGamma);
  for (std::int64_t i = 0; i < problem.rows * problem.classes; ++i)
    baseline_gradient(problem, i, kAlpha, kGamma);
  return Status();
}

}  // namespace cudet::bench
