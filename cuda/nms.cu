#include "nms.h"

#include "launch.h"
#include "nms_block_kernel.cuh"
#include "nms_chain_kernel.cuh"
#include "nms_finish_kernels.cuh"
#include "nms_matrix_kernels.cuh"
#include "nms_panel_kernels.cuh"
#include "nms_rank_kernel.cuh"
#include "nms_select_kernels.cuh"
#include "nms_soft_kernel.cuh"
#include "nms_warp_kernel.cuh"
#include "sort.h"

#include "../src/check.h"
#include "../src/workspace_layout.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace cudet::device {
namespace {

constexpr const char* kOperation = "nms";

std::int64_t limit_or(std::int64_t limit, std::int64_t otherwise) {
  return limit == NmsOptions::kNoLimit ? otherwise : limit;
}

NmsTest choose_test(const NmsOptions& options, const NmsInput& input) {
  if (options.format == BoxFormat::rotated) return NmsTest::rotated;
  const bool fast_cannot_decide =
      decays_scores(options.method) || options.metric != OverlapMetric::iou ||
      input.iou_thresholds.present() || (options.suppress_equal && options.iou_threshold == 0.0f);
  return fast_cannot_decide ? NmsTest::general : NmsTest::fast;
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
  arguments.class_aware = shape.class_aware;
  arguments.dense = shape.dense;
  arguments.boxes_per_class = shape.boxes_per_class;
  arguments.class_box = shape.dense && options.score_layout == ScoreLayout::class_box;
  arguments.sigmoid = options.score_activation == ScoreActivation::sigmoid;
  arguments.reorder_corners = options.reorder_corners;
  arguments.angle_unit = options.angle_unit;
  arguments.angle_direction = options.angle_direction;
  arguments.box_numbers = static_cast<int>(numbers_of(options.format));
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
  arguments.method = options.method;
  arguments.sigma = options.sigma;
  arguments.decayed_score_threshold = options.decayed_score_threshold;
  arguments.out = make_slots(output);
  return arguments;
}

NmsWorkspace make_workspace(const NmsPlan& plan, const NmsArguments& arguments, char* base) {
  const auto at = [base](auto*& pointer, std::size_t offset, bool present) {
    using Pointer = std::remove_reference_t<decltype(pointer)>;
    if (present) pointer = reinterpret_cast<Pointer>(base + offset);
  };
  const bool chain = plan.path == NmsPath::chain;
  const bool panels = plan.path == NmsPath::panels;
  const bool matrix = plan.path == NmsPath::matrix;
  const bool ordered = plan.orders();
  const bool large_soft = plan.path == NmsPath::soft && plan.candidates > kNmsBlockBoxes;
  NmsWorkspace workspace = {};
  at(workspace.histogram, plan.histogram, plan.select);
  at(workspace.selection, plan.selection, plan.select);
  at(workspace.keys, plan.keys[0], !plan.has_all);
  at(workspace.order, plan.order[0], ordered);
  at(workspace.boxes, plan.boxes, ordered || large_soft);
  at(workspace.angles, plan.angles, plan.shape.rotated && (ordered || large_soft));
  at(workspace.classes, plan.classes, ordered || large_soft);
  at(workspace.state, plan.state, ordered);
  at(workspace.elements, plan.elements, matrix || large_soft);
  at(workspace.scores, plan.scores, matrix || large_soft);
  at(workspace.overlaps, plan.overlaps, matrix);
  at(workspace.suppressors, plan.suppressors, panels && plan.shape.method == NmsMethod::weighted);
  at(workspace.kept, plan.kept, chain || panels || large_soft);
  at(workspace.tile_words, plan.tile_words, chain);
  at(workspace.tickets, plan.tickets, chain);
  at(workspace.removed, plan.removed, panels);
  at(workspace.mask, plan.mask, panels);
  at(workspace.mask_rows, plan.mask_rows, panels);
  workspace.chain_tiles = plan.chain_tiles;
  workspace.removed_words = plan.removed_words;
  workspace.panel_boxes = plan.panel_boxes;
  workspace.panel_tiles = plan.panel_tiles;
  workspace.panel_tasks = plan.panel_tasks;
  workspace.task_tiles = plan.task_tiles;
  workspace.element_bits = plan.element_bits;
  workspace.score_shift = plan.score_shift;
  workspace.limit_classes = arguments.class_capacity < plan.candidates && plan.shape.class_aware;
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
    return launch(kOperation, action, kernel, {dim3(batch * blocks), dim3(threads), 0, true},
                  stream, arguments, workspace, more..., blocks);
  }

