#include <cudet/focal_loss.h>

#include "../cuda/focal_loss.h"
#include "check.h"
#include "cpu/focal_loss.h"
#include "cpu/parallel.h"
#include "focal_loss_plan.h"
#include "host_memory.h"
#include "workspace_layout.h"

#include <algorithm>
#include <cinttypes>

namespace cudet {
namespace {

constexpr std::int64_t kLimit = INT32_MAX;

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

FocalReductionPlan plan_reduction(std::int64_t partials) {
  FocalReductionPlan plan;
  plan.partials = partials;
  plan.groups = ceil_divide(partials, kFocalGroup);
  WorkspaceLayout layout;
  plan.sums = layout.add(partials, sizeof(FocalPartial));
  plan.group_sums = layout.add(plan.groups, sizeof(double));
  plan.group_counts = layout.add(plan.groups, sizeof(std::int64_t));
  plan.arrived = layout.add(1, sizeof(std::uint32_t));
  plan.workspace_bytes = layout.total();
  return plan;
}

/// Warps that a level takes where the kernels look at single elements, and where at tiles of a
/// head.
std::int64_t flat_chunks(const FocalLevelShape& level) {
  return ceil_divide(level.elements, kFocalChunk);
}
std::int64_t head_chunks(const FocalLevelShape& level, std::int64_t class_tiles, DataType type) {
  if (level.elements == 0) return 0;
  return level.image_anchors * class_tiles *
         ceil_divide(level.positions, focal_head_positions(type));
}

/// Warps of a block in the head layout: all tiles of classes together where they are few enough,
/// since these share their targets, and several such sets where they are very few.
int head_block_warps(std::int64_t class_tiles) {
  constexpr std::int64_t kUsual = kFocalBlockThreads / 32;
  constexpr std::int64_t kMost = kFocalHeadBlockThreads / 32;
  if (class_tiles <= kUsual) return static_cast<int>(kUsual / class_tiles * class_tiles);
  return static_cast<int>(ceil_divide(class_tiles, ceil_divide(class_tiles, kMost)));
}

Status check_bytes(const char* operation, const std::size_t* bytes) {
  if (bytes != nullptr) return Status();
  return Status::error(StatusCode::invalid_argument,
                       "%s: bytes must point to the result, got a null pointer", operation);
}

/// Vectors of the kernels for plain calls reach into two rows at most.
constexpr std::int64_t kMinPlainClasses = 8;

}  // namespace

const char* to_string(FocalTargets targets) noexcept {
  switch (targets) {
    case FocalTargets::class_index:
      return "class_index";
    case FocalTargets::binary:
      return "binary";
    case FocalTargets::dense:
      return "dense";
  }
  return "unknown";
}

const char* to_string(FocalKind kind) noexcept {
  switch (kind) {
    case FocalKind::focal:
      return "focal";
    case FocalKind::quality:
      return "quality";
    case FocalKind::varifocal:
      return "varifocal";
  }
  return "unknown";
}

const char* to_string(FocalLayout layout) noexcept {
  switch (layout) {
    case FocalLayout::rows:
      return "rows";
    case FocalLayout::head:
      return "head";
  }
  return "unknown";
}

bool is_plain(const SigmoidFocalLossOptions& options, const SigmoidFocalLossInput& input,
              const SigmoidFocalLossOutput& output, const SigmoidFocalShape& shape) noexcept {
  const bool by_element = options.reduction == LossReduction::none &&
                          (output.loss[0].present() || input.grad_output[0].present());
  const bool short_rows = options.layout == FocalLayout::rows && shape.classes < kMinPlainClasses;
  return options.kind == FocalKind::focal && options.targets == FocalTargets::class_index &&
         options.label_smoothing == 0.0f && !input.row_weights[0].present() &&
         !input.class_alpha.present() && !by_element && !short_rows;
}

Status make_sigmoid_plan(const SigmoidFocalShape& shape, DataType type, FocalLayout layout,
                         bool plain, SigmoidFocalPlan* plan) noexcept {
  *plan = SigmoidFocalPlan();
  plan->shape = shape;
  plan->plain = plain;
  const bool by_tile = plain && layout == FocalLayout::head;
  plan->class_tiles =
      ceil_divide(std::max<std::int64_t>(shape.classes, 1), focal_head_classes(type));
  if (by_tile) plan->block_threads = 32 * head_block_warps(plan->class_tiles);
  std::int64_t most_chunks = 0;
  for (int level = 0; level < SigmoidFocalLossInput::kMaxLevels; ++level) {
    const FocalLevelShape& sizes = shape.levels[level];
    if (sizes.elements > kLimit) {
      return Status::error(StatusCode::unsupported,
                           "sigmoid_focal_loss: logits of a level must have fewer than 2^31 "
                           "elements on a device, got %" PRId64,
                           sizes.elements);
    }
    const std::int64_t flat = flat_chunks(sizes);
    const std::int64_t head =
        layout == FocalLayout::head ? head_chunks(sizes, plan->class_tiles, type) : 0;
    plan->first_chunk[level + 1] = plan->first_chunk[level] + (by_tile ? head : flat);
    most_chunks += std::max(flat, head);
  }
  if (most_chunks > kLimit) {
    return Status::error(StatusCode::unsupported,
                         "sigmoid_focal_loss: logits must have fewer than 2^31 tiles of %d classes "
                         "and %d positions on a device, got %" PRId64,
                         static_cast<int>(focal_head_classes(type)),
                         static_cast<int>(focal_head_positions(type)), most_chunks);
  }
  plan->reduction = plan_reduction(most_chunks);
  return Status();
}

Status make_softmax_plan(const char* operation, const SoftmaxShape& shape, DataType type, bool hard,
                         SoftmaxPlan* plan) noexcept {
  // Dynamic shared memory that every device has, less what the reduction takes.
  constexpr std::int64_t kTileBytes = 48 * 1024 - 64;
  constexpr int kWarp = 32;
  constexpr int kMostPerLane = 33;  // of a row's classes, in registers
  constexpr int kPerLaneStep = 3;
  if (shape.rows > kLimit || shape.classes > kLimit) {
    return Status::error(StatusCode::unsupported,
                         "%s: logits must have fewer than 2^31 rows and columns on a device, got "
                         "[%" PRId64 ", %" PRId64 "]",
                         operation, shape.rows, shape.classes);
  }
  *plan = SoftmaxPlan();
  plan->shape = shape;
  // As few lanes as can hold the row in registers; with loops, eight to sixteen classes a lane.
  const int most_per_lane = hard ? kMostPerLane : 15;
  int row_lanes = 1;
  while (row_lanes < kWarp && most_per_lane * row_lanes < shape.classes) {
    row_lanes *= 2;
    ++plan->row_lane_bits;
  }
  const std::int64_t per_lane = ceil_divide(shape.classes, row_lanes);
  if (hard && per_lane <= kMostPerLane) {
    plan->classes_per_lane = static_cast<int>(ceil_divide(per_lane, kPerLaneStep)) * kPerLaneStep;
  }
  plan->tile_rows = kFocalBlockThreads / row_lanes;
  plan->tiles = ceil_divide(shape.rows, plan->tile_rows);
  plan->tile_bytes = plan->tile_rows * shape.classes * size_of(type);
  plan->staged = hard ? plan->classes_per_lane > 0 : plan->tile_bytes <= kTileBytes;
  // Shares of a power of two in size would all begin in the same bank; with 8 classes or more a
  // share neither spans a gap nor does a row end within a vector.
  plan->padded = plan->classes_per_lane > 0 && shape.classes >= 8 &&
                 (shape.classes & (shape.classes - 1)) == 0;
  if (plan->padded) plan->tile_bytes += plan->tile_bytes / 8;
  plan->reduction = plan_reduction(plan->tiles * (kFocalBlockThreads / kWarp));
  return Status();
}

Status sigmoid_focal_loss_workspace_size(const SigmoidFocalLossOptions& options,
                                         const SigmoidFocalLossInput& input,
                                         std::size_t* bytes) noexcept {
  SigmoidFocalShape shape;
  SigmoidFocalPlan plan;
  CUDET_RETURN_IF_ERROR(check_bytes("sigmoid_focal_loss", bytes));
  CUDET_RETURN_IF_ERROR(check_sigmoid_input(options, input, false, &shape));
  CUDET_RETURN_IF_ERROR(
      make_sigmoid_plan(shape, input.logits[0].type(), options.layout, false, &plan));
  *bytes = plan.reduction.workspace_bytes;
  return Status();
}

Status sigmoid_focal_loss(const SigmoidFocalLossOptions& options,
                          const SigmoidFocalLossInput& input, const SigmoidFocalLossOutput& output,
                          const Execution& execution) noexcept try {
  constexpr const char* kOperation = "sigmoid_focal_loss";
  SigmoidFocalShape shape;
  SigmoidFocalPlan plan;
  CUDET_RETURN_IF_ERROR(check_sigmoid_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_sigmoid_output(options, input, output));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return cpu::sigmoid_focal_loss(shape, options, input, output,
                                   cpu::thread_count(execution.threads()));
  }
  CUDET_RETURN_IF_ERROR(make_sigmoid_plan(shape, input.logits[0].type(), options.layout,
                                          is_plain(options, input, output, shape), &plan));
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.reduction.workspace_bytes));
  return device::sigmoid_focal_loss(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory("sigmoid_focal_loss");
}

