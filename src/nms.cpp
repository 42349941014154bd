#include <cudet/nms.h>

#include "../cuda/nms.h"
#include "../cuda/sort.h"
#include "check.h"
#include "nms_plan.h"
#include "workspace_layout.h"

#include <algorithm>
#include <cinttypes>

namespace cudet {
namespace {

constexpr const char* kOperation = "nms";

Status check_options(const NmsOptions& options) {
  if (!(options.iou_threshold >= 0.0f && options.iou_threshold <= 1.0f)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: iou_threshold must be in [0, 1], got %g",
                         static_cast<double>(options.iou_threshold));
  }
  if (options.score_threshold != options.score_threshold) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: score_threshold must be a number, got nan");
  }
  if (options.max_outputs < NmsOptions::kNoLimit) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: max_outputs must be -1 (no limit) or more, got %" PRId64,
                         options.max_outputs);
  }
  if (!is_enumerator(options.format, 3)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: format must be xyxy, xywh or cxcywh, got %d",
                         static_cast<int>(options.format));
  }
  return Status();
}

int bits_for(std::int64_t count) {
  int bits = 0;
  while ((std::int64_t{1} << bits) < count)
    ++bits;
  return bits;
}

}  // namespace

Status check_nms_input(const NmsOptions& options, const NmsInput& input, bool with_data,
                       NmsShape* shape) noexcept {
  CUDET_RETURN_IF_ERROR(check_options(options));
  const auto check = with_data ? check_input : check_shape_and_type;
  CUDET_RETURN_IF_ERROR(
      check({kOperation, "boxes", {{"batch"}, {"n"}, {"4", 4}}, kRealTypes}, input.boxes));
  shape->batch = input.boxes.size(0);
  shape->n = input.boxes.size(1);
  shape->capacity = options.max_outputs == NmsOptions::kNoLimit ? shape->n : options.max_outputs;
  const Dimension batch = {"batch", shape->batch};
  const Dimension n = {"n", shape->n};
  CUDET_RETURN_IF_ERROR(check({kOperation, "scores", {batch, n}, kRealTypes}, input.scores));
  if (input.classes.present()) {
    CUDET_RETURN_IF_ERROR(check(
        {kOperation, "classes", {batch, n}, {DataType::int32, DataType::int64}}, input.classes));
  }
  if (input.counts.present()) {
    CUDET_RETURN_IF_ERROR(check({kOperation, "counts", {batch}, {DataType::int32}}, input.counts));
  }
  return Status();
}

Status check_nms_output(const NmsInput& input, const NmsOutput& output,
                        const NmsShape& shape) noexcept {
  const Dimension batch = {"batch", shape.batch};
  const Dimension slots = {"max_outputs", shape.capacity};
  const Dimension four = {"4", 4};
  if (output.count.present()) {
    CUDET_RETURN_IF_ERROR(
        check_output({kOperation, "output.count", {batch}, {DataType::int32}}, output.count));
  }
  if (output.indices.present()) {
    CUDET_RETURN_IF_ERROR(check_output(
        {kOperation, "output.indices", {batch, slots}, {DataType::int32, DataType::int64}},
        output.indices));
  }
  if (output.boxes.present()) {
    CUDET_RETURN_IF_ERROR(check_output(
        {kOperation, "output.boxes", {batch, slots, four}, {input.boxes.type()}}, output.boxes));
  }
  if (output.scores.present()) {
    CUDET_RETURN_IF_ERROR(check_output(
        {kOperation, "output.scores", {batch, slots}, {input.scores.type()}}, output.scores));
  }
  if (output.classes.present()) {
    if (!input.classes.present()) {
      return Status::error(
          StatusCode::invalid_argument,
          "nms: output.classes must be absent where input.classes is, got a tensor");
    }
    CUDET_RETURN_IF_ERROR(check_output(
        {kOperation, "output.classes", {batch, slots}, {input.classes.type()}}, output.classes));
  }
  return check_no_overlap(kOperation,
                          {{"boxes", &input.boxes},
                           {"scores", &input.scores},
                           {"classes", &input.classes},
                           {"counts", &input.counts}},
                          {{"output.count", &output.count},
                           {"output.indices", &output.indices},
                           {"output.boxes", &output.boxes},
                           {"output.scores", &output.scores},
                           {"output.classes", &output.classes}});
}