  Status prepare(const NmsWorkspace& workspace) const {
    std::int64_t items = std::max(plan.shape.elements, plan.removed_words);
    if (plan.select) items = std::max(items, kNmsDigits);
    if (workspace.state != nullptr) items = std::max(items, plan.shape.capacity);
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

  template <bool kClassAware, NmsTest kTest>
  Status by_warps() const {
    const unsigned blocks = blocks_for(plan.shape.batch, kNmsWarpImages);
    return launch(kOperation, "launching nms_warp_kernel", nms_warp_kernel<kClassAware, kTest>,
                  {dim3(blocks), dim3(kNmsWarpThreads), 0, true}, stream, arguments,
                  plan.shape.batch);
  }

  template <bool kClassAware, NmsTest kTest>
  Status in_one_block() const {
    unsigned threads = static_cast<unsigned>(kWarpSize);
    while (2 * threads < (plan.select ? plan.candidates : plan.shape.elements))
      threads *= 2;
    // Rotated boxes come here only where none of them takes part.
    constexpr NmsTest kOfBlock = kTest == NmsTest::rotated ? NmsTest::general : kTest;
    return launch(kOperation, "launching nms_block_kernel", nms_block_kernel<kClassAware, kOfBlock>,
                  {dim3(static_cast<unsigned>(plan.shape.batch)), dim3(threads), 0, true}, stream,
                  arguments);
  }

  SortBuffers sort_buffers(char* base) const {
    SortBuffers buffers = {};
    for (int i = 0; i < 2; ++i) {
      buffers.keys[i] = reinterpret_cast<std::uint64_t*>(base + plan.keys[i]);
      buffers.values[i] = reinterpret_cast<std::uint32_t*>(base + plan.order[i]);
    }
    return buffers;
  }

  Status sort(char* base, int bits, NmsWorkspace& workspace) const {
    const SortBuffers buffers = sort_buffers(base);
    int sorted = 0;
    CUDET_RETURN_IF_ERROR(sort_pairs(kOperation, buffers, plan.shape.batch * plan.candidates, bits,
                                     base + plan.sort_temporary, plan.sort_temporary_bytes, stream,
                                     &sorted));
    workspace.keys = buffers.keys[sorted];
    workspace.order = buffers.values[sorted];
    return Status();
  }

  /// A launch with one block an image.
  template <class Kernel>
  Status for_images(const char* action, Kernel kernel, unsigned threads,
                    const NmsWorkspace& workspace) const {
    return launch(kOperation, action, kernel,
                  {dim3(static_cast<unsigned>(plan.shape.batch)), dim3(threads), 0, true}, stream,
                  arguments, workspace);
  }

  template <bool kClassAware, NmsTest kTest>
  Status gather(const NmsWorkspace& workspace) const {
    return for_items("launching nms_gather_kernel", nms_gather_kernel<kClassAware, kTest>,
                     plan.candidates, kNmsThreads, kNmsThreads, workspace);
  }

  template <bool kClassAware, NmsTest kTest>
  Status rank(const NmsWorkspace& workspace) const {
    return for_items("launching nms_rank_kernel", nms_rank_kernel<kClassAware, kTest>,
                     plan.shape.elements, kNmsRankRows, kNmsThreads, workspace);
  }

  template <bool kClassAware, NmsTest kTest>
  Status by_matrix(char* base, NmsWorkspace workspace) const {
    const std::int64_t n = plan.candidates;
    CUDET_RETURN_IF_ERROR((gather<kClassAware, kTest>(workspace)));
    CUDET_RETURN_IF_ERROR(for_items("launching nms_largest_overlap_kernel",
                                    nms_largest_overlap_kernel<kTest>, n, kNmsThreads, kNmsThreads,
                                    workspace));
    const SortBuffers buffers = sort_buffers(base);
    CUDET_RETURN_IF_ERROR(for_items("launching nms_decay_kernel", nms_decay_kernel<kTest>, n,
                                    kNmsThreads, kNmsThreads, workspace, buffers.keys[0],
                                    buffers.values[0]));
    CUDET_RETURN_IF_ERROR(sort(base, plan.sort_bits - plan.score_shift, workspace));
    CUDET_RETURN_IF_ERROR(for_items("launching nms_count_decayed_kernel", nms_count_decayed_kernel,
                                    n, kNmsThreads, kNmsThreads, workspace));
    workspace.kept = workspace.order;  // sorted positions in the order of decayed scores
    return for_images("launching nms_limit_kernel", nms_limit_kernel, kNmsThreads, workspace);
  }

  /// Blocks that share the boxes kept in a panel: as many as make the grid large enough for any
  /// device, and at most one for each that a block stages at a time.
  unsigned suppress_parts(std::int64_t later_boxes) const {
    constexpr std::int64_t kEnoughBlocks = 528;  // 4 for each of 132 multiprocessors
    const std::int64_t blocks = plan.shape.batch * blocks_for(later_boxes, kNmsThreads);
    return static_cast<unsigned>(
        std::clamp<std::int64_t>(kEnoughBlocks / blocks, 1, kNmsPanelBoxes / kNmsThreads));
  }

  template <bool kClassAware, NmsTest kTest>
  Status in_a_chain(const NmsWorkspace& workspace) const {
    return for_items("launching nms_chain_kernel", nms_chain_kernel<kClassAware, kTest>,
                     plan.candidates, kNmsTile, kNmsChainThreads, workspace);
  }

  template <bool kClassAware, NmsTest kTest>
  Status in_panels(const NmsWorkspace& workspace) const {
    const std::int64_t n = plan.candidates;
    for (std::int64_t panel = 0; panel < plan.panels; ++panel) {
      const std::int64_t start = panel * plan.panel_boxes;
      const std::int64_t end = std::min(start + plan.panel_boxes, n);
      CUDET_RETURN_IF_ERROR(for_items("launching nms_panel_kernel",
                                      nms_panel_kernel<kClassAware, kTest>, plan.panel_tasks,
                                      kNmsPanelWarps, kNmsPanelThreads, workspace, start));
      if (end == n) return Status();
      const unsigned parts = suppress_parts(n - end);
      const std::int64_t blocks = std::int64_t{blocks_for(n - end, kNmsThreads)} * parts;
      CUDET_RETURN_IF_ERROR(for_items("launching nms_suppress_kernel",
                                      nms_suppress_kernel<kClassAware, kTest>, blocks, 1,
                                      kNmsThreads, workspace, end, parts));
    }
    return Status();
  }

  /// Greedy suppression among candidates in sorted order, and what may have to follow it.
  template <bool kClassAware, NmsTest kTest>
  Status suppress(const NmsWorkspace& workspace) const {
    const std::int64_t n = plan.candidates;
    CUDET_RETURN_IF_ERROR((plan.path == NmsPath::chain ? in_a_chain<kClassAware, kTest>(workspace)
                                                       : in_panels<kClassAware, kTest>(workspace)));
    if (workspace.limit_classes) {
      CUDET_RETURN_IF_ERROR(
          for_images("launching nms_limit_kernel", nms_limit_kernel, kNmsThreads, workspace));
    }
    if (arguments.out.suppressed_by != nullptr || workspace.suppressors != nullptr) {
      CUDET_RETURN_IF_ERROR(for_items("launching nms_suppressor_kernel",
                                      nms_suppressor_kernel<kClassAware, kTest>, n, kNmsThreads,
                                      kNmsThreads, workspace));
    }
    if (workspace.suppressors == nullptr || arguments.out.boxes == nullptr) return Status();
    return for_items("launching nms_vote_kernel", nms_vote_kernel, std::min(n, arguments.capacity),
                     kNmsThreads, kNmsThreads, workspace);
  }
};

template <bool kClassAware, NmsTest kTest>
Status run(const NmsPlan& plan, NmsArguments arguments, const Execution& execution) {
  const Run calls = {plan, arguments, execution.stream()};
  if (plan.path == NmsPath::warp) return calls.by_warps<kClassAware, kTest>();
  if (plan.path == NmsPath::block && !plan.select) {
    return calls.in_one_block<kClassAware, kTest>();
  }
  char* const base = WorkspaceLayout::align(execution.workspace());
  NmsWorkspace workspace = make_workspace(plan, arguments, base);
  if (plan.ranks) {
    CUDET_RETURN_IF_ERROR((calls.rank<kClassAware, kTest>(workspace)));
    return calls.suppress<kClassAware, kTest>(workspace);
  }
  CUDET_RETURN_IF_ERROR(calls.prepare(workspace));
  if (plan.select) CUDET_RETURN_IF_ERROR(calls.select(workspace));
  if (plan.path == NmsPath::block) {
    arguments.selected_keys = workspace.keys;
    return calls.in_one_block<kClassAware, kTest>();
  }
  if (plan.path == NmsPath::soft) {
    if constexpr (kTest != NmsTest::fast) {
      return calls.for_images("launching nms_soft_kernel", nms_soft_kernel<kTest>, kNmsSoftThreads,
                              workspace);
    }
  }
  CUDET_RETURN_IF_ERROR(calls.sort(base, plan.sort_bits, workspace));
  if constexpr (kTest != NmsTest::fast) {
    if (plan.path == NmsPath::matrix) return calls.by_matrix<kClassAware, kTest>(base, workspace);
  }
  CUDET_RETURN_IF_ERROR((calls.gather<kClassAware, kTest>(workspace)));
  return calls.suppress<kClassAware, kTest>(workspace);
}

}  // namespace

Status nms(const NmsPlan& plan, const NmsOptions& options, const NmsInput& input,
           const NmsOutput& output, const Execution& execution) noexcept {
  const NmsArguments arguments = make_arguments(plan, options, input, output);
  const bool class_aware = plan.shape.class_aware;
  switch (choose_test(options, input)) {
    case NmsTest::fast:
      return class_aware ? run<true, NmsTest::fast>(plan, arguments, execution)
                         : run<false, NmsTest::fast>(plan, arguments, execution);
    case NmsTest::general:
      return class_aware ? run<true, NmsTest::general>(plan, arguments, execution)
                         : run<false, NmsTest::general>(plan, arguments, execution);
    default:
      return class_aware ? run<true, NmsTest::rotated>(plan, arguments, execution)
                         : run<false, NmsTest::rotated>(plan, arguments, execution);
  }
}

}  // namespace cudet::device
