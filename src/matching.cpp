// Host side of the matching: checks, plan, then the choice between the device and the CPU.
#include <cudet/matching.h>

#include "../cuda/matching.h"
#include "check.h"
#include "cpu/matching.h"
#include "cpu/parallel.h"
#include "host_memory.h"
#include "matching_plan.h"
#include "workspace_layout.h"

#include <cmath>

namespace cudet {
namespace {

constexpr const char* kOperation = "match_boxes";
constexpr auto kIntegers = {DataType::int32, DataType::int64};
constexpr auto kFloat = {DataType::float32};

Status check_options(const MatchOptions& options) {
  if (!(options.low_threshold >= 0.0f && std::isfinite(options.low_threshold))) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: low_threshold must be finite and 0 or more, got %g", kOperation,
                         static_cast<double>(options.low_threshold));
  }
  if (!(options.high_threshold >= options.low_threshold && std::isfinite(options.high_threshold))) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: high_threshold must be finite and not below low_threshold %g, got %g",
                         kOperation, static_cast<double>(options.low_threshold),
                         static_cast<double>(options.high_threshold));
  }
  if (!is_enumerator(options.forced, 3)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: forced must be none, low_quality or best_anchor, got %d", kOperation,
                         static_cast<int>(options.forced));
  }
  if (!is_enumerator(options.ties, 2)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: ties must be lower_index or later_index, got %d", kOperation,
                         static_cast<int>(options.ties));
  }
  if (!is_enumerator(options.format, 3)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: format must be xyxy, xywh or cxcywh, got %d", kOperation,
                         static_cast<int>(options.format));
  }
  for (const float weight : options.code_weights) {
    if (std::isfinite(weight)) continue;
    return Status::error(StatusCode::invalid_argument, "%s: code_weights must be finite, got %g",
                         kOperation, static_cast<double>(weight));
  }
  return Status();
}

/// An optional output of the given shape.
Status check_if_present(const TensorContract& contract, const Tensor& tensor) {
  return tensor.present() ? check_output(contract, tensor) : Status();
}

Status check_outputs(const MatchInput& input, const MatchOutput& output) {
  const std::int64_t batch = input.offsets.size(0) - 1;
  const std::int64_t a = input.anchors.size(input.anchors.rank() - 2);
  const std::int64_t g = input.boxes.size(0);
  if (!output.matches.present() && !output.ious.present() && !output.match_labels.present() &&
      !output.codes.present() && !output.best_anchors.present() &&
      !output.best_anchor_ious.present()) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: output must have at least one tensor, got none", kOperation);
  }
  CUDET_RETURN_IF_ERROR(check_if_present(
      {kOperation, "matches", {{"batch", batch}, {"a", a}}, kIntegers}, output.matches));
  CUDET_RETURN_IF_ERROR(
      check_if_present({kOperation, "ious", {{"batch", batch}, {"a", a}}, kFloat}, output.ious));
  CUDET_RETURN_IF_ERROR(check_if_present(
      {kOperation, "match_labels", {{"batch", batch}, {"a", a}}, kIntegers}, output.match_labels));
  CUDET_RETURN_IF_ERROR(check_if_present(
      {kOperation, "codes", {{"batch", batch}, {"a", a}, {"4", 4}}, kRealTypes}, output.codes));
  CUDET_RETURN_IF_ERROR(
      check_if_present({kOperation, "best_anchors", {{"g", g}}, kIntegers}, output.best_anchors));
  return check_if_present({kOperation, "best_anchor_ious", {{"g", g}}, kFloat},
                          output.best_anchor_ious);
}

}  // namespace

const char* to_string(ForcedMatches forced) noexcept {
  switch (forced) {
    case ForcedMatches::none:
      return "none";
    case ForcedMatches::low_quality:
      return "low_quality";
    case ForcedMatches::best_anchor:
      return "best_anchor";
  }
  return "unknown";
}

const char* to_string(MatchTies ties) noexcept {
  switch (ties) {
    case MatchTies::lower_index:
      return "lower_index";
    case MatchTies::later_index:
      return "later_index";
  }
  return "unknown";
}

