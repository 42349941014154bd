// Which kernel computes a depthwise convolution, and how its work is cut into threads and blocks.
#include "depthwise_conv_plan.h"

#include "check.h"
#include "workspace_layout.h"

#include <algorithm>
#include <cinttypes>

namespace cudet {
namespace {

constexpr const char* kOperation = "depthwise_conv";

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

constexpr std::int64_t kWarp = 32;
constexpr std::int64_t kThreads = 128;     // of a block
constexpr std::int64_t kColumns = 4;       // of y, of a thread
constexpr std::int64_t kLaneChannels = 4;  // nhwc, of a thread
constexpr std::int64_t kFewestRows = 4;    // of y, of a thread

/// Threads that fill a large device where each has one load under way at a time.
constexpr std::int64_t kEnoughThreads = 1 << 16;

/// The same where each has several.
constexpr std::int64_t kEnoughBusyThreads = kEnoughThreads / 2;

Status set_blocks(std::int64_t blocks_per_image, DepthwiseConvPlan* plan) {
  std::int64_t blocks = 0;
  if (__builtin_mul_overflow(blocks_per_image, plan->shape.n, &blocks) || blocks > INT32_MAX) {
    return Status::error(StatusCode::unsupported,
                         "%s: y must have fewer than 2^31 blocks on a device, got %" PRId64
                         " images of %" PRId64,
                         kOperation, plan->shape.n, blocks_per_image);
  }
  plan->blocks_per_image = static_cast<unsigned>(blocks_per_image);
  plan->blocks = static_cast<unsigned>(blocks);
  return Status();
}

/// Cuts an image into items of `strip_rows` rows and one of `column_groups` parts of a row, of one
/// of `channel_groups` groups of channels.
Status cut(std::int64_t strip_rows, std::int64_t column_groups, std::int64_t channel_groups,
           DepthwiseConvPlan* plan) {
  const std::int64_t strips = ceil_divide(plan->shape.oh, strip_rows);
  const std::int64_t items = strips * column_groups * channel_groups;
  plan->strip_rows = static_cast<int>(strip_rows);
  plan->strips = static_cast<int>(strips);
  plan->column_groups = static_cast<int>(column_groups);
  plan->items = static_cast<unsigned>(items);
  plan->pool_pieces = static_cast<unsigned>(strips * column_groups);
  return set_blocks(ceil_divide(items, kThreads), plan);
}

/// Kernels store at most one sum for four elements one above the other, or for two by four.
std::size_t pool_workspace(const DepthwiseConvShape& shape) {
  WorkspaceLayout layout;
  layout.add(shape.n * shape.out_channels(),
             static_cast<std::size_t>(ceil_divide(shape.oh, kFewestRows) * (shape.ow + 1)) *
                 sizeof(float));
  return layout.total();
}

/// One of the sizes for which kernels are specialised.
bool is_common(const DepthwiseConvShape& shape) {
  const int kernel = shape.kernel_h;
  return kernel == shape.kernel_w && (kernel == 3 || kernel == 5 || kernel == 7) &&
         shape.stride_h == shape.stride_w && shape.stride_h <= 2 && shape.dilation_h == 1 &&
         shape.dilation_w == 1;
}

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return ceil_divide(value, step) * step;
}

/// By so many columns the kernels whose lanes share a row shift y to the right.
std::int64_t column_shift(const DepthwiseConvShape& shape) {
  return (depthwise_rows_left(shape) - shape.pad_left) / shape.stride_w;
}

/// Threads of a narrow plane's row, so many that every column of x belongs to one.
std::int64_t plane_lanes(const DepthwiseConvShape& shape) {
  return std::max(ceil_divide(shape.ow + column_shift(shape), kColumns),
                  ceil_divide(shape.w, kColumns * shape.stride_w));
}

bool takes(DepthwiseConvKernel kernel, const DepthwiseConvShape& shape) {
  const bool has_narrow_padding = shape.pad_left <= (shape.kernel_w - 1) / 2;
  switch (kernel) {
    case DepthwiseConvKernel::rows:
      return shape.layout == ImageLayout::nchw && is_common(shape) && has_narrow_padding;
    case DepthwiseConvKernel::channels:
      return shape.layout == ImageLayout::nhwc && is_common(shape) && shape.multiplier == 1 &&
             shape.c % kLaneChannels == 0;
    case DepthwiseConvKernel::planes:
      return shape.layout == ImageLayout::nchw && is_common(shape) && has_narrow_padding &&
             plane_lanes(shape) <= kWarp;
    case DepthwiseConvKernel::tiles:
      return shape.layout == ImageLayout::nchw && shape.stride_h == shape.stride_w &&
             shape.stride_h <= 2 && shape.dilation_h == 1 && shape.dilation_w == 1;
    default:
      return kernel == DepthwiseConvKernel::generic;
  }
}

DepthwiseConvKernel choose(const DepthwiseConvShape& shape) {
  constexpr std::int64_t kTile = 16;
  const auto is_taken = [&shape](DepthwiseConvKernel kernel) { return takes(kernel, shape); };
  if (is_taken(DepthwiseConvKernel::channels)) return DepthwiseConvKernel::channels;
  const bool vector_rows = shape.w >= kTile && shape.w % kColumns == 0;
  if (!vector_rows && is_taken(DepthwiseConvKernel::planes)) {
    constexpr std::int64_t kBusyLanes = 20;
    const std::int64_t lanes = plane_lanes(shape);
    if (kWarp / lanes * lanes >= kBusyLanes) return DepthwiseConvKernel::planes;
  }
  if (is_taken(DepthwiseConvKernel::rows)) return DepthwiseConvKernel::rows;
  // Tiles of smaller planes are mostly empty, and small kernels are not worth one.
  const bool is_large =
      shape.kernel_h * shape.kernel_w > 9 && shape.oh >= kTile && shape.ow >= kTile;
  if (is_large && is_taken(DepthwiseConvKernel::tiles)) return DepthwiseConvKernel::tiles;
  return DepthwiseConvKernel::generic;
}

/// How many rows of y a thread goes down where `columns` threads stand side by side in all images.
/// A strip of R rows costs R + K / stride - 1 steps: strips are long, unless there are too few
/// threads, below `enough_threads`, for all multiprocessors of a large device.
std::int64_t rows_of_strip(const DepthwiseConvShape& shape, std::int64_t columns,
                           std::int64_t enough_threads) {
  const std::int64_t long_strip = 8 * (shape.kernel_h - 1) / shape.stride_h;
  const std::int64_t few = std::max<std::int64_t>(shape.oh / long_strip, 1);
  const std::int64_t many = std::max<std::int64_t>(
      std::min(ceil_divide(enough_threads, columns), shape.oh / kFewestRows), 1);
  const std::int64_t rows = ceil_divide(shape.oh, std::max(few, many));
  return std::max(rows, std::min(kFewestRows, shape.oh));
}

Status cut_rows(DepthwiseConvPlan* plan) {
  const DepthwiseConvShape& shape = plan->shape;
  const std::int64_t shift = column_shift(shape);
  plan->column_shift = static_cast<int>(shift);
  const std::int64_t groups = ceil_divide(shape.ow + shift, kColumns);
  const std::int64_t planes = shape.n * shape.out_channels();
  return cut(rows_of_strip(shape, planes * groups, kEnoughThreads), groups, shape.out_channels(),
             plan);
}

Status cut_planes(DepthwiseConvPlan* plan) {
  const DepthwiseConvShape& shape = plan->shape;
  const std::int64_t planes = shape.n * shape.out_channels();
  const std::int64_t lanes = plane_lanes(shape);
  const std::int64_t shift = column_shift(shape);
  const std::int64_t groups = ceil_divide(shape.ow + shift, kColumns);
  CUDET_RETURN_IF_ERROR(
      cut(rows_of_strip(shape, planes * lanes, kEnoughBusyThreads), groups, 1, plan));
  plan->column_shift = static_cast<int>(shift);
  plan->plane_lanes = static_cast<int>(lanes);
  // Blocks do not end where an image does.
  const std::int64_t warps = ceil_divide(planes, kWarp / lanes) * plan->strips;
  if (warps > UINT32_MAX) {
    return Status::error(StatusCode::unsupported,
                         "%s: y must have fewer than 2^32 warps on a device, got %" PRId64
                         " planes in %d strips",
                         kOperation, planes, plan->strips);
  }
  plan->blocks = static_cast<unsigned>(ceil_divide(warps, kThreads / kWarp));
  return Status();
}

Status cut_tiles(DepthwiseConvPlan* plan) {
  constexpr std::int64_t kTile = 32;
  constexpr std::int64_t kRows = 2;  // of y, of a thread
  const DepthwiseConvShape& shape = plan->shape;
  const std::int64_t reach = (kTile - 1) * shape.stride_w;
  plan->column_groups = static_cast<int>(ceil_divide(shape.ow, kColumns));
  plan->pool_pieces = static_cast<unsigned>(ceil_divide(shape.oh, kRows) * plan->column_groups);
  plan->tile_pitch = static_cast<int>(round_up(reach + shape.kernel_w + 3, kColumns));
  plan->shared_bytes =
      static_cast<std::size_t>((reach + shape.kernel_h) * plan->tile_pitch +
                               shape.kernel_h * round_up(shape.kernel_w, kColumns)) *
      sizeof(float);
  return set_blocks(
      shape.out_channels() * ceil_divide(shape.oh, kTile) * ceil_divide(shape.ow, kTile), plan);
}

Status cut_channels(DepthwiseConvPlan* plan) {
  const DepthwiseConvShape& shape = plan->shape;
  const std::int64_t groups = ceil_divide(shape.ow, kColumns);
  const std::int64_t channel_groups = shape.c / kLaneChannels;
  const std::int64_t rows =
      rows_of_strip(shape, shape.n * channel_groups * groups, kEnoughBusyThreads);
  plan->slices = cut_slices(channel_groups, kThreads);
  plan->block_threads = plan->slices.threads;
  plan->shared_bytes = static_cast<std::size_t>(shape.kernel_h * shape.kernel_w *
                                                plan->slices.lanes * kLaneChannels) *
                       sizeof(float);
  CUDET_RETURN_IF_ERROR(cut(rows, groups, 1, plan));
  return set_blocks(plan->slices.count * ceil_divide(plan->items, plan->slices.places), plan);
}

}  // namespace

