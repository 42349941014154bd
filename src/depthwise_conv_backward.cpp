// Host side of the depthwise convolution's gradients: plan, then the choice between the device and
// the CPU.
#include <cudet/depthwise_conv.h>

#include "../cuda/depthwise_conv_backward.h"
#include "check.h"
#include "cpu/depthwise_conv.h"
#include "cpu/parallel.h"
#include "depthwise_conv_backward_plan.h"
#include "host_memory.h"

namespace cudet {
namespace {

constexpr const char* kOperation = "depthwise_conv_backward";

/// What all calls but the gradients themselves do.
Status check_and_plan(const DepthwiseConvOptions& options, const DepthwiseConvBackwardInput& input,
                      const DepthwiseConvBackwardOutput& output, DepthwiseConvBackwardPlan* plan) {
  DepthwiseConvShape shape;
  CUDET_RETURN_IF_ERROR(check_depthwise_conv_backward(options, input, output, false, &shape));
  return make_depthwise_conv_backward_plan(shape, options, input, output, plan);
}

}  // namespace

Status depthwise_conv_backward_kernels(const DepthwiseConvOptions& options,
                                       const DepthwiseConvBackwardInput& input,
                                       const DepthwiseConvBackwardOutput& output,
                                       DepthwiseConvBackwardKernels* kernels) noexcept {
  DepthwiseConvBackwardPlan plan;
  CUDET_RETURN_IF_ERROR(check_and_plan(options, input, output, &plan));
  if (kernels == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: kernels must not be null, got a null pointer", kOperation);
  }
  *kernels = plan.kernels;
  return Status();
}

Status depthwise_conv_backward_workspace_size(const DepthwiseConvOptions& options,
                                              const DepthwiseConvBackwardInput& input,
                                              const DepthwiseConvBackwardOutput& output,
                                              std::size_t* bytes) noexcept {
  DepthwiseConvBackwardPlan plan;
  CUDET_RETURN_IF_ERROR(check_and_plan(options, input, output, &plan));
  if (bytes == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: bytes must not be null, got a null pointer", kOperation);
  }
  *bytes = plan.workspace_bytes;
  return Status();
}

Status depthwise_conv_backward(const DepthwiseConvOptions& options,
                               const DepthwiseConvBackwardInput& input,
                               const DepthwiseConvBackwardOutput& output,
                               const Execution& execution) noexcept try {
  DepthwiseConvShape shape;
  CUDET_RETURN_IF_ERROR(check_depthwise_conv_backward(options, input, output, true, &shape));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return cpu::depthwise_conv_backward(shape, options, input, output,
                                        cpu::thread_count(execution.threads()));
  }
  DepthwiseConvBackwardPlan plan;
  CUDET_RETURN_IF_ERROR(make_depthwise_conv_backward_plan(shape, options, input, output, &plan));
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.workspace_bytes));
  return device::depthwise_conv_backward(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory(kOperation);
}

}  // namespace cudet
