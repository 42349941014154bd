// IoU losses: launches.
#include "iou_loss.h"

#include "box_array.h"
#include "iou_loss_kernel.cuh"
#include "launch.h"

#include "../src/check.h"

#include <cstdint>

namespace cudet::device {
namespace {

using IouLossKernel = void (*)(IouLossParameters);

IouLossKernel kernel_for(IouKind kind) {
  switch (kind) {
    case IouKind::giou:
      return iou_loss_kernel<IouKind::giou>;
    case IouKind::diou:
      return iou_loss_kernel<IouKind::diou>;
    case IouKind::ciou:
      return iou_loss_kernel<IouKind::ciou>;
    case IouKind::eiou:
      return iou_loss_kernel<IouKind::eiou>;
    default:
      return iou_loss_kernel<IouKind::iou>;
  }
}

BoxGradients make_gradients(const Tensor& gradients) {
  const BoxArray array = make_box_array(gradients, BoxFormat::xyxy, false);
  return {gradients.data(), array.type, array.aligned};
}

}  // namespace

Status iou_loss(const LossReductionPlan& plan, const IouLossOptions& options,
                const IouLossInput& input, const IouLossOutput& output,
                const Execution& execution) noexcept {
  constexpr const char* kOperation = "iou_loss";
  const bool reduces = options.reduction != LossReduction::none;
  const std::int64_t n = input.boxes1.size(0);
  if (n == 0 && !(reduces && output.loss.present())) return Status();

  IouLossParameters parameters = {};
  parameters.boxes1 = make_box_array(input.boxes1, options.format, options.legacy_offset);
  parameters.boxes2 = make_box_array(input.boxes2, options.format, options.legacy_offset);
  parameters.gradients1 = make_gradients(output.grad_boxes1);
  parameters.gradients2 = make_gradients(output.grad_boxes2);
  parameters.weights = input.weights.data_as<float>();
  parameters.grad_output = input.grad_output.data_as<float>();
  parameters.losses = reduces ? nullptr : output.loss.data_as<float>();
  parameters.n = n;
  parameters.eps = options.eps;
  parameters.alpha_eps = options.alpha_eps;
  parameters.grad_scale = options.grad_scale;
  parameters.grad_output_by_pair = !reduces;
  CUDET_RETURN_IF_ERROR(prepare_loss_reduction(kOperation, plan, options.reduction, n,
                                               input.normaliser, output.loss, execution,
                                               &parameters.reduction));
  LaunchConfig config = {};
  config.grid = dim3(static_cast<unsigned>(plan.blocks));
  config.block = dim3(kLossBlockThreads);
  return launch(kOperation, "launching iou_loss_kernel", kernel_for(options.kind), config,
                execution.stream(), parameters);
}

}  // namespace cudet::device
