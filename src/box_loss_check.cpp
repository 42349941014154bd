#include "box_loss_check.h"

#include "check.h"
#include "workspace_layout.h"

#include <cmath>

namespace cudet {
namespace {

constexpr const char* kIouLoss = "iou_loss";
constexpr const char* kRegressionLoss = "box_regression_loss";
constexpr auto kFloat = {DataType::float32};

Status check_reduction(const char* operation, LossReduction reduction, float grad_scale) {
  if (!is_enumerator(reduction, 4)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: reduction must be none, sum, mean or normalised, got %d", operation,
                         static_cast<int>(reduction));
  }
  if (!std::isfinite(grad_scale)) {
    return Status::error(StatusCode::invalid_argument, "%s: grad_scale must be finite, got %g",
                         operation, static_cast<double>(grad_scale));
  }
  return Status();
}

Status check_eps(const char* name, float eps) {
  if (eps >= 1e-12f && eps <= 1e12f) return Status();
  return Status::error(StatusCode::invalid_argument, "%s: %s must be in [1e-12, 1e+12], got %g",
                       kIouLoss, name, static_cast<double>(eps));
}

/// Weights and normaliser of a loss of n rows.
Status check_factors(const char* operation, LossReduction reduction, std::int64_t n,
                     const Tensor& weights, const Tensor& normaliser) {
  if (weights.present()) {
    CUDET_RETURN_IF_ERROR(check_input({operation, "weights", {{"n", n}}, kFloat}, weights));
  }
  if (reduction == LossReduction::normalised) {
    CUDET_RETURN_IF_ERROR(check_input({operation, "normaliser", {{"1", 1}}, kFloat}, normaliser));
  } else if (normaliser.present()) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: normaliser must be absent unless reduction is normalised, got one "
                         "with reduction %s",
                         operation, to_string(reduction));
  }
  return Status();
}

Status no_output(const char* operation) {
  return Status::error(StatusCode::invalid_argument,
                       "%s: output must have at least one tensor, got none", operation);
}

}  // namespace

const char* to_string(LossReduction reduction) noexcept {
  switch (reduction) {
    case LossReduction::none:
      return "none";
    case LossReduction::sum:
      return "sum";
    case LossReduction::mean:
      return "mean";
    case LossReduction::normalised:
      return "normalised";
  }
  return "unknown";
}

Status plan_loss_reduction(const char* operation, std::int64_t elements,
                           LossReductionPlan* plan) noexcept {
  const std::int64_t full = elements / kLossBlockElements;
  plan->blocks = full + (elements % kLossBlockElements != 0 || elements == 0 ? 1 : 0);
  if (plan->blocks > INT32_MAX) {
    return Status::error(StatusCode::unsupported,
                         "%s: inputs must have at most 2147483647 blocks of %d losses for a device "
                         "call, got %lld",
                         operation, static_cast<int>(kLossBlockElements),
                         static_cast<long long>(plan->blocks));
  }
  WorkspaceLayout layout;
  plan->partials = layout.add(plan->blocks, sizeof(float));
  plan->arrived = layout.add(1, sizeof(std::uint32_t));
  plan->workspace_bytes = layout.total();
  return Status();
}

Status check_iou_loss_input(const IouLossOptions& options, const IouLossInput& input,
                            bool with_data) noexcept {
  if (!is_enumerator(options.kind, 6) || options.kind == IouKind::iof) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: kind must be iou, giou, diou, ciou or eiou, got %d", kIouLoss,
                         static_cast<int>(options.kind));
  }
  if (!is_enumerator(options.format, 3)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: format must be xyxy, xywh or cxcywh, got %d", kIouLoss,
                         static_cast<int>(options.format));
  }
  CUDET_RETURN_IF_ERROR(check_eps("eps", options.eps));
  CUDET_RETURN_IF_ERROR(check_eps("alpha_eps", options.alpha_eps));
  CUDET_RETURN_IF_ERROR(check_reduction(kIouLoss, options.reduction, options.grad_scale));

  const auto check = with_data ? check_input : check_shape_and_type;
  const std::int64_t n = input.boxes1.size(0);
  CUDET_RETURN_IF_ERROR(check({kIouLoss, "boxes1", {{"n"}, {"4", 4}}, kRealTypes}, input.boxes1));
  CUDET_RETURN_IF_ERROR(
      check({kIouLoss, "boxes2", {{"n", n}, {"4", 4}}, kRealTypes}, input.boxes2));
  if (!with_data) return Status();
  CUDET_RETURN_IF_ERROR(
      check_factors(kIouLoss, options.reduction, n, input.weights, input.normaliser));
  if (!input.grad_output.present()) return Status();
  return options.reduction == LossReduction::none
             ? check_input({kIouLoss, "grad_output", {{"n", n}}, kFloat}, input.grad_output)
             : check_input({kIouLoss, "grad_output", {{"1", 1}}, kFloat}, input.grad_output);
}

