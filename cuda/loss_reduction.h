// The sum of the losses of a call, as the kernels of the box losses receive it.
#pragma once

#include "launch.h"

#include "../src/box_loss_check.h"
#include "../src/workspace_layout.h"

#include <cudet/execution.h>
#include <cudet/loss_reduction.h>
#include <cudet/tensor.h>

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

struct LossReductionParameters {
  float* partials;          ///< a block's sum each
  unsigned* arrived;        ///< blocks that have stored theirs
  float* loss;              ///< the result; null: nothing is added
  const float* normaliser;  ///< null: 1
  double count;             ///< what the mean divides by, otherwise 1
};

/// Fills the parameters and enqueues the clearing of the counter, where one is needed.
inline Status prepare_loss_reduction(const char* operation, const LossReductionPlan& plan,
                                     LossReduction reduction, std::int64_t elements,
                                     const Tensor& normaliser, const Tensor& loss,
                                     const Execution& execution,
                                     LossReductionParameters* parameters) {
  *parameters = {};
  const bool mean = reduction == LossReduction::mean && elements > 0;
  parameters->count = mean ? static_cast<double>(elements) : 1.0;
  parameters->normaliser =
      reduction == LossReduction::normalised ? normaliser.data_as<float>() : nullptr;
  if (reduction == LossReduction::none || !loss.present()) return Status();
  char* workspace = WorkspaceLayout::align(execution.workspace());
  parameters->partials = reinterpret_cast<float*>(workspace + plan.partials);
  parameters->arrived = reinterpret_cast<unsigned*>(workspace + plan.arrived);
  parameters->loss = loss.data_as<float>();
  if (plan.blocks == 1) return Status();
  const cudaError_t error =
      cudaMemsetAsync(parameters->arrived, 0, sizeof(unsigned), execution.stream());
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();
  return cuda_failure(operation, "clearing the counter of blocks", error);
}

}  // namespace cudet::device
