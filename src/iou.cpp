// Host side of the IoU matrix: checks, then the choice between the device and the CPU.
#include <cudet/iou.h>

#include "../cuda/iou.h"
#include "check.h"
#include "cpu/iou.h"
#include "cpu/parallel.h"
#include "iou_check.h"

#include <cmath>

namespace cudet {
namespace {

constexpr const char* kMatrix = "iou_matrix";
constexpr const char* kPairs = "iou_pairs";

Status check_options(const char* operation, const IouMatrixOptions& options) {
  if (!is_enumerator(options.kind, 6)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: kind must be iou, iof, giou, diou, ciou or eiou, got %d", operation,
                         static_cast<int>(options.kind));
  }
  if (!is_enumerator(options.format, 3)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: format must be xyxy, xywh or cxcywh, got %d", operation,
                         static_cast<int>(options.format));
  }
  if (!(options.eps >= 0.0f && std::isfinite(options.eps))) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: eps must be finite and 0 or more, got %g", operation,
                         static_cast<double>(options.eps));
  }
  return Status();
}

}  // namespace

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

Status check_iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                        const IouMatrixOutput& output) noexcept {
  const Tensor& boxes1 = input.boxes1;
  const Tensor& boxes2 = input.boxes2;
  CUDET_RETURN_IF_ERROR(check_options(kMatrix, options));
  CUDET_RETURN_IF_ERROR(
      check_input({kMatrix, "boxes1", {{"batch"}, {"n"}, {"4", 4}}, kRealTypes}, boxes1));
  CUDET_RETURN_IF_ERROR(check_input(
      {kMatrix, "boxes2", {{"batch", boxes1.size(0)}, {"m"}, {"4", 4}}, kRealTypes}, boxes2));
  CUDET_RETURN_IF_ERROR(
      check_output({kMatrix,
                    "values",
                    {{"batch", boxes1.size(0)}, {"n", boxes1.size(1)}, {"m", boxes2.size(1)}},
                    kRealTypes},
                   output.values));
  return check_no_overlap(kMatrix, {{"boxes1", &boxes1}, {"boxes2", &boxes2}},
                          {{"values", &output.values}});
}

Status iou_matrix_workspace_size(const IouMatrixOptions& options, const IouMatrixInput& input,
                                 std::size_t* bytes) noexcept {
  const Tensor& boxes1 = input.boxes1;
  CUDET_RETURN_IF_ERROR(check_options(kMatrix, options));
  CUDET_RETURN_IF_ERROR(
      check_shape_and_type({kMatrix, "boxes1", {{"batch"}, {"n"}, {"4", 4}}, kRealTypes}, boxes1));
  CUDET_RETURN_IF_ERROR(check_shape_and_type(
      {kMatrix, "boxes2", {{"batch", boxes1.size(0)}, {"m"}, {"4", 4}}, kRealTypes}, input.boxes2));
  if (bytes == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: bytes must not be null, got a null pointer", kMatrix);
  }
  *bytes = 0;
  return Status();
}

Status iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                  const IouMatrixOutput& output, const Execution& execution) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_matrix(options, input, output));
  CUDET_RETURN_IF_ERROR(check_execution(kMatrix, execution, 0));
  if (output.values.element_count() == 0) return Status();
  if (!execution.is_cuda()) {
    return cpu::iou_matrix(options, input, output, cpu::thread_count(execution.threads()));
  }
  return device::iou_matrix(options, input, output, execution);
}

Status check_iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                       const IouPairsOutput& output) noexcept {
  const Tensor& boxes1 = input.boxes1;
  const std::int64_t n = boxes1.size(0);
  CUDET_RETURN_IF_ERROR(check_options(kPairs, options));
  CUDET_RETURN_IF_ERROR(check_input({kPairs, "boxes1", {{"n"}, {"4", 4}}, kRealTypes}, boxes1));
  CUDET_RETURN_IF_ERROR(
      check_input({kPairs, "boxes2", {{"n", n}, {"4", 4}}, kRealTypes}, input.boxes2));
  CUDET_RETURN_IF_ERROR(check_output({kPairs, "values", {{"n", n}}, kRealTypes}, output.values));
  return check_no_overlap(kPairs, {{"boxes1", &boxes1}, {"boxes2", &input.boxes2}},
                          {{"values", &output.values}});
}

Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output, const Execution& execution) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_pairs(options, input, output));
  CUDET_RETURN_IF_ERROR(check_execution(kPairs, execution, 0));
  if (output.values.element_count() == 0) return Status();
  if (!execution.is_cuda()) {
    return cpu::iou_pairs(options, input, output, cpu::thread_count(execution.threads()));
  }
  return device::iou_pairs(options, input, output, execution);
}

}  // namespace cudet