int depthwise_rows_left(const DepthwiseConvShape& shape) noexcept {
  const int half = (shape.kernel_w - 1) / 2;
  return half - static_cast<int>((half - shape.pad_left) % shape.stride_w);
}

DepthwiseSlices cut_slices(std::int64_t lanes, std::int64_t most_threads) noexcept {
  const std::int64_t fewest = ceil_divide(lanes, kDepthwiseMaxSlice);
  DepthwiseSlices best;
  double best_use = 0.0;
  for (std::int64_t count = fewest; count <= std::min(2 * fewest, lanes); ++count) {
    const std::int64_t slice = ceil_divide(lanes, count);
    const std::int64_t most = most_threads / slice;
    for (std::int64_t places = most; 4 * places >= 3 * most; --places) {
      const std::int64_t threads = round_up(slice * places, kWarp);
      const double use = static_cast<double>(lanes * places) / static_cast<double>(count * threads);
      if (use <= best_use) continue;
      best_use = use;
      best = {static_cast<int>(slice), static_cast<int>(count), static_cast<int>(places),
              static_cast<int>(threads)};
    }
  }
  return best;
}

Status make_depthwise_conv_plan(const DepthwiseConvShape& shape, DepthwiseConvKernel forced,
                                bool pool, DepthwiseConvPlan* plan) noexcept {
  CUDET_RETURN_IF_ERROR(check_depthwise_conv_limits(kOperation, shape));
  *plan = DepthwiseConvPlan();
  plan->shape = shape;
  plan->kernel = forced == DepthwiseConvKernel::automatic ? choose(shape) : forced;
  if (!takes(plan->kernel, shape)) {
    return Status::error(StatusCode::unsupported, "%s: kernel %s does not take this call",
                         kOperation, to_string(forced));
  }
  if (shape.n == 0 || shape.out_channels() == 0) return Status();
  if (pool) plan->workspace_bytes = pool_workspace(shape);
  switch (plan->kernel) {
    case DepthwiseConvKernel::rows:
      return cut_rows(plan);
    case DepthwiseConvKernel::channels:
      return cut_channels(plan);
    case DepthwiseConvKernel::planes:
      return cut_planes(plan);
    case DepthwiseConvKernel::tiles:
      return cut_tiles(plan);
    default:
      return cut(kFewestRows, shape.ow, shape.out_channels(), plan);
  }
}

}  // namespace cudet
