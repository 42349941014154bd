// What the IoU matrix and the aligned pairs ask of their arguments.
#include "iou_check.h"

#include "check.h"

#include <cmath>

namespace cudet {
namespace {

constexpr const char* kMatrix = "iou_matrix";
constexpr const char* kPairs = "iou_pairs";
constexpr auto kIntegers = {DataType::int32, DataType::int64};

Status check_options(const char* operation, const IouMatrixOptions& options) {
  if (!is_enumerator(options.kind, 6)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: kind must be iou, iof, giou, diou, ciou or eiou, got %d", operation,
                         static_cast<int>(options.kind));
  }
  if (!is_enumerator(options.format, 4)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: format must be xyxy, xywh, cxcywh or rotated, got %d", operation,
                         static_cast<int>(options.format));
  }
  if (!is_enumerator(options.angle_unit, 2)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: angle_unit must be degrees or radians, got %d", operation,
                         static_cast<int>(options.angle_unit));
  }
  if (!is_enumerator(options.angle_direction, 2)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: angle_direction must be counter_clockwise or clockwise, got %d",
                         operation, static_cast<int>(options.angle_direction));
  }
  if (options.format == BoxFormat::rotated) {
    if (options.kind != IouKind::iou && options.kind != IouKind::iof) {
      return Status::error(StatusCode::invalid_argument,
                           "%s: kind must be iou or iof for rotated boxes, got %s", operation,
                           to_string(options.kind));
    }
    if (options.legacy_offset) {
      return Status::error(StatusCode::invalid_argument,
                           "%s: legacy_offset must be false for rotated boxes, got true",
                           operation);
    }
  }
  if (!(options.eps >= 0.0f && std::isfinite(options.eps))) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: eps must be finite and 0 or more, got %g", operation,
                         static_cast<double>(options.eps));
  }
  if (std::isnan(options.threshold)) {
    return Status::error(StatusCode::invalid_argument, "%s: threshold must be a number, got nan",
                         operation);
  }
  return Status();
}

/// The last dimension of boxes: as in all messages, named by its size.
Dimension numbers_dimension(BoxFormat format) {
  return format == BoxFormat::rotated ? Dimension{"5", 5} : Dimension{"4", 4};
}

using Check = Status (*)(const TensorContract&, const Tensor&) noexcept;

/// One of the two sets and its offsets. `batch` is kAny until an argument fixes it.
Status check_set(Check check, const char* name, const char* offsets_name, const char* count,
                 BoxFormat format, const Tensor& boxes, const Tensor& offsets,
                 std::int64_t* batch) {
  const Dimension numbers = numbers_dimension(format);
  if (!offsets.present()) {
    CUDET_RETURN_IF_ERROR(
        check({kMatrix, name, {{"batch", *batch}, {count}, numbers}, kRealTypes}, boxes));
    *batch = boxes.size(0);
    return Status();
  }
  CUDET_RETURN_IF_ERROR(check({kMatrix, name, {{count}, numbers}, kRealTypes}, boxes));
  const std::int64_t offset_count = *batch == Dimension::kAny ? Dimension::kAny : *batch + 1;
  CUDET_RETURN_IF_ERROR(
      check({kMatrix, offsets_name, {{"batch + 1", offset_count}}, kIntegers}, offsets));
  if (offsets.size(0) == 0) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: %s must have at least one element, got none", kMatrix, offsets_name);
  }
  *batch = offsets.size(0) - 1;
  return Status();
}

Status check_crowds(Check check, const IouMatrixOptions& options, const IouMatrixInput& input) {
  if (!input.crowds.present()) return Status();
  if (options.kind != IouKind::iou || options.format == BoxFormat::rotated) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: crowds must be absent unless kind is iou and boxes are upright, got "
                         "them with kind %s and format %s",
                         kMatrix, to_string(options.kind), to_string(options.format));
  }
  const Tensor& boxes2 = input.boxes2;
  return input.offsets2.present()
             ? check({kMatrix, "crowds", {{"boxes", boxes2.size(0)}}, {DataType::uint8}},
                     input.crowds)
             : check({kMatrix,
                      "crowds",
                      {{"batch", boxes2.size(0)}, {"m", boxes2.size(1)}},
                      {DataType::uint8}},
                     input.crowds);
}

