#include "nms.h"

#include "launch.h"
#include "nms_block_kernel.cuh"
#include "nms_finish_kernels.cuh"
#include "nms_panel_kernels.cuh"
#include "nms_select_kernels.cuh"
#include "sort.h"

#include "../src/check.h"
#include "../src/workspace_layout.h"

#include <algorithm>
#include <cmath>

namespace cudet::device {
namespace {

constexpr const char* kOperation = "nms";

std::int64_t limit_or(std::int64_t limit, std::int64_t otherwise) {
  return limit == NmsOptions::kNoLimit ? otherwise : limit;
}

/// True where the fast test of nms_overlap.cuh cannot decide.
bool needs_general_test(const NmsOptions& options, const NmsInput& input) {
  return options.metric != OverlapMetric::iou || input.iou_thresholds.present() ||
         (options.suppress_equal && options.iou_threshold == 0.0f);
}

NmsSlots make_slots(const NmsOutput& output) {
  NmsSlots out = {};
  out.count = output.count.data_as<std::int32_t>();
  out.indices = output.indices.data();
  out.indices_are_64_bit = output.indices.type() == DataType::int64;
  out.boxes = output.boxes.data();
  out.scores = output.scores.data();
  out.classes = output.classes.data();
  out.classes_are_64_bit = output.classes.type() == DataType::int64;
  out.keep = output.keep.data_as<std::uint8_t>();
  out.suppressed_by = output.suppressed_by.data();
  out.suppressed_by_is_64_bit = output.suppressed_by.type() == DataType::int64;
  return out;
}

NmsArguments make_arguments(const NmsPlan& plan, const NmsOptions& options, const NmsInput& input,
                            const NmsOutput& output) {
  const NmsShape& shape = plan.shape;
  NmsArguments arguments = {};
  arguments.boxes = make_box_array(input.boxes, options.format, options.legacy_offset);
  arguments.scores = input.scores.data();
  arguments.score_type = input.scores.type();
  arguments.classes = input.classes.data();
  arguments.classes_are_64_bit = input.classes.type() == DataType::int64;
  arguments.counts = input.counts.data_as<const std::int32_t>();
  arguments.offsets = input.offsets.data();
  arguments.offsets_are_64_bit = input.offsets.type() == DataType::int64;
  arguments.dense = shape.dense;
  arguments.boxes_per_class = shape.boxes_per_class;
  arguments.class_box = shape.dense && options.score_layout == ScoreLayout::class_box;
  arguments.sigmoid = options.score_activation == ScoreActivation::sigmoid;
  arguments.reorder_corners = options.reorder_corners;
  arguments.total = shape.total;
  arguments.n = shape.n;
  arguments.class_count = shape.classes;
  arguments.elements = shape.elements;
  arguments.candidates = plan.candidates;
  arguments.capacity = shape.capacity;
  arguments.class_capacity = limit_or(options.max_outputs_per_class, plan.candidates);
  arguments.score_threshold = raw_score_threshold(options);
  const bool has_classes = shape.dense || input.classes.present();
  arguments.background_class = has_classes ? options.background_class : NmsOptions::kNoClass;
  // i / u >= t where i / u exceeds the float32 before t.
  const bool step_down = options.suppress_equal && options.iou_threshold > 0.0f;
  arguments.iou_threshold = make_iou_threshold(
      step_down ? std::nextafter(options.iou_threshold, 0.0f) : options.iou_threshold);
  arguments.metric = options.metric;
  arguments.threshold = options.iou_threshold;
  arguments.suppress_equal = options.suppress_equal;
  arguments.class_thresholds = input.iou_thresholds.data_as<const float>();
  if (input.iou_thresholds.present()) {
    arguments.class_threshold_count = input.iou_thresholds.size(0);
  }
  arguments.out = make_slots(output);
  return arguments;
}

NmsWorkspace make_workspace(const NmsPlan& plan, const NmsArguments& arguments, char* base) {
  NmsWorkspace workspace = {};
  if (plan.select) {
    workspace.histogram = reinterpret_cast<std::uint32_t*>(base + plan.histogram);
    workspace.selection = reinterpret_cast<NmsSelection*>(base + plan.selection);
  }
  workspace.keys = reinterpret_cast<std::uint64_t*>(base + plan.keys[0]);
  workspace.element_bits = plan.element_bits;
  workspace.score_shift = plan.score_shift;
  if (plan.one_block) return workspace;
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
  // Without classes, all boxes are of one.
  const bool limited = arguments.class_capacity < plan.candidates;
  workspace.limit_classes = limited && plan.shape.class_aware;
  workspace.stop = workspace.limit_classes ? plan.candidates
                                           : std::min(arguments.class_capacity, arguments.capacity);
  return workspace;
}

/// The launches of one call.
struct Run {
  const NmsPlan& plan;
  const NmsArguments& arguments;
  cudaStream_t stream;

  static unsigned blocks_for(std::int64_t items, std::int64_t items_per_block) {
    return static_cast<unsigned>(
        std::max<std::int64_t>((items + items_per_block - 1) / items_per_block, 1));
  }

  /// Launches a kernel of `threads` threads with blocks for so many items of each image.
  template <class Kernel, class... Arguments>
  Status for_items(const char* action, Kernel kernel, std::int64_t items,
                   std::int64_t items_per_block, unsigned threads, const NmsWorkspace& workspace,
                   Arguments... more) const {
    const unsigned blocks = blocks_for(items, items_per_block);
    const auto batch = static_cast<unsigned>(plan.shape.batch);
    return launch(kOperation, action, kernel, {dim3(batch * blocks), dim3(threads)}, stream,
                  arguments, workspace, more..., blocks);
  }

