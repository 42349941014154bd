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
  parameters.low_threshold = options.low_threshold;
  parameters.high_threshold = options.high_threshold;
  std::copy(std::begin(options.code_weights), std::end(options.code_weights),
            std::begin(parameters.code_weights));
  parameters.no_match_label = options.no_match_label;
  parameters.between_thresholds_label = options.between_thresholds_label;
  return parameters;
}

/// The second kernel and its blocks.
Status launch_finish(const MatchPlan& plan, ForcedMatches forced, const MatchParameters& parameters,
                     cudaStream_t stream) {
  const std::int64_t images = std::max<std::int64_t>(plan.batch, 1);
  auto* kernel = match_force_kernel<ForcedMatches::low_quality>;
  const char* what = "launching match_force_kernel";
  std::int64_t blocks = std::max<std::int64_t>(plan.blocks, 1);
  if (forced == ForcedMatches::best_anchor) {
    kernel = match_force_kernel<ForcedMatches::best_anchor>;
  } else if (forced != ForcedMatches::low_quality) {
    kernel = match_finish_kernel;
    what = "launching match_finish_kernel";
    // A warp a box, if images have equally many.
    blocks = std::min<std::int64_t>(plan.boxes / images / kMatchWarps + 1, 1024);
  }
  LaunchConfig config = {};
  config.block = dim3(kMatchThreads);
  config.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(images));
  return launch(kOperation, what, kernel, config, stream, parameters);
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
      parameters.block_best = reinterpret_cast<unsigned*>(workspace + plan.block_best);
      parameters.notes_are_matches =
          output.matches.present() && output.matches.type() == DataType::int32;
      parameters.notes = parameters.notes_are_matches
                             ? output.matches.data_as<int>()
                             : reinterpret_cast<int*>(workspace + plan.notes);
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
  return launch_finish(plan, options.forced, parameters, execution.stream());
}

}  // namespace cudet::device