Status make_nms_plan(const NmsShape& shape, bool class_aware, NmsPlan* plan) noexcept {
  // The kernels number the boxes of a batch, and the output slots of an image, with 31 bits.
  constexpr std::int64_t kLimit = INT32_MAX;
  constexpr std::int64_t kLargestN = kLimit - kNmsTile;  // so that n rounds up to whole tiles
  if (shape.n > kLargestN) {
    return Status::error(StatusCode::unsupported,
                         "nms: n must be at most %" PRId64 " on a device, got %" PRId64, kLargestN,
                         shape.n);
  }
  if (shape.batch > kLimit || shape.batch * std::max<std::int64_t>(shape.n, 1) > kLimit) {
    return Status::error(StatusCode::unsupported,
                         "nms: batch * n must be below 2^31 on a device, got %" PRId64
                         " * %" PRId64,
                         shape.batch, shape.n);
  }
  if (shape.capacity > kLimit || shape.batch * std::max<std::int64_t>(shape.capacity, 1) > kLimit) {
    return Status::error(StatusCode::unsupported,
                         "nms: batch * max_outputs must be below 2^31 on a device, got %" PRId64
                         " * %" PRId64,
                         shape.batch, shape.capacity);
  }
  *plan = NmsPlan();
  plan->shape = shape;
  plan->one_block = shape.n <= kNmsBlockBoxes;
  if (plan->one_block) return Status();

  const std::int64_t total = shape.batch * shape.n;
  plan->sort_bits = 32 + bits_for(shape.batch);
  plan->panel_boxes = std::min(shape.n, kNmsPanelBoxes);
  plan->panels = (shape.n + kNmsPanelBoxes - 1) / kNmsPanelBoxes;
  plan->panel_tiles = triangle((plan->panel_boxes + kNmsTile - 1) / kNmsTile);
  plan->removed_words = (shape.n + 31) / 32;
  plan->sort_temporary_bytes = device::sort_workspace_size(total);

  WorkspaceLayout layout;
  for (std::size_t& keys : plan->keys)
    keys = layout.add(total, sizeof(std::uint64_t));
  for (std::size_t& order : plan->order)
    order = layout.add(total, sizeof(std::uint32_t));
  plan->sort_temporary =
      layout.add(static_cast<std::int64_t>(plan->sort_temporary_bytes), sizeof(char));
  plan->boxes = layout.add(total, 4 * sizeof(float));
  plan->classes = layout.add(class_aware ? total : 0, sizeof(std::int64_t));
  plan->removed = layout.add(shape.batch * plan->removed_words, sizeof(std::uint32_t));
  plan->mask = layout.add(shape.batch * plan->panel_tiles, kNmsTile * sizeof(std::uint64_t));
  plan->kept = layout.add(shape.batch * plan->panel_boxes, sizeof(std::uint32_t));
  plan->state = layout.add(shape.batch, sizeof(NmsImageState));
  plan->workspace_bytes = layout.total();
  return Status();
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
  CUDET_RETURN_IF_ERROR(make_nms_plan(shape, is_class_aware(options, input), &plan));
  *bytes = plan.workspace_bytes;
  return Status();
}

Status nms(const NmsOptions& options, const NmsInput& input, const NmsOutput& output,
           const Execution& execution) noexcept {
  NmsShape shape;
  NmsPlan plan;
  CUDET_RETURN_IF_ERROR(check_nms_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_nms_output(input, output, shape));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return reference::nms(options, input, output);
  }
  CUDET_RETURN_IF_ERROR(make_nms_plan(shape, is_class_aware(options, input), &plan));
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.workspace_bytes));
  if (shape.batch == 0) return Status();
  return device::nms(plan, options, input, output, execution);
}

}  // namespace cudet
