// Focal losses: launches.
#include "focal_loss.h"

#include "focal_loss_general_kernels.cuh"
#include "focal_loss_head_kernels.cuh"
#include "focal_loss_rows_kernels.cuh"
#include "focal_loss_softmax_hard_kernel.cuh"
#include "focal_loss_softmax_kernels.cuh"
#include "launch.h"

#include "../src/check.h"
#include "../src/workspace_layout.h"

#include <algorithm>
#include <cstdint>

namespace cudet::device {
namespace {

using SigmoidKernel = void (*)(SigmoidFocalParameters);
using SoftmaxKernel = void (*)(SoftmaxParameters);

bool is_aligned(const Tensor& tensor, std::uintptr_t bytes) {
  return reinterpret_cast<std::uintptr_t>(tensor.data()) % bytes == 0;
}

unsigned ceil_divide(unsigned a, unsigned b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

GammaKind gamma_kind(float gamma) {
  return gamma == 0.0f   ? GammaKind::zero
         : gamma == 1.0f ? GammaKind::one
         : gamma == 2.0f ? GammaKind::two
                         : GammaKind::any;
}

/// Where sums go; `count` is the number of losses, for their mean. Without a sum to make, nothing
/// of the workspace is used.
FocalReductionParameters make_reduction(const FocalReductionPlan& plan, unsigned partials,
                                        LossReduction reduction, double count, const Tensor& loss,
                                        const Tensor& normaliser, const Tensor& counted,
                                        const Execution& execution) {
  FocalReductionParameters parameters = {};
  const bool reduced = reduction != LossReduction::none && loss.present();
  if (!reduced && !counted.present()) return parameters;
  char* const base = WorkspaceLayout::align(execution.workspace());
  parameters.sums = reinterpret_cast<FocalPartial*>(base + plan.sums);
  parameters.group_sums = reinterpret_cast<double*>(base + plan.group_sums);
  parameters.group_counts = reinterpret_cast<long long*>(base + plan.group_counts);
  parameters.arrived = reinterpret_cast<unsigned*>(base + plan.arrived);
  parameters.partials = partials;
  if (reduction == LossReduction::normalised) {
    parameters.normaliser = normaliser.data_as<const float>();
  }
  parameters.divisor = reduction == LossReduction::mean ? std::max(count, 1.0) : 1.0;
  parameters.loss = reduced ? loss.data_as<float>() : nullptr;
  parameters.count = counted.data();
  parameters.count_is_64_bit = counted.type() == DataType::int64;
  return parameters;
}

float gradient_scale(LossReduction reduction, float grad_scale, double count) {
  if (reduction != LossReduction::mean) return grad_scale;
  return static_cast<float>(static_cast<double>(grad_scale) / std::max(count, 1.0));
}

/// Shared memory of focal_head_kernel for each tile of positions of a block.
std::size_t head_targets_bytes(DataType type) {
  return type == DataType::float32 ? sizeof(HeadTargets<float>) : sizeof(HeadTargets<__half>);
}

/// Clears the count of blocks that have arrived, where one is kept.
Status clear_arrived(const char* operation, const FocalReductionParameters& reduction,
                     cudaStream_t stream) {
  if (reduction.arrived == nullptr) return Status();
  const cudaError_t error = cudaMemsetAsync(reduction.arrived, 0, sizeof(unsigned), stream);
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();
  return cuda_failure(operation, "clearing the block counter", error);
}

FocalLevelParameters make_level(const SigmoidFocalPlan& plan,
                                const SigmoidFocalLossOptions& options,
                                const SigmoidFocalLossInput& input,
                                const SigmoidFocalLossOutput& output, int level) {
  const FocalLevelShape& shape = plan.shape.levels[level];
  const bool by_element = options.reduction == LossReduction::none;
  FocalLevelParameters parameters = {};
  parameters.logits = input.logits[level].data();
  parameters.targets = input.targets[level].data();
  parameters.row_weights = input.row_weights[level].data_as<const float>();
  parameters.gradient = output.grad_logits[level].data();
  if (by_element) {
    parameters.grad_output = input.grad_output[level].data();
    parameters.loss = output.loss[level].data();
  }
  parameters.first_chunk = static_cast<unsigned>(plan.first_chunk[level]);
  parameters.elements = static_cast<unsigned>(shape.elements);
  parameters.positions = static_cast<unsigned>(shape.positions);
  parameters.aligned =
      is_aligned(input.logits[level], 16) && is_aligned(output.grad_logits[level], 16);
  return parameters;
}

SigmoidFocalParameters make_sigmoid_parameters(const SigmoidFocalPlan& plan,
                                               const SigmoidFocalLossOptions& options,
                                               const SigmoidFocalLossInput& input,
                                               const SigmoidFocalLossOutput& output,
                                               const Execution& execution) {
  const auto count = static_cast<double>(plan.shape.elements);
  SigmoidFocalParameters parameters = {};
  for (int level = 0; level < input.levels; ++level)
    parameters.levels[level] = make_level(plan, options, input, output, level);
  parameters.level_count = input.levels;
  parameters.chunks = static_cast<unsigned>(plan.first_chunk[input.levels]);
  parameters.class_tiles = static_cast<unsigned>(plan.class_tiles);
  const auto warps = static_cast<unsigned>(plan.block_threads / kWarpSize);
  parameters.block_class_tiles = std::min(parameters.class_tiles, warps);
  parameters.block_groups = ceil_divide(parameters.class_tiles, parameters.block_class_tiles);
  parameters.block_tiles = warps / parameters.block_class_tiles;
  parameters.classes = static_cast<int>(plan.shape.classes);
  parameters.kind = options.kind;
  parameters.target_kind = options.targets;
  parameters.head_layout = options.layout == FocalLayout::head;
  parameters.needs_place = options.targets == FocalTargets::class_index ||
                           input.row_weights[0].present() || input.class_alpha.present();
  parameters.has_alpha =
      options.alpha != SigmoidFocalLossOptions::kNoAlpha || input.class_alpha.present();
  parameters.target_type = input.targets[0].type();
  parameters.loss_type = output.loss[0].type();
  parameters.grad_output_type = input.grad_output[0].type();
  parameters.background_index = options.background_index;
  parameters.ignore_index = options.ignore_index;
  parameters.gamma = options.gamma;
  parameters.gamma_kind = gamma_kind(options.gamma);
  const bool weighted = options.alpha != SigmoidFocalLossOptions::kNoAlpha;
  parameters.positive_weight = weighted ? options.alpha : 1.0f;
  parameters.negative_weight = weighted ? 1.0f - options.alpha : 1.0f;
  parameters.label_smoothing = options.label_smoothing;
  parameters.class_alpha = input.class_alpha.data_as<const float>();
  parameters.grad_factor = gradient_scale(options.reduction, options.grad_scale, count);
  if (options.reduction == LossReduction::normalised) {
    parameters.normaliser = input.normaliser.data_as<const float>();
  }
  if (options.reduction != LossReduction::none) {
    parameters.grad_output = input.grad_output[0].data_as<const float>();
  }
  parameters.reduction =
      make_reduction(plan.reduction, parameters.chunks, options.reduction, count, output.loss[0],
                     input.normaliser, output.positives, execution);
  return parameters;
}

template <class T>
SigmoidKernel sigmoid_kernel(bool plain, bool head, bool square) {
  if (!plain) return focal_general_kernel<T>;
  if (head) return square ? focal_head_kernel<T, true> : focal_head_kernel<T, false>;
  return square ? focal_rows_kernel<T, true> : focal_rows_kernel<T, false>;
}

SigmoidKernel sigmoid_kernel(DataType type, bool plain, bool head, bool square) {
  switch (type) {
    case DataType::float16:
      return sigmoid_kernel<__half>(plain, head, square);
    case DataType::bfloat16:
      return sigmoid_kernel<__nv_bfloat16>(plain, head, square);
    default:
      return sigmoid_kernel<float>(plain, head, square);
  }
}

template <class T>
SoftmaxKernel softmax_kernel(RowLoss loss, const SoftmaxPlan& plan) {
  switch (plan.classes_per_lane) {
    case 3:
      return softmax_hard_kernel<T, 3>;
    case 6:
      return softmax_hard_kernel<T, 6>;
    case 9:
      return softmax_hard_kernel<T, 9>;
    case 12:
      return softmax_hard_kernel<T, 12>;
    case 15:
      return softmax_hard_kernel<T, 15>;
    case 18:
      return softmax_hard_kernel<T, 18>;
    case 21:
      return softmax_hard_kernel<T, 21>;
    case 24:
      return softmax_hard_kernel<T, 24>;
    case 27:
      return softmax_hard_kernel<T, 27>;
    case 30:
      return softmax_hard_kernel<T, 30>;
    case 33:
      return softmax_hard_kernel<T, 33>;
    default:
      break;
  }
  if (loss == RowLoss::hard) return softmax_long_row_kernel<T, RowLoss::hard>;
  if (loss == RowLoss::smoothed) {
    return plan.staged ? softmax_tile_kernel<T, RowLoss::smoothed>
                       : softmax_long_row_kernel<T, RowLoss::smoothed>;
  }
  return plan.staged ? softmax_tile_kernel<T, RowLoss::distribution>
                     : softmax_long_row_kernel<T, RowLoss::distribution>;
}

SoftmaxKernel softmax_kernel(DataType type, RowLoss loss, const SoftmaxPlan& plan) {
  switch (type) {
    case DataType::float16:
      return softmax_kernel<__half>(loss, plan);
    case DataType::bfloat16:
      return softmax_kernel<__nv_bfloat16>(loss, plan);
    default:
      return softmax_kernel<float>(loss, plan);
  }
}

/// What both losses of a softmax have in common: their options, inputs and outputs have the same
/// names.
template <class Options, class Input, class Output>
SoftmaxParameters make_softmax_parameters(const SoftmaxPlan& plan, const Options& options,
                                          const Input& input, const Output& output,
                                          const Tensor& valid_rows, const Execution& execution) {
  const auto count = static_cast<double>(plan.shape.rows);
  const bool by_row = options.reduction == LossReduction::none;
  SoftmaxParameters parameters = {};
  parameters.logits = input.logits.data();
  parameters.targets = input.targets.data();
  parameters.targets_are_64_bit = input.targets.type() == DataType::int64;
  parameters.row_weights = input.row_weights.template data_as<const float>();
  parameters.grad_output = input.grad_output.template data_as<const float>();
  parameters.grad_output_by_row = by_row;
  parameters.gradient = output.grad_logits.data();
  parameters.row_loss = by_row ? output.loss.template data_as<float>() : nullptr;
  parameters.rows = static_cast<unsigned>(plan.shape.rows);
  parameters.classes = static_cast<unsigned>(plan.shape.classes);
  parameters.row_lane_bits = static_cast<unsigned>(plan.row_lane_bits);
  parameters.padded = plan.padded;
  parameters.aligned = is_aligned(input.logits, 16) && is_aligned(output.grad_logits, 16);
  parameters.grad_factor = gradient_scale(options.reduction, options.grad_scale, count);
  if (options.reduction == LossReduction::normalised) {
    parameters.normaliser = input.normaliser.template data_as<const float>();
  }
  parameters.reduction = make_reduction(
      plan.reduction, static_cast<unsigned>(plan.reduction.partials), options.reduction, count,
      output.loss, input.normaliser, valid_rows, execution);
  return parameters;
}

Status launch_softmax(const char* operation, const SoftmaxPlan& plan, SoftmaxKernel kernel,
                      const SoftmaxParameters& parameters, cudaStream_t stream) {
  CUDET_RETURN_IF_ERROR(clear_arrived(operation, parameters.reduction, stream));
  LaunchConfig config = {};
  // Where there are no rows, a block still writes the sum.
  config.grid = dim3(static_cast<unsigned>(std::max<std::int64_t>(plan.tiles, 1)));
  config.block = dim3(kFocalBlockThreads);
  if (plan.staged) {
    config.shared_bytes = static_cast<std::size_t>(plan.tile_bytes);
  }
  return launch(operation,
                plan.classes_per_lane > 0 ? "launching softmax_hard_kernel"
                : plan.staged             ? "launching softmax_tile_kernel"
                                          : "launching softmax_long_row_kernel",
                kernel, config, stream, parameters);
}

}  // namespace

Status sigmoid_focal_loss(const SigmoidFocalPlan& plan, const SigmoidFocalLossOptions& options,
                          const SigmoidFocalLossInput& input, const SigmoidFocalLossOutput& output,
                          const Execution& execution) noexcept {
  constexpr const char* kOperation = "sigmoid_focal_loss";
  const bool head = options.layout == FocalLayout::head;
  const SigmoidFocalParameters parameters =
      make_sigmoid_parameters(plan, options, input, output, execution);
  CUDET_RETURN_IF_ERROR(clear_arrived(kOperation, parameters.reduction, execution.stream()));
  LaunchConfig config = {};
  unsigned blocks;
  if (plan.plain && head) {
    blocks = ceil_divide(parameters.chunks / parameters.class_tiles, parameters.block_tiles) *
             parameters.block_groups;
    config.shared_bytes = parameters.block_tiles * head_targets_bytes(input.logits[0].type());
  } else {
    blocks = ceil_divide(parameters.chunks, static_cast<unsigned>(plan.block_threads / kWarpSize));
  }
  // Where there are no elements, a block still writes the sum.
  config.grid = dim3(std::max(blocks, 1u));
  config.block = dim3(static_cast<unsigned>(plan.block_threads));
  return launch(kOperation,
                !plan.plain ? "launching focal_general_kernel"
                : head      ? "launching focal_head_kernel"
                            : "launching focal_rows_kernel",
                sigmoid_kernel(input.logits[0].type(), plan.plain, head,
                               parameters.gamma_kind == GammaKind::two),
                config, execution.stream(), parameters);
}

Status softmax_focal_loss(const SoftmaxPlan& plan, const SoftmaxFocalLossOptions& options,
                          const SoftmaxFocalLossInput& input, const SoftmaxFocalLossOutput& output,
                          const Execution& execution) noexcept {
  SoftmaxParameters parameters =
      make_softmax_parameters(plan, options, input, output, output.valid_rows, execution);
  parameters.class_weights = input.class_weights.data_as<const float>();
  parameters.ignore_index = options.ignore_index;
  parameters.gamma = options.gamma;
  parameters.gamma_kind = gamma_kind(options.gamma);
  parameters.label_smoothing = options.label_smoothing;
  const RowLoss loss = options.label_smoothing == 0.0f ? RowLoss::hard : RowLoss::smoothed;
  const SoftmaxKernel kernel = softmax_kernel(input.logits.type(), loss, plan);
  return launch_softmax("softmax_focal_loss", plan, kernel, parameters, execution.stream());
}

Status distribution_focal_loss(const SoftmaxPlan& plan, const DistributionFocalLossOptions& options,
                               const DistributionFocalLossInput& input,
                               const DistributionFocalLossOutput& output,
                               const Execution& execution) noexcept {
  const SoftmaxParameters parameters =
      make_softmax_parameters(plan, options, input, output, Tensor(), execution);
  return launch_softmax("distribution_focal_loss", plan,
                        softmax_kernel(input.logits.type(), RowLoss::distribution, plan),
                        parameters, execution.stream());
}

}  // namespace cudet::device
