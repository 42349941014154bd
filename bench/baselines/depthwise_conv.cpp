#include "depthwise_conv.h"

#include "depthwise_conv_element.h"

namespace cudet::bench {

Status run_baseline(const BaselineDepthwise& problem, const Execution& execution) {
#if defined(CUDET_BENCH_WITH_CUDA)
  if (execution.is_cuda()) return launch_baseline(problem, execution.stream());
#else
  (void)execution;
#endif
  const std::int64_t elements = problem.n * problem.channels * problem.oh * problem.ow;
  for (std::int64_t i = 0; i < elements; ++i)
    problem.y[i] = baseline_output(problem, i);
  return Status();
}

}  // namespace cudet::bench