  Status prepare(const NmsWorkspace& workspace) const {
    std::int64_t items = std::max(plan.shape.elements, plan.removed_words);
    if (plan.select) items = std::max(items, kNmsDigits);
    if (!plan.one_block) items = std::max(items, plan.shape.capacity);
    return for_items("launching nms_prepare_kernel", nms_prepare_kernel, items, kNmsThreads,
                     kNmsThreads, workspace);
  }

  Status select(const NmsWorkspace& workspace) const {
    const int passes = (32 + plan.element_bits + kNmsDigitBits - 1) / kNmsDigitBits;
    for (int pass = passes - 1; pass >= 0; --pass) {
      CUDET_RETURN_IF_ERROR(for_items("launching nms_count_digit_kernel", nms_count_digit_kernel,
                                      plan.shape.elements, kNmsElementsPerBlock, kNmsThreads,
                                      workspace, pass * kNmsDigitBits, pass == passes - 1));
    }
    return for_items("launching nms_collect_kernel", nms_collect_kernel, plan.shape.elements,
                     kNmsElementsPerBlock, kNmsThreads, workspace);
  }

  template <bool kClassAware, bool kGeneral>
  Status in_one_block() const {
    unsigned threads = static_cast<unsigned>(kWarpSize);
    while (2 * threads < (plan.select ? plan.candidates : plan.shape.elements))
      threads *= 2;
    return launch(kOperation, "launching nms_block_kernel", nms_block_kernel<kClassAware, kGeneral>,
                  {dim3(static_cast<unsigned>(plan.shape.batch)), dim3(threads)}, stream,
                  arguments);
  }

  Status sort(char* base, NmsWorkspace& workspace) const {
    SortBuffers buffers = {};
    for (int i = 0; i < 2; ++i) {
      buffers.keys[i] = reinterpret_cast<std::uint64_t*>(base + plan.keys[i]);
      buffers.values[i] = reinterpret_cast<std::uint32_t*>(base + plan.order[i]);
    }
    int sorted = 0;
    CUDET_RETURN_IF_ERROR(sort_pairs(kOperation, buffers, plan.shape.batch * plan.candidates,
                                     plan.sort_bits, base + plan.sort_temporary,
                                     plan.sort_temporary_bytes, stream, &sorted));
    workspace.keys = buffers.keys[sorted];
    workspace.order = buffers.values[sorted];
    return Status();
  }

  template <bool kClassAware, bool kGeneral>
  Status in_panels(const NmsWorkspace& workspace) const {
    const std::int64_t n = plan.candidates;
    CUDET_RETURN_IF_ERROR(for_items("launching nms_gather_kernel",
                                    nms_gather_kernel<kClassAware, kGeneral>, n, kNmsThreads,
                                    kNmsThreads, workspace));
    for (std::int64_t panel = 0; panel < plan.panels; ++panel) {
      const std::int64_t start = panel * plan.panel_boxes;
      const std::int64_t end = std::min(start + plan.panel_boxes, n);
      CUDET_RETURN_IF_ERROR(for_items("launching nms_panel_kernel",
                                      nms_panel_kernel<kClassAware, kGeneral>, plan.panel_tiles,
                                      kNmsPanelWarps, kNmsPanelThreads, workspace, start));
      if (end == n) break;
      CUDET_RETURN_IF_ERROR(for_items("launching nms_suppress_kernel",
                                      nms_suppress_kernel<kClassAware, kGeneral>, n - end,
                                      kNmsThreads, kNmsThreads, workspace, end));
    }
    if (workspace.limit_classes) {
      CUDET_RETURN_IF_ERROR(
          launch(kOperation, "launching nms_limit_kernel", nms_limit_kernel,
                 {dim3(static_cast<unsigned>(plan.shape.batch)), dim3(kNmsThreads)}, stream,
                 arguments, workspace));
    }
    if (arguments.out.suppressed_by == nullptr) return Status();
    return for_items("launching nms_suppressor_kernel",
                     nms_suppressor_kernel<kClassAware, kGeneral>, n, kNmsThreads, kNmsThreads,
                     workspace);
  }
};

template <bool kClassAware, bool kGeneral>
Status run(const NmsPlan& plan, NmsArguments arguments, const Execution& execution) {
  const Run calls = {plan, arguments, execution.stream()};
  if (plan.one_block && !plan.select) return calls.in_one_block<kClassAware, kGeneral>();
  char* const base = WorkspaceLayout::align(execution.workspace());
  NmsWorkspace workspace = make_workspace(plan, arguments, base);
  CUDET_RETURN_IF_ERROR(calls.prepare(workspace));
  if (plan.select) CUDET_RETURN_IF_ERROR(calls.select(workspace));
  if (plan.one_block) {
    arguments.selected_keys = workspace.keys;
    return calls.in_one_block<kClassAware, kGeneral>();
  }
  CUDET_RETURN_IF_ERROR(calls.sort(base, workspace));
  return calls.in_panels<kClassAware, kGeneral>(workspace);
}

}  // namespace

Status nms(const NmsPlan& plan, const NmsOptions& options, const NmsInput& input,
           const NmsOutput& output, const Execution& execution) noexcept {
  const NmsArguments arguments = make_arguments(plan, options, input, output);
  const bool general = needs_general_test(options, input);
  if (plan.shape.class_aware) {
    return general ? run<true, true>(plan, arguments, execution)
                   : run<true, false>(plan, arguments, execution);
  }
  return general ? run<false, true>(plan, arguments, execution)
                 : run<false, false>(plan, arguments, execution);
}

}  // namespace cudet::device