/// values or bits: a row for each of boxes1, and `columns` columns.
Status check_rows(const char* name, const IouMatrixPlan& plan, const Dimension& columns,
                  std::initializer_list<DataType> types, const Tensor& tensor) {
  return plan.ragged1
             ? check_output({kMatrix, name, {{"n", plan.n}, columns}, types}, tensor)
             : check_output({kMatrix, name, {{"batch", plan.batch}, {"n", plan.n}, columns}, types},
                            tensor);
}

std::int64_t words_of(std::int64_t columns) {
  return columns / 32 + (columns % 32 != 0 ? 1 : 0);
}

}  // namespace

Status check_iou_matrix_input(const IouMatrixOptions& options, const IouMatrixInput& input,
                              bool with_data) noexcept {
  CUDET_RETURN_IF_ERROR(check_options(kMatrix, options));
  const Check check = with_data ? check_input : check_shape_and_type;
  std::int64_t batch = Dimension::kAny;
  CUDET_RETURN_IF_ERROR(check_set(check, "boxes1", "offsets1", "n", options.format, input.boxes1,
                                  input.offsets1, &batch));
  CUDET_RETURN_IF_ERROR(check_set(check, "boxes2", "offsets2",
                                  input.offsets2.present() ? "boxes" : "m", options.format,
                                  input.boxes2, input.offsets2, &batch));
  return check_crowds(check, options, input);
}

Status check_iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                        const IouMatrixOutput& output, IouMatrixPlan* plan) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_matrix_input(options, input, true));
  const Tensor& values = output.values;
  const Tensor& bits = output.bits;
  if (!values.present() && !bits.present()) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: output must have at least one tensor, got none", kMatrix);
  }
  plan->ragged1 = input.offsets1.present();
  plan->ragged2 = input.offsets2.present();
  plan->batch = plan->ragged1 ? input.offsets1.size(0) - 1 : input.boxes1.size(0);
  plan->n = input.boxes1.size(plan->ragged1 ? 0 : 1);
  plan->boxes2 = input.boxes2.size(plan->ragged2 ? 0 : 1);
  plan->m = plan->ragged2 ? Dimension::kAny : plan->boxes2;
  if (values.present()) {
    CUDET_RETURN_IF_ERROR(check_rows("values", *plan, {"m", plan->m}, kRealTypes, values));
    plan->m = values.size(values.rank() - 1);
  }
  if (bits.present()) {
    const bool is_free = plan->m == Dimension::kAny;
    const Dimension words = {"words", is_free ? Dimension::kAny : words_of(plan->m)};
    CUDET_RETURN_IF_ERROR(check_rows("bits", *plan, words, {DataType::int32}, bits));
    if (is_free) plan->m = 32 * bits.size(bits.rank() - 1);
  }
  plan->words = words_of(plan->m);
  return check_no_overlap(kMatrix,
                          {{"boxes1", &input.boxes1},
                           {"boxes2", &input.boxes2},
                           {"offsets1", &input.offsets1},
                           {"offsets2", &input.offsets2},
                           {"crowds", &input.crowds}},
                          {{"values", &values}, {"bits", &bits}});
}

Status check_iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                       const IouPairsOutput& output) noexcept {
  const Tensor& boxes1 = input.boxes1;
  const std::int64_t n = boxes1.size(0);
  const Dimension numbers = numbers_dimension(options.format);
  CUDET_RETURN_IF_ERROR(check_options(kPairs, options));
  CUDET_RETURN_IF_ERROR(check_input({kPairs, "boxes1", {{"n"}, numbers}, kRealTypes}, boxes1));
  CUDET_RETURN_IF_ERROR(
      check_input({kPairs, "boxes2", {{"n", n}, numbers}, kRealTypes}, input.boxes2));
  CUDET_RETURN_IF_ERROR(check_output({kPairs, "values", {{"n", n}}, kRealTypes}, output.values));
  return check_no_overlap(kPairs, {{"boxes1", &boxes1}, {"boxes2", &input.boxes2}},
                          {{"values", &output.values}});
}

}  // namespace cudet
