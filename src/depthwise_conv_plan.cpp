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

constexpr std::int64_t kThreads = 128;     // of a block
constexpr std::int64_t kColumns = 4;       // of y, of a thread
constexpr std::int64_t kLaneChannels = 4;  // nhwc, of a thread
constexpr std::int64_t kFewestRows = 4;    // of y, of a thread

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

/// Bytes of shared memory of one plane of the kernel for small planes: x with its padding on the
/// left and right, the weight, and y.
std::int64_t plane_pitch(const DepthwiseConvShape& shape) {
  const std::int64_t last_window =
      (round_up(shape.ow, kColumns) - 1) * shape.stride_w + shape.kernel_w;
  return round_up(std::max(shape.w + shape.pad_left, last_window), kColumns);
}
std::int64_t plane_bytes(const DepthwiseConvShape& shape) {
  const std::int64_t weight = shape.kernel_h * round_up(shape.kernel_w, kColumns);
  return (shape.h * plane_pitch(shape) + weight + shape.oh * shape.ow) *
         static_cast<std::int64_t>(sizeof(float));
}

/// Planes of a block: a multiple of four, so that blocks start at whole vectors, enough for four
/// items a thread or half of the shared memory that every device has; 0 where not even four planes
/// fit into it.
std::int64_t planes_of_block(const DepthwiseConvShape& shape) {
  constexpr std::int64_t kSharedBytes = 48 * 1024;
  constexpr std::int64_t kStep = 4;
  if (shape.h * shape.w > kSharedBytes || shape.oh * shape.ow > kSharedBytes ||
      shape.w + shape.pad_left > kSharedBytes) {
    return 0;
  }
  const std::int64_t bytes = plane_bytes(shape);
  if (kStep * bytes > kSharedBytes) return 0;
  const std::int64_t items = shape.oh * ceil_divide(shape.ow, kColumns);
  const std::int64_t wanted = round_up(ceil_divide(4 * kThreads, items), kStep);
  const std::int64_t fitting = std::max(kSharedBytes / 2 / bytes / kStep, std::int64_t{1}) * kStep;
  return std::min(wanted, fitting);
}

bool takes(DepthwiseConvKernel kernel, const DepthwiseConvShape& shape) {
  switch (kernel) {
    case DepthwiseConvKernel::rows:
      return shape.layout == ImageLayout::nchw && is_common(shape) &&
             shape.pad_left <= (shape.kernel_w - 1) / 2;
    case DepthwiseConvKernel::channels:
      return shape.layout == ImageLayout::nhwc && is_common(shape) && shape.multiplier == 1 &&
             shape.c % kLaneChannels == 0;
    case DepthwiseConvKernel::planes:
      return shape.layout == ImageLayout::nchw && is_common(shape) && shape.multiplier == 1 &&
             planes_of_block(shape) > 0;
    case DepthwiseConvKernel::tiles:
      return shape.layout == ImageLayout::nchw && shape.stride_h == shape.stride_w &&
             shape.stride_h <= 2 && shape.dilation_h == 1 && shape.dilation_w == 1;
    default:
      return kernel == DepthwiseConvKernel::generic;
  }
}

DepthwiseConvKernel choose(const DepthwiseConvShape& shape) {
  constexpr std::int64_t kLongRow = 28;
  constexpr std::int64_t kTile = 16;
  const auto is_taken = [&shape](DepthwiseConvKernel kernel) { return takes(kernel, shape); };
  if (is_taken(DepthwiseConvKernel::channels)) return DepthwiseConvKernel::channels;
  const bool long_rows = shape.w >= kLongRow || (shape.w >= kTile && shape.w % kColumns == 0);
  if (!long_rows && is_taken(DepthwiseConvKernel::planes)) return DepthwiseConvKernel::planes;
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
  constexpr std::int64_t kEnoughThreads = 1 << 16;
  const DepthwiseConvShape& shape = plan->shape;
  const std::int64_t shift = (depthwise_rows_left(shape) - shape.pad_left) / shape.stride_w;
  plan->column_shift = static_cast<int>(shift);
  const std::int64_t groups = ceil_divide(shape.ow + shift, kColumns);
  const std::int64_t planes = shape.n * shape.out_channels();
  return cut(rows_of_strip(shape, planes * groups, kEnoughThreads), groups, shape.out_channels(),
             plan);
}

Status cut_planes(DepthwiseConvPlan* plan) {
  const DepthwiseConvShape& shape = plan->shape;
  const std::int64_t planes = planes_of_block(shape);
  plan->block_planes = static_cast<int>(planes);
  plan->tile_pitch = static_cast<int>(plane_pitch(shape));
  plan->column_groups = static_cast<int>(ceil_divide(shape.ow, kColumns));
  plan->pool_pieces = 1;
  plan->shared_bytes = static_cast<std::size_t>(planes * plane_bytes(shape));
  // Blocks do not end where an image does.
  plan->blocks = static_cast<unsigned>(ceil_divide(shape.n * shape.out_channels(), planes));
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

/// Sets how many groups of four channels a block has, side by side, and for how many items, so
/// that few lanes are idle: warps have 32, and the last slice may have fewer groups.
void set_slices(std::int64_t channel_groups, DepthwiseConvPlan* plan) {
  constexpr std::int64_t kWarp = 32;
  constexpr std::int64_t kMaxSlice = 32;
  const std::int64_t fewest = ceil_divide(channel_groups, kMaxSlice);
  double best = 0.0;
  for (std::int64_t slices = fewest; slices <= std::min(2 * fewest, channel_groups); ++slices) {
    const std::int64_t slice = ceil_divide(channel_groups, slices);
    for (std::int64_t places = kThreads / slice; places > kThreads / slice / 2; --places) {
      const std::int64_t lanes = round_up(slice * places, kWarp);
      const double useful =
          static_cast<double>(channel_groups * places) / static_cast<double>(slices * lanes);
      if (useful <= best) continue;
      best = useful;
      plan->channel_slice = static_cast<int>(slice);
      plan->channel_slices = static_cast<int>(slices);
      plan->channel_places = static_cast<int>(places);
      plan->block_threads = static_cast<int>(lanes);
    }
  }
}

Status cut_channels(DepthwiseConvPlan* plan) {
  // A thread has several loads under way at a time.
  constexpr std::int64_t kEnoughThreads = 1 << 15;
  const DepthwiseConvShape& shape = plan->shape;
  const std::int64_t groups = ceil_divide(shape.ow, kColumns);
  const std::int64_t channel_groups = shape.c / kLaneChannels;
  const std::int64_t rows = rows_of_strip(shape, shape.n * channel_groups * groups, kEnoughThreads);
  set_slices(channel_groups, plan);
  plan->shared_bytes = static_cast<std::size_t>(shape.kernel_h * shape.kernel_w *
                                                plan->channel_slice * kLaneChannels) *
                       sizeof(float);
  CUDET_RETURN_IF_ERROR(cut(rows, groups, 1, plan));
  return set_blocks(plan->channel_slices * ceil_divide(plan->items, plan->channel_places), plan);
}

}  // namespace

int depthwise_rows_left(const DepthwiseConvShape& shape) noexcept {
  const int half = (shape.kernel_w - 1) / 2;
  return half - static_cast<int>((half - shape.pad_left) % shape.stride_w);
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
