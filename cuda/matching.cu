// Matching: launches.
#include "matching.h"

#include "box_array.h"
#include "launch.h"
#include "matching_finish_kernel.cuh"
#include "matching_kernel.cuh"

#include "../src/check.h"
#include "../src/workspace_layout.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace cudet::device {
namespace {

constexpr const char* kOperation = "match_boxes";

MatchParameters make_parameters(const MatchPlan& plan, const MatchOptions& options,
                                const MatchInput& input, const MatchOutput& output) {
  MatchParameters parameters = {};
  parameters.anchor_boxes = make_box_array(input.anchors, options.format, options.legacy_offset);
  parameters.boxes = make_box_array(input.boxes, options.format, options.legacy_offset);
  parameters.offsets = make_integer_array(input.offsets);
  parameters.labels = make_integer_array(input.labels);
  parameters.matches = make_integer_array(output.matches);
  parameters.match_labels = make_integer_array(output.match_labels);
  parameters.ious = output.ious.data_as<float>();
  parameters.codes = output.codes.data();
  parameters.code_type = output.codes.type();
  parameters.best_anchors = make_integer_array(output.best_anchors);
  parameters.best_anchor_ious = output.best_anchor_ious.data_as<float>();
  parameters.batch = static_cast<int>(plan.batch);
  parameters.anchors = static_cast<int>(plan.anchors);
  parameters.box_count = static_cast<int>(plan.boxes);
  parameters.anchors_by_image = plan.anchors_by_image;
  parameters.later_wins = options.ties == MatchTies::later_index;
  parameters.force_best_anchor = options.forced == ForcedMatches::best_anchor;
  parameters.low_threshold = options.low_threshold;
  parameters.high_threshold = options.high_threshold;
  std::copy(std::begin(options.code_weights), std::end(options.code_weights),
            std::begin(parameters.code_weights));
  parameters.no_match_label = options.no_match_label;
  parameters.between_thresholds_label = options.between_thresholds_label;
  return parameters;
}

/// Blocks an image of match_finish_kernel().
unsigned finish_blocks(const MatchPlan& plan, const MatchOptions& options) {
  if (options.forced == ForcedMatches::best_anchor) return 1;
  if (options.forced == ForcedMatches::low_quality && plan.anchors > 0) {
    return static_cast<unsigned>(plan.blocks);
  }
  // A warp a box, if images have equally many.
  const std::int64_t boxes = plan.boxes / std::max<std::int64_t>(plan.batch, 1);
  return static_cast<unsigned>(std::min<std::int64_t>(boxes / kMatchWarps + 1, 1024));
}

Status clear_best(const MatchParameters& parameters, cudaStream_t stream) {
  const auto bytes = static_cast<std::size_t>(parameters.box_count) * sizeof(unsigned long long);
  const cudaError_t error = cudaMemsetAsync(parameters.best, 0, bytes, stream);
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();
  return cuda_failure(kOperation, "clearing the best of the boxes", error);
}

}  // namespace

Status match_boxes(const MatchPlan& plan, const MatchOptions& options, const MatchInput& input,
                   const MatchOutput& output, const Execution& execution) noexcept {
  MatchParameters parameters = make_parameters(plan, options, input, output);
  const bool looks_at_boxes = plan.looks_at_boxes && plan.boxes > 0;
  if (looks_at_boxes) {
    char* workspace = WorkspaceLayout::align(execution.workspace());
    parameters.best = reinterpret_cast<unsigned long long*>(workspace + plan.best);
    if (options.forced == ForcedMatches::low_quality && plan.anchors > 0) {
      parameters.block_best = reinterpret_cast<float*>(workspace + plan.block_best);
    }
    CUDET_RETURN_IF_ERROR(clear_best(parameters, execution.stream()));
  }
  const auto images = static_cast<unsigned>(plan.batch);
  const auto blocks = static_cast<unsigned>(plan.blocks);
  LaunchConfig config = {};
  config.block = dim3(kMatchThreads);
  if (blocks > 0 && images > 0) {
    config.grid = dim3(blocks, images);
    CUDET_RETURN_IF_ERROR(launch(kOperation, "launching match_kernel",
                                 looks_at_boxes ? match_kernel<true> : match_kernel<false>, config,
                                 execution.stream(), parameters));
  }
  if (!looks_at_boxes) return Status();
  config.grid = dim3(finish_blocks(plan, options), std::max(images, 1u));
  return launch(kOperation, "launching match_finish_kernel", match_finish_kernel, config,
                execution.stream(), parameters);
}

}  // namespace cudet::device
