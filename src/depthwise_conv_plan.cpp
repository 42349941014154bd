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

/// Cuts an image into items of `strip_rows` rows and one of `column_groups` parts of a row, of one
/// of `channel_groups` groups of channels, for blocks of `threads`.
Status cut(std::int64_t strip_rows, std::int64_t column_groups, std::int64_t channel_groups,
           std::int64_t threads, DepthwiseConvPlan* plan) {
  const std::int64_t strips = ceil_divide(plan->shape.oh, strip_rows);
  const std::int64_t items = strips * column_groups * channel_groups;
  const std::int64_t blocks_per_image = ceil_divide(items, threads);
  std::int64_t blocks = 0;
  if (__builtin_mul_overflow(blocks_per_image, plan->shape.n, &blocks) || blocks > INT32_MAX) {
    return Status::error(StatusCode::unsupported,
                         "%s: y must have fewer than 2^31 blocks on a device, got %" PRId64
                         " images of %" PRId64,
                         kOperation, plan->shape.n, blocks_per_image);
  }
  plan->strip_rows = static_cast<int>(strip_rows);
  plan->strips = static_cast<int>(strips);
  plan->column_groups = static_cast<int>(column_groups);
  plan->items = static_cast<unsigned>(items);
  plan->blocks_per_image = static_cast<unsigned>(blocks_per_image);
  plan->blocks = static_cast<unsigned>(blocks);
  plan->pool_pieces = static_cast<unsigned>(strips * column_groups);
  return Status();
}

/// All kernels' strips have four rows or more, and no more groups than columns and one.
std::size_t pool_workspace(const DepthwiseConvShape& shape) {
  constexpr std::int64_t kFewestRows = 4;
  WorkspaceLayout layout;
  layout.add(shape.n * shape.out_channels(),
             static_cast<std::size_t>(ceil_divide(shape.oh, kFewestRows) * (shape.ow + 1)) *
                 sizeof(float));
  return layout.total();
}

}  // namespace

Status make_depthwise_conv_plan(const DepthwiseConvShape& shape, DepthwiseConvKernel forced,
                                bool pool, DepthwiseConvPlan* plan) noexcept {
  CUDET_RETURN_IF_ERROR(check_depthwise_conv_limits(kOperation, shape));
  *plan = DepthwiseConvPlan();
  plan->shape = shape;
  if (forced != DepthwiseConvKernel::automatic && forced != DepthwiseConvKernel::generic) {
    return Status::error(StatusCode::unsupported, "%s: kernel %s does not take this call",
                         kOperation, to_string(forced));
  }
  if (shape.n == 0 || shape.out_channels() == 0) return Status();
  if (pool) plan->workspace_bytes = pool_workspace(shape);
  return cut(4, shape.ow, shape.out_channels(), 128, plan);
}

}  // namespace cudet
