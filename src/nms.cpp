#include <cudet/nms.h>

#include "../cuda/nms.h"
#include "check.h"
#include "cpu/nms.h"
#include "cpu/parallel.h"
#include "host_memory.h"
#include "nms_plan.h"

namespace cudet {

const char* to_string(OverlapMetric metric) noexcept {
  switch (metric) {
    case OverlapMetric::iou:
      return "iou";
    case OverlapMetric::min_area:
      return "min_area";
    case OverlapMetric::giou:
      return "giou";
    case OverlapMetric::diou:
      return "diou";
    case OverlapMetric::ciou:
      return "ciou";
  }
  return "unknown";
}

const char* to_string(NmsMethod method) noexcept {
  switch (method) {
    case NmsMethod::greedy:
      return "greedy";
    case NmsMethod::soft_linear:
      return "soft_linear";
    case NmsMethod::soft_gaussian:
      return "soft_gaussian";
    case NmsMethod::matrix_linear:
      return "matrix_linear";
    case NmsMethod::matrix_gaussian:
      return "matrix_gaussian";
    case NmsMethod::weighted:
      return "weighted";
  }
  return "unknown";
}

Status nms_workspace_size(const NmsOptions& options, const NmsInput& input,
                          std::size_t* bytes) noexcept {
  if (bytes == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: bytes must point to the result, got a null pointer");
  }
  NmsShape shape;
  NmsPlan plan;
  CUDET_RETURN_IF_ERROR(check_nms_input(options, input, false, &shape));
  CUDET_RETURN_IF_ERROR(make_nms_plan(shape, &plan));
  *bytes = plan.workspace_bytes;
  return Status();
}

Status nms(const NmsOptions& options, const NmsInput& input, const NmsOutput& output,
           const Execution& execution) noexcept try {
  NmsShape shape;
  NmsPlan plan;
  CUDET_RETURN_IF_ERROR(check_nms_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_nms_output(options, input, output, shape));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution("nms", execution, 0));
    return cpu::nms(shape, options, input, output, cpu::thread_count(execution.threads()));
  }
  CUDET_RETURN_IF_ERROR(make_nms_plan(shape, &plan));
  CUDET_RETURN_IF_ERROR(check_execution("nms", execution, plan.workspace_bytes));
  if (shape.batch == 0) return Status();
  return device::nms(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory("nms");
}

}  // namespace cudet
