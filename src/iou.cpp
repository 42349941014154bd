// Host side of the IoU matrix and the aligned pairs: checks, then the choice between the device and
// the CPU.
#include <cudet/iou.h>

#include "../cuda/iou.h"
#include "check.h"
#include "cpu/iou.h"
#include "cpu/parallel.h"
#include "host_memory.h"
#include "iou_check.h"

namespace cudet {

const char* to_string(IouKind kind) noexcept {
  switch (kind) {
    case IouKind::iou:
      return "iou";
    case IouKind::iof:
      return "iof";
    case IouKind::giou:
      return "giou";
    case IouKind::diou:
      return "diou";
    case IouKind::ciou:
      return "ciou";
    case IouKind::eiou:
      return "eiou";
  }
  return "unknown";
}

Status iou_matrix_workspace_size(const IouMatrixOptions& options, const IouMatrixInput& input,
                                 std::size_t* bytes) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_matrix_input(options, input, false));
  if (bytes == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "iou_matrix: bytes must not be null, got a null pointer");
  }
  *bytes = 0;
  return Status();
}

Status iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                  const IouMatrixOutput& output, const Execution& execution) noexcept try {
  IouMatrixPlan plan;
  CUDET_RETURN_IF_ERROR(check_iou_matrix(options, input, output, &plan));
  CUDET_RETURN_IF_ERROR(check_execution("iou_matrix", execution, 0));
  if (plan.rows() == 0 || plan.m == 0) return Status();
  if (!execution.is_cuda()) {
    return cpu::iou_matrix(plan, options, input, output, cpu::thread_count(execution.threads()));
  }
  return device::iou_matrix(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory("iou_matrix");
}

Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output, const Execution& execution) noexcept try {
  CUDET_RETURN_IF_ERROR(check_iou_pairs(options, input, output));
  CUDET_RETURN_IF_ERROR(check_execution("iou_pairs", execution, 0));
  if (output.values.element_count() == 0) return Status();
  if (!execution.is_cuda()) {
    return cpu::iou_pairs(options, input, output, cpu::thread_count(execution.threads()));
  }
  return device::iou_pairs(options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory("iou_pairs");
}

}  // namespace cudet
