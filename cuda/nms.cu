#include "nms.h"

#include "launch.h"
#include "nms_block_kernel.cuh"
#include "nms_panel_kernels.cuh"
#include "sort.h"

#include "../src/check.h"
#include "../src/workspace_layout.h"

#include <algorithm>

namespace cudet::device {
namespace {

constexpr const char* kOperation = "nms";

NmsArguments make_arguments(const NmsPlan& plan, const NmsOptions& options, const NmsInput& input,
                            const NmsOutput& output) {
  NmsArguments arguments = {};
  arguments.boxes = make_box_array(input.boxes, options.format, options.legacy_offset);
  arguments.scores = input.scores.data();
  arguments.score_type = input.scores.type();
  arguments.classes = input.classes.data();
  arguments.classes_are_64_bit = input.classes.type() == DataType::int64;
  arguments.counts = input.counts.data_as<const std::int32_t>();
  arguments.n = plan.shape.n;
  arguments.capacity = plan.shape.capacity;
  arguments.iou_threshold = make_iou_threshold(options.iou_threshold);
  arguments.score_threshold = options.score_threshold;
  arguments.out.count = output.count.data_as<std::int32_t>();
  arguments.out.indices = output.indices.data();
  arguments.out.indices_are_64_bit = output.indices.type() == DataType::int64;
  arguments.out.boxes = output.boxes.data();
  arguments.out.scores = output.scores.data();
  arguments.out.classes = output.classes.data();
  return arguments;
}

NmsWorkspace make_workspace(const NmsPlan& plan, void* buffer) {
  char* const base = WorkspaceLayout::align(buffer);
  NmsWorkspace workspace = {};
  workspace.keys = reinterpret_cast<std::uint64_t*>(base + plan.keys[0]);
  workspace.order = reinterpret_cast<std::uint32_t*>(base + plan.order[0]);
  workspace.boxes = reinterpret_cast<float4*>(base + plan.boxes);
  workspace.classes = reinterpret_cast<std::int64_t*>(base + plan.classes);
  workspace.removed = reinterpret_cast<std::uint32_t*>(base + plan.removed);
  workspace.mask = reinterpret_cast<TileMask*>(base + plan.mask);
  workspace.kept = reinterpret_cast<std::uint32_t*>(base + plan.kept);
  workspace.state = reinterpret_cast<NmsImageState*>(base + plan.state);
  workspace.removed_words = plan.removed_words;
  workspace.panel_boxes = plan.panel_boxes;
  workspace.panel_tiles = plan.panel_tiles;
  return workspace;
}

unsigned blocks_for(std::int64_t items, std::int64_t items_per_block) {
  return static_cast<unsigned>((items + items_per_block - 1) / items_per_block);
}

template <bool kClassAware>
Status nms_in_one_block(const NmsPlan& plan, const NmsArguments& arguments, cudaStream_t stream) {
  unsigned threads = static_cast<unsigned>(kWarpSize);
  while (2 * threads < plan.shape.n)
    threads *= 2;
  return launch(kOperation, "launching nms_block_kernel", nms_block_kernel<kClassAware>,
                {dim3(static_cast<unsigned>(plan.shape.batch)), dim3(threads)}, stream, arguments);
}

template <bool kClassAware>
Status nms_in_panels(const NmsPlan& plan, const NmsArguments& arguments, void* buffer,
                     cudaStream_t stream) {
  const auto batch = static_cast<unsigned>(plan.shape.batch);
  const std::int64_t n = plan.shape.n;
  char* const base = WorkspaceLayout::align(buffer);
  NmsWorkspace workspace = make_workspace(plan, buffer);

  const unsigned prepare_blocks = blocks_for(std::max(n, plan.shape.capacity), kNmsThreads);
  CUDET_RETURN_IF_ERROR(launch(kOperation, "launching nms_prepare_kernel", nms_prepare_kernel,
                               {dim3(batch * prepare_blocks), dim3(kNmsThreads)}, stream, arguments,
                               workspace, prepare_blocks));

  SortBuffers buffers = {};
  for (int i = 0; i < 2; ++i) {
    buffers.keys[i] = reinterpret_cast<std::uint64_t*>(base + plan.keys[i]);
    buffers.values[i] = reinterpret_cast<std::uint32_t*>(base + plan.order[i]);
  }
  int sorted = 0;
  CUDET_RETURN_IF_ERROR(sort_pairs(kOperation, buffers, plan.shape.batch * n, plan.sort_bits,
                                   base + plan.sort_temporary, plan.sort_temporary_bytes, stream,
                                   &sorted));
  workspace.keys = buffers.keys[sorted];
  workspace.order = buffers.values[sorted];

  const unsigned gather_blocks = blocks_for(n, kNmsThreads);
  CUDET_RETURN_IF_ERROR(launch(kOperation, "launching nms_gather_kernel",
                               nms_gather_kernel<kClassAware>,
                               {dim3(batch * gather_blocks), dim3(kNmsThreads)}, stream, arguments,
                               workspace, gather_blocks));

  const unsigned panel_blocks = blocks_for(plan.panel_tiles, kNmsPanelWarps);
  for (std::int64_t panel = 0; panel < plan.panels; ++panel) {
    const std::int64_t start = panel * plan.panel_boxes;
    const std::int64_t end = std::min(start + plan.panel_boxes, n);
    CUDET_RETURN_IF_ERROR(launch(kOperation, "launching nms_panel_kernel",
                                 nms_panel_kernel<kClassAware>,
                                 {dim3(batch * panel_blocks), dim3(kNmsPanelThreads)}, stream,
                                 arguments, workspace, start, panel_blocks));
    if (end == n) break;
    const unsigned suppress_blocks = blocks_for(n - end, kNmsThreads);
    CUDET_RETURN_IF_ERROR(launch(kOperation, "launching nms_suppress_kernel",
                                 nms_suppress_kernel<kClassAware>,
                                 {dim3(batch * suppress_blocks), dim3(kNmsThreads)}, stream,
                                 arguments, workspace, end, suppress_blocks));
  }
  return Status();
}

template <bool kClassAware>
Status run(const NmsPlan& plan, const NmsArguments& arguments, const Execution& execution) {
  if (plan.one_block) return nms_in_one_block<kClassAware>(plan, arguments, execution.stream());
  return nms_in_panels<kClassAware>(plan, arguments, execution.workspace(), execution.stream());
}

}  // namespace

Status nms(const NmsPlan& plan, const NmsOptions& options, const NmsInput& input,
           const NmsOutput& output, const Execution& execution) noexcept {
  const NmsArguments arguments = make_arguments(plan, options, input, output);
  return is_class_aware(options, input) ? run<true>(plan, arguments, execution)
                                        : run<false>(plan, arguments, execution);
}

}  // namespace cudet::device