Status softmax_focal_loss_workspace_size(const SoftmaxFocalLossOptions& options,
                                         const SoftmaxFocalLossInput& input,
                                         std::size_t* bytes) noexcept {
  constexpr const char* kOperation = "softmax_focal_loss";
  SoftmaxShape shape;
  SoftmaxPlan plan;
  CUDET_RETURN_IF_ERROR(check_bytes(kOperation, bytes));
  CUDET_RETURN_IF_ERROR(check_softmax_input(options, input, false, &shape));
  CUDET_RETURN_IF_ERROR(make_softmax_plan(kOperation, shape, input.logits.type(),
                                          options.label_smoothing == 0.0f, &plan));
  *bytes = plan.reduction.workspace_bytes;
  return Status();
}

Status softmax_focal_loss(const SoftmaxFocalLossOptions& options,
                          const SoftmaxFocalLossInput& input, const SoftmaxFocalLossOutput& output,
                          const Execution& execution) noexcept try {
  constexpr const char* kOperation = "softmax_focal_loss";
  SoftmaxShape shape;
  SoftmaxPlan plan;
  CUDET_RETURN_IF_ERROR(check_softmax_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_softmax_output(options, input, output));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return cpu::softmax_focal_loss(options, input, output, cpu::thread_count(execution.threads()));
  }
  CUDET_RETURN_IF_ERROR(make_softmax_plan(kOperation, shape, input.logits.type(),
                                          options.label_smoothing == 0.0f, &plan));
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.reduction.workspace_bytes));
  return device::softmax_focal_loss(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory("softmax_focal_loss");
}

