#include "depthwise_conv_backward.h"

#include "depthwise_conv_backward_element.h"

namespace cudet::bench {

Status run_baseline(const BaselineDepthwiseBackward& problem, const Execution& execution) {
#if defined(CUDET_BENCH_WITH_CUDA)
  if (execution.is_cuda()) return launch_baseline(problem, execution.stream());
#else
  (void)execution;
#endif
  if (problem.grad_x != nullptr) {
    for (int i = 0; i < problem.n * problem.channels * problem.h * problem.w; ++i)
      problem.grad_x[i] = baseline_grad_x(problem, i);
  }
  if (problem.grad_weight == nullptr) return Status();
  const int outputs = problem.n * problem.oh * problem.ow;
  for (int i = 0; i < problem.channels * problem.kernel * problem.kernel; ++i) {
    double sum = 0.0;
    for (int output = 0; output < outputs; ++output)
      sum += static_cast<double>(baseline_grad_weight_term(problem, i, output));
    problem.grad_weight[i] = static_cast<float>(sum);
  }
  return Status();
}

}  // namespace cudet::bench