Status check_iou_loss(const IouLossOptions& options, const IouLossInput& input,
                      const IouLossOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_iou_loss_input(options, input, true));
  const std::int64_t n = input.boxes1.size(0);
  if (!output.loss.present() && !output.grad_boxes1.present() && !output.grad_boxes2.present()) {
    return no_output(kIouLoss);
  }
  if (output.loss.present()) {
    CUDET_RETURN_IF_ERROR(options.reduction == LossReduction::none
                              ? check_output({kIouLoss, "loss", {{"n", n}}, kFloat}, output.loss)
                              : check_output({kIouLoss, "loss", {{"1", 1}}, kFloat}, output.loss));
  }
  const Tensor* gradients[] = {&output.grad_boxes1, &output.grad_boxes2};
  const char* names[] = {"grad_boxes1", "grad_boxes2"};
  for (int k = 0; k < 2; ++k) {
    if (!gradients[k]->present()) continue;
    CUDET_RETURN_IF_ERROR(
        check_output({kIouLoss, names[k], {{"n", n}, {"4", 4}}, kRealTypes}, *gradients[k]));
  }
  return check_no_overlap(kIouLoss,
                          {{"boxes1", &input.boxes1},
                           {"boxes2", &input.boxes2},
                           {"weights", &input.weights},
                           {"normaliser", &input.normaliser},
                           {"grad_output", &input.grad_output}},
                          {{"loss", &output.loss},
                           {"grad_boxes1", &output.grad_boxes1},
                           {"grad_boxes2", &output.grad_boxes2}});
}

Status check_box_regression_loss_input(const BoxRegressionLossOptions& options,
                                       const BoxRegressionLossInput& input,
                                       bool with_data) noexcept {
  if (!is_enumerator(options.kind, 2)) {
    return Status::error(StatusCode::invalid_argument, "%s: kind must be l2 or smooth_l1, got %d",
                         kRegressionLoss, static_cast<int>(options.kind));
  }
  if (!(options.beta >= 0.0f && std::isfinite(options.beta))) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: beta must be finite and 0 or more, got %g", kRegressionLoss,
                         static_cast<double>(options.beta));
  }
  CUDET_RETURN_IF_ERROR(check_reduction(kRegressionLoss, options.reduction, options.grad_scale));

  const auto check = with_data ? check_input : check_shape_and_type;
  const std::int64_t n = input.predictions.size(0);
  const std::int64_t k = input.predictions.size(1);
  CUDET_RETURN_IF_ERROR(
      check({kRegressionLoss, "predictions", {{"n"}, {"k"}}, kRealTypes}, input.predictions));
  CUDET_RETURN_IF_ERROR(
      check({kRegressionLoss, "targets", {{"n", n}, {"k", k}}, kRealTypes}, input.targets));
  if (!with_data) return Status();
  CUDET_RETURN_IF_ERROR(
      check_factors(kRegressionLoss, options.reduction, n, input.weights, input.normaliser));
  if (!input.grad_output.present()) return Status();
  return options.reduction == LossReduction::none
             ? check_input({kRegressionLoss, "grad_output", {{"n", n}, {"k", k}}, kFloat},
                           input.grad_output)
             : check_input({kRegressionLoss, "grad_output", {{"1", 1}}, kFloat}, input.grad_output);
}

Status check_box_regression_loss(const BoxRegressionLossOptions& options,
                                 const BoxRegressionLossInput& input,
                                 const BoxRegressionLossOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_box_regression_loss_input(options, input, true));
  const std::int64_t n = input.predictions.size(0);
  const std::int64_t k = input.predictions.size(1);
  if (!output.loss.present() && !output.grad_predictions.present()) {
    return no_output(kRegressionLoss);
  }
  if (output.loss.present()) {
    CUDET_RETURN_IF_ERROR(
        options.reduction == LossReduction::none
            ? check_output({kRegressionLoss, "loss", {{"n", n}, {"k", k}}, kFloat}, output.loss)
            : check_output({kRegressionLoss, "loss", {{"1", 1}}, kFloat}, output.loss));
  }
  if (output.grad_predictions.present()) {
    CUDET_RETURN_IF_ERROR(
        check_output({kRegressionLoss, "grad_predictions", {{"n", n}, {"k", k}}, kRealTypes},
                     output.grad_predictions));
  }
  return check_no_overlap(kRegressionLoss,
                          {{"predictions", &input.predictions},
                           {"targets", &input.targets},
                           {"weights", &input.weights},
                           {"normaliser", &input.normaliser},
                           {"grad_output", &input.grad_output}},
                          {{"loss", &output.loss}, {"grad_predictions", &output.grad_predictions}});
}

}  // namespace cudet