Status distribution_focal_loss_workspace_size(const DistributionFocalLossOptions& options,
                                              const DistributionFocalLossInput& input,
                                              std::size_t* bytes) noexcept {
  constexpr const char* kOperation = "distribution_focal_loss";
  SoftmaxShape shape;
  SoftmaxPlan plan;
  CUDET_RETURN_IF_ERROR(check_bytes(kOperation, bytes));
  CUDET_RETURN_IF_ERROR(check_distribution_input(options, input, false, &shape));
  CUDET_RETURN_IF_ERROR(make_softmax_plan(kOperation, shape, input.logits.type(), false, &plan));
  *bytes = plan.reduction.workspace_bytes;
  return Status();
}

Status distribution_focal_loss(const DistributionFocalLossOptions& options,
                               const DistributionFocalLossInput& input,
                               const DistributionFocalLossOutput& output,
                               const Execution& execution) noexcept try {
  constexpr const char* kOperation = "distribution_focal_loss";
  SoftmaxShape shape;
  SoftmaxPlan plan;
  CUDET_RETURN_IF_ERROR(check_distribution_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_distribution_output(options, input, output));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return cpu::distribution_focal_loss(options, input, output,
                                        cpu::thread_count(execution.threads()));
  }
  CUDET_RETURN_IF_ERROR(make_softmax_plan(kOperation, shape, input.logits.type(), false, &plan));
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.reduction.workspace_bytes));
  return device::distribution_focal_loss(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory("distribution_focal_loss");
}

}  // namespace cudet
