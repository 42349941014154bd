// Host side of the losses of regressed numbers.
#include <cudet/box_regression_loss.h>

#include "../cuda/box_regression_loss.h"
#include "box_loss_check.h"
#include "check.h"
#include "cpu/box_losses.h"
#include "cpu/parallel.h"
#include "host_memory.h"

namespace cudet {
namespace {

constexpr const char* kOperation = "box_regression_loss";

}  // namespace

const char* to_string(BoxRegressionKind kind) noexcept {
  switch (kind) {
    case BoxRegressionKind::l2:
      return "l2";
    case BoxRegressionKind::smooth_l1:
      return "smooth_l1";
  }
  return "unknown";
}

Status box_regression_loss_workspace_size(const BoxRegressionLossOptions& options,
                                          const BoxRegressionLossInput& input,
                                          std::size_t* bytes) noexcept {
  CUDET_RETURN_IF_ERROR(check_box_regression_loss_input(options, input, false));
  LossReductionPlan plan;
  CUDET_RETURN_IF_ERROR(plan_loss_reduction(kOperation, input.predictions.element_count(), &plan));
  if (bytes == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: bytes must not be null, got a null pointer", kOperation);
  }
  *bytes = plan.workspace_bytes;
  return Status();
}

Status box_regression_loss(const BoxRegressionLossOptions& options,
                           const BoxRegressionLossInput& input,
                           const BoxRegressionLossOutput& output,
                           const Execution& execution) noexcept try {
  CUDET_RETURN_IF_ERROR(check_box_regression_loss(options, input, output));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return cpu::box_regression_loss(options, input, output, cpu::thread_count(execution.threads()));
  }
  LossReductionPlan plan;
  CUDET_RETURN_IF_ERROR(plan_loss_reduction(kOperation, input.predictions.element_count(), &plan));
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.workspace_bytes));
  return device::box_regression_loss(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory(kOperation);
}

}  // namespace cudet
