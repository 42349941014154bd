// Which kernels compute the gradients of a depthwise convolution, on which threads.
#include "depthwise_conv_backward_plan.h"

#include "check.h"
#include "workspace_layout.h"

#include <algorithm>
#include <cinttypes>

namespace cudet {
namespace {

constexpr const char* kOperation = "depthwise_conv_backward";

/// Threads that fill a large device; more of them are only worth their cost in longer work.
constexpr std::int64_t kWantedThreads = std::int64_t{1} << 16;

/// Of a strip. Shorter ones would pay too much for the rows where they meet.
constexpr std::int64_t kMostRows = 56;
std::int64_t fewest_rows(int kernel) {
  return std::max(8, 2 * (kernel + 1));
}

/// Sums of more blocks than there are groups, in elements: 8 MB.
constexpr std::int64_t kMostExtraSums = std::int64_t{1} << 21;

/// What a thread adds one after the other: strips of a few columns, or sums of a row.
constexpr std::int64_t kMostPieces = 16;
constexpr std::int64_t kMostLines = 2048;

std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// a b, or the largest number where that is larger.
std::int64_t product(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? INT64_MAX : result;
}

/// Whether a window that slides down in registers takes the kernel: its code is made for each size.
bool has_window(const DepthwiseConvShape& shape) {
  const int k = shape.kernel_h;
  return k == shape.kernel_w && (k == 3 || k == 5 || k == 7) && shape.stride_h == shape.stride_w &&
         shape.stride_h <= 2 && shape.dilation_h == 1 && shape.dilation_w == 1;
}

DepthwiseConvKernel window_of(const DepthwiseConvShape& shape) {
  return shape.layout == ImageLayout::nchw ? DepthwiseConvKernel::rows
                                           : DepthwiseConvKernel::channels;
}

Status choose(const DepthwiseConvShape& shape, DepthwiseConvKernel forced, bool takes_window,
              DepthwiseConvKernel* kernel) {
  const DepthwiseConvKernel best = takes_window ? window_of(shape) : DepthwiseConvKernel::generic;
  *kernel = forced == DepthwiseConvKernel::automatic ? best : forced;
  if (*kernel == best || *kernel == DepthwiseConvKernel::generic) return Status();
  return Status::error(StatusCode::unsupported, "%s: kernel %s does not take this call", kOperation,
                       to_string(forced));
}

/// Cuts planes of `rows` and `columns` so that a device is full, if that leaves strips of enough
/// rows.
DepthwiseStrips cut(std::int64_t rows, std::int64_t columns, std::int64_t group_columns,
                    std::int64_t planes, int kernel) {
  const std::int64_t groups = divide_up(columns, group_columns);
  const std::int64_t fewest = divide_up(rows, kMostRows);
  const std::int64_t most = rows / fewest_rows(kernel);
  const std::int64_t wanted = kWantedThreads / std::max<std::int64_t>(planes * groups, 1);
  const std::int64_t count =
      std::max<std::int64_t>({std::min(wanted, most), fewest, std::int64_t{1}});
  DepthwiseStrips strips;
  strips.rows = static_cast<int>(std::max<std::int64_t>(divide_up(rows, count), 1));
  strips.count = static_cast<int>(divide_up(rows, strips.rows));
  strips.column_groups = static_cast<int>(groups);
  return strips;
}

void plan_grad_x(DepthwiseConvBackwardPlan* plan) {
  const DepthwiseConvShape& shape = plan->shape;
  if (plan->kernels.grad_x == DepthwiseConvKernel::generic) return;
  // A thread's first column, with the padding, is the kernel's half up to a multiple of the stride:
  // then its taps are the same in all threads.
  const int half = shape.kernel_w / 2;
  const int offset = static_cast<int>(shape.pad_left) - half;
  const int stride = static_cast<int>(shape.stride_w);
  plan->column_shift = offset & (stride - 1);
  plan->gradient_shift = (offset - plan->column_shift) / stride;
  // A thread has two channels where these are the neighbours in memory, but for the weights of two
  // 7 x 7 kernels there are too few registers.
  const bool has_two = shape.layout == ImageLayout::nhwc && shape.kernel_h < 7;
  plan->channel_lanes = has_two ? divide_up(shape.c, 2) : shape.c;
  plan->data = cut(shape.h, shape.w + plan->column_shift, 4 * stride, shape.n * plan->channel_lanes,
                   shape.kernel_h);
}

/// Blocks of grad_weight and grad_bias, and the room for their sums, in elements; that is monotone
/// in the sizes of an image, although the number of blocks is not.
std::int64_t plan_grad_weight(DepthwiseConvBackwardPlan* plan) {
  constexpr std::int64_t kLanes = 32;
  constexpr std::int64_t kThreads = 256;
  const DepthwiseConvShape& shape = plan->shape;
  const bool channels_last = shape.layout == ImageLayout::nhwc;
  const bool window = plan->kernels.grad_weight != DepthwiseConvKernel::generic;
  const std::int64_t lanes = channels_last ? divide_up(shape.out_channels(), 2)  // two each
                                           : shape.out_channels();
  plan->weight = cut(shape.oh, shape.ow, 4, shape.n * lanes, shape.kernel_h);
  const std::int64_t pieces =
      window ? shape.n * plan->weight.count * plan->weight.column_groups : shape.n * shape.oh;
  const std::int64_t most_pieces =
      window ? shape.n * divide_up(shape.oh, fewest_rows(shape.kernel_h)) * divide_up(shape.ow, 4)
             : pieces;
  plan->weight_threads = kThreads;
  // The most channels of a group, and of all groups, of which the last one may not be full.
  std::int64_t most_group_channels = 1;
  std::int64_t most_channels = shape.out_channels();
  if (!channels_last) {
    plan->group_channels = 1;
    if (window) {
      plan->weight_threads =
          static_cast<int>(kLanes * std::clamp<std::int64_t>(divide_up(pieces, kLanes), 1, 4));
    }
  } else if (window) {
    const DepthwiseSlices slices = cut_slices(lanes, kThreads);
    plan->group_channels = 2 * slices.lanes;
    plan->places = slices.places;
    plan->weight_threads = slices.threads;
    most_group_channels = 2 * kDepthwiseMaxSlice;
    most_channels = 2 * (lanes + 2 * divide_up(lanes, kDepthwiseMaxSlice));
  } else {
    plan->group_channels = kLanes;
    most_group_channels = kLanes;
    most_channels = kLanes * divide_up(shape.out_channels(), kLanes);
  }
  plan->groups = divide_up(shape.out_channels(), plan->group_channels);
  const std::int64_t channel_sums = std::int64_t{shape.kernel_h} * shape.kernel_w + 1;
  const std::int64_t sums = channel_sums * plan->group_channels;
  // Threads that have two channels are half as many.
  const std::int64_t most_threads = (window && channels_last ? 2 : 4) * kWantedThreads;
  const std::int64_t extra = std::min(most_threads / plan->weight_threads, kMostExtraSums / sums);
  const std::int64_t workers = !window ? 1 : channels_last ? plan->places : plan->weight_threads;
  const std::int64_t rounds = window ? kMostPieces : kMostLines;
  const std::int64_t splits = std::max<std::int64_t>(
      std::min({std::max(extra / plan->groups, divide_up(pieces, workers * rounds)),
                divide_up(pieces, workers), most_pieces}),
      1);
  // Whole rounds of a block's threads: the last split may have less to do, but no other.
  plan->share = workers * divide_up(pieces, workers * splits);
  plan->splits =
      std::max<std::int64_t>(divide_up(pieces, std::max<std::int64_t>(plan->share, 1)), 1);
  const std::int64_t group_sums = most_channels * channel_sums;
  // The fewest workers and threads that a block has where pieces are many; see cut_slices().
  const std::int64_t fewest_workers = !window ? 1 : channels_last ? 6 : 128;
  const std::int64_t fewest_threads = channels_last ? 192 : kLanes;
  const std::int64_t most_extra =
      std::min(most_threads / fewest_threads * channel_sums * most_group_channels, kMostExtraSums);
  const std::int64_t most_sums =
      product(group_sums, most_pieces / (fewest_workers * rounds) + 2) + most_extra;
  return std::min(product(std::max<std::int64_t>(most_pieces, 1), group_sums), most_sums);
}

}  // namespace

Status make_depthwise_conv_backward_plan(const DepthwiseConvShape& shape,
                                         const DepthwiseConvOptions& options,
                                         const DepthwiseConvBackwardInput& input,
                                         const DepthwiseConvBackwardOutput& output,
                                         DepthwiseConvBackwardPlan* plan) noexcept {
  CUDET_RETURN_IF_ERROR(check_depthwise_conv_limits(kOperation, shape));
  *plan = DepthwiseConvBackwardPlan();
  plan->shape = shape;
  const bool activated = options.activation != Activation::none;
  plan->recomputes = activated && !input.pre_activation.present();
  const bool with_weight = output.grad_weight.present() || output.grad_bias.present();
  DepthwiseConvBackwardKernels& kernels = plan->kernels;
  if (output.grad_x.present()) {
    const bool takes_window = has_window(shape) && shape.multiplier == 1;
    CUDET_RETURN_IF_ERROR(choose(shape, options.kernel, takes_window, &kernels.grad_x));
  }
  if (with_weight) {
    CUDET_RETURN_IF_ERROR(choose(shape, options.kernel, has_window(shape), &kernels.grad_weight));
  }
  if (shape.out_channels() == 0) return Status();
  // The generic kernels read every element once a tap, too often for the activation's slope.
  plan->gradient_pass =
      activated && (plan->recomputes || kernels.grad_x == DepthwiseConvKernel::generic ||
                    kernels.grad_weight == DepthwiseConvKernel::generic);
  WorkspaceLayout layout;
  if (output.grad_x.present()) plan_grad_x(plan);
  if (with_weight) {
    plan->partials = layout.add(plan_grad_weight(plan), sizeof(float));
    plan->arrived = layout.add(plan->groups, sizeof(unsigned));
  }
  if (plan->gradient_pass) {
    plan->gradient =
        layout.add(shape.n * shape.out_channels() * shape.oh * shape.ow, sizeof(float));
  }
  if (!layout.ok() || product(plan->groups, plan->splits) > INT32_MAX) {
    return Status::error(StatusCode::unsupported,
                         "%s: grad_output must have fewer elements on a device, got %" PRId64
                         " images of %" PRId64 " x %" PRId64 " x %" PRId64,
                         kOperation, shape.n, shape.out_channels(), shape.oh, shape.ow);
  }
  plan->workspace_bytes = layout.total();
  return Status();
}

}  // namespace cudet