Status check_match_boxes(const MatchOptions& options, const MatchInput& input,
                         const MatchOutput& output, bool with_data) noexcept {
  CUDET_RETURN_IF_ERROR(check_options(options));
  const auto check = with_data ? check_input : check_shape_and_type;
  const bool by_image = input.anchors.rank() == 3;
  CUDET_RETURN_IF_ERROR(
      by_image
          ? check({kOperation, "anchors", {{"batch"}, {"a"}, {"4", 4}}, kRealTypes}, input.anchors)
          : check({kOperation, "anchors", {{"a"}, {"4", 4}}, kRealTypes}, input.anchors));
  CUDET_RETURN_IF_ERROR(check({kOperation, "boxes", {{"g"}, {"4", 4}}, kRealTypes}, input.boxes));
  const std::int64_t offset_count = by_image ? input.anchors.size(0) + 1 : Dimension::kAny;
  CUDET_RETURN_IF_ERROR(
      check({kOperation, "offsets", {{"batch + 1", offset_count}}, kIntegers}, input.offsets));
  if (input.offsets.size(0) == 0) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: offsets must have at least one element, got none", kOperation);
  }
  if (!with_data) return Status();
  if (input.labels.present() || output.match_labels.present()) {
    CUDET_RETURN_IF_ERROR(
        check_input({kOperation, "labels", {{"g", input.boxes.size(0)}}, kIntegers}, input.labels));
  }
  CUDET_RETURN_IF_ERROR(check_outputs(input, output));
  return check_no_overlap(kOperation,
                          {{"anchors", &input.anchors},
                           {"boxes", &input.boxes},
                           {"offsets", &input.offsets},
                           {"labels", &input.labels}},
                          {{"matches", &output.matches},
                           {"ious", &output.ious},
                           {"match_labels", &output.match_labels},
                           {"codes", &output.codes},
                           {"best_anchors", &output.best_anchors},
                           {"best_anchor_ious", &output.best_anchor_ious}});
}

Status plan_match_boxes(const MatchOptions& options, const MatchInput& input,
                        const MatchOutput& output, MatchPlan* plan) noexcept {
  *plan = MatchPlan();
  plan->batch = input.offsets.size(0) - 1;
  plan->anchors_by_image = input.anchors.rank() == 3;
  plan->anchors = input.anchors.size(input.anchors.rank() - 2);
  plan->boxes = input.boxes.size(0);
  plan->blocks = plan->anchors / kMatchBlockAnchors + (plan->anchors % kMatchBlockAnchors != 0);
  plan->looks_at_boxes = options.forced != ForcedMatches::none || output.best_anchors.present() ||
                         output.best_anchor_ious.present();
  if (!plan->looks_at_boxes) return Status();
  WorkspaceLayout layout;
  plan->best = layout.add(plan->boxes, sizeof(std::uint64_t));
  if (options.forced == ForcedMatches::low_quality) {
    std::int64_t count = 0;
    if (__builtin_mul_overflow(plan->blocks, plan->boxes, &count)) count = -1;
    plan->block_best = layout.add(count, sizeof(std::uint32_t));
    if (__builtin_mul_overflow(plan->batch, plan->anchors, &count)) count = -1;
    plan->notes = layout.add(count, sizeof(std::int32_t));
  }
  if (!layout.ok()) {
    return Status::error(StatusCode::unsupported,
                         "%s: anchors and boxes must need less than 2^63 bytes of workspace, got "
                         "%lld anchors and %lld boxes",
                         kOperation, static_cast<long long>(plan->anchors),
                         static_cast<long long>(plan->boxes));
  }
  plan->workspace_bytes = layout.total();
  return Status();
}

Status match_boxes_workspace_size(const MatchOptions& options, const MatchInput& input,
                                  const MatchOutput& output, std::size_t* bytes) noexcept {
  CUDET_RETURN_IF_ERROR(check_match_boxes(options, input, output, false));
  MatchPlan plan;
  CUDET_RETURN_IF_ERROR(plan_match_boxes(options, input, output, &plan));
  if (bytes == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: bytes must not be null, got a null pointer", kOperation);
  }
  *bytes = plan.workspace_bytes;
  return Status();
}

Status match_boxes(const MatchOptions& options, const MatchInput& input, const MatchOutput& output,
                   const Execution& execution) noexcept try {
  CUDET_RETURN_IF_ERROR(check_match_boxes(options, input, output, true));
  MatchPlan plan;
  CUDET_RETURN_IF_ERROR(plan_match_boxes(options, input, output, &plan));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return cpu::match_boxes(plan, options, input, output, cpu::thread_count(execution.threads()));
  }
  constexpr std::int64_t kLimit = INT32_MAX;
  if (plan.anchors > kLimit || plan.boxes > kLimit || plan.batch > 65535) {
    return Status::error(StatusCode::unsupported,
                         "%s: anchors and boxes must be fewer than 2^31 and the batch below 65536 "
                         "for a device call, got %lld, %lld and %lld",
                         kOperation, static_cast<long long>(plan.anchors),
                         static_cast<long long>(plan.boxes), static_cast<long long>(plan.batch));
  }
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.workspace_bytes));
  return device::match_boxes(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory(kOperation);
}

}  // namespace cudet
