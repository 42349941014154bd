// Host side of the IoU losses.
#include <cudet/iou_loss.h>

#include "../cuda/iou_loss.h"
#include "box_loss_check.h"
#include "check.h"
#include "cpu/box_losses.h"
#include "cpu/parallel.h"
#include "host_memory.h"

namespace cudet {
namespace {

constexpr const char* kOperation = "iou_loss";

}  // namespace

Status iou_loss_workspace_size(const IouLossOptions& options, const IouLossInput& input,
                               std::size_t* bytes) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_loss_input(options, input, false));
  LossReductionPlan plan;
  CUDET_RETURN_IF_ERROR(plan_loss_reduction(kOperation, input.boxes1.size(0), &plan));
  if (bytes == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: bytes must not be null, got a null pointer", kOperation);
  }
  *bytes = plan.workspace_bytes;
  return Status();
}

Status iou_loss(const IouLossOptions& options, const IouLossInput& input,
                const IouLossOutput& output, const Execution& execution) noexcept try {
  CUDET_RETURN_IF_ERROR(check_iou_loss(options, input, output));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return cpu::iou_loss(options, input, output, cpu::thread_count(execution.threads()));
  }
  LossReductionPlan plan;
  CUDET_RETURN_IF_ERROR(plan_loss_reduction(kOperation, input.boxes1.size(0), &plan));
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.workspace_bytes));
  return device::iou_loss(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory(kOperation);
}

}  // namespace cudet
