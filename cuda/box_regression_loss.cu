// Losses of regressed numbers: launches.
#include "box_regression_loss.h"

#include "box_regression_loss_kernel.cuh"
#include "launch.h"

#include "../src/check.h"

#include <cstdint>

namespace cudet::device {

Status box_regression_loss(const LossReductionPlan& plan, const BoxRegressionLossOptions& options,
                           const BoxRegressionLossInput& input,
                           const BoxRegressionLossOutput& output,
                           const Execution& execution) noexcept {
  constexpr const char* kOperation = "box_regression_loss";
  const bool reduces = options.reduction != LossReduction::none;
  const std::int64_t elements = input.predictions.element_count();
  if (elements == 0 && !(reduces && output.loss.present())) return Status();

  BoxRegressionLossParameters parameters = {};
  parameters.predictions = {input.predictions.data(), input.predictions.type()};
  parameters.targets = {input.targets.data(), input.targets.type()};
  parameters.gradients = {output.grad_predictions.data(), output.grad_predictions.type()};
  parameters.weights = input.weights.data_as<float>();
  parameters.grad_output = input.grad_output.data_as<float>();
  parameters.losses = reduces ? nullptr : output.loss.data_as<float>();
  parameters.elements = elements;
  parameters.row_elements = input.predictions.size(1);
  parameters.beta = options.beta;
  parameters.grad_scale = options.grad_scale;
  parameters.squared = options.kind == BoxRegressionKind::l2;
  parameters.grad_output_by_element = !reduces;
  CUDET_RETURN_IF_ERROR(prepare_loss_reduction(kOperation, plan, options.reduction, elements,
                                               input.normaliser, output.loss, execution,
                                               &parameters.reduction));
  LaunchConfig config = {};
  config.grid = dim3(static_cast<unsigned>(plan.blocks));
  config.block = dim3(kLossBlockThreads);
  return launch(kOperation, "launching box_regression_loss_kernel", box_regression_loss_kernel,
                config, execution.stream(), parameters);
}

}  // namespace cudet::device
