// Host side of the depthwise convolution: plan, then the choice between the device and the CPU.
#include <cudet/depthwise_conv.h>

#include "../cuda/depthwise_conv.h"
#include "check.h"
#include "cpu/depthwise_conv.h"
#include "cpu/parallel.h"
#include "depthwise_conv_plan.h"
#include "host_memory.h"

#include <algorithm>
#include <cinttypes>

namespace cudet {
namespace {

constexpr const char* kOperation = "depthwise_conv";

/// Both sides of one dimension's padding, as TensorFlow divides it.
void share_padding(std::int64_t size, std::int64_t kernel, std::int64_t stride,
                   std::int64_t dilation, std::int64_t* before, std::int64_t* after) {
  const std::int64_t outputs = size / stride + (size % stride != 0 ? 1 : 0);
  const std::int64_t reach = (outputs - 1) * stride + (kernel - 1) * dilation + 1;
  const std::int64_t padding = outputs > 0 ? std::max<std::int64_t>(reach - size, 0) : 0;
  *before = padding / 2;
  *after = padding - padding / 2;
}

}  // namespace

const char* to_string(ImageLayout layout) noexcept {
  switch (layout) {
    case ImageLayout::nchw:
      return "nchw";
    case ImageLayout::nhwc:
      return "nhwc";
  }
  return "unknown";
}

const char* to_string(Activation activation) noexcept {
  switch (activation) {
    case Activation::none:
      return "none";
    case Activation::relu:
      return "relu";
    case Activation::relu6:
      return "relu6";
    case Activation::leaky_relu:
      return "leaky_relu";
    case Activation::silu:
      return "silu";
    case Activation::hardswish:
      return "hardswish";
    case Activation::gelu:
      return "gelu";
  }
  return "unknown";
}

const char* to_string(DepthwiseConvKernel kernel) noexcept {
  switch (kernel) {
    case DepthwiseConvKernel::automatic:
      return "automatic";
    case DepthwiseConvKernel::rows:
      return "rows";
    case DepthwiseConvKernel::planes:
      return "planes";
    case DepthwiseConvKernel::channels:
      return "channels";
    case DepthwiseConvKernel::tiles:
      return "tiles";
    case DepthwiseConvKernel::generic:
      return "generic";
  }
  return "unknown";
}

Status set_same_padding(std::int64_t h, std::int64_t w, std::int64_t kernel_h,
                        std::int64_t kernel_w, DepthwiseConvOptions* options) noexcept {
  CUDET_RETURN_IF_ERROR(check_same_padding(h, w, kernel_h, kernel_w, options));
  share_padding(h, kernel_h, options->stride_h, options->dilation_h, &options->pad_top,
                &options->pad_bottom);
  share_padding(w, kernel_w, options->stride_w, options->dilation_w, &options->pad_left,
                &options->pad_right);
  return Status();
}

Status depthwise_conv_output_shape(const DepthwiseConvOptions& options,
                                   const DepthwiseConvInput& input,
                                   std::int64_t shape[4]) noexcept {
  DepthwiseConvShape sizes;
  CUDET_RETURN_IF_ERROR(
      check_depthwise_conv_shape(kOperation, options, input.x, input.weight, &sizes));
  if (shape == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: shape must not be null, got a null pointer", kOperation);
  }
  const bool nchw = sizes.layout == ImageLayout::nchw;
  shape[0] = sizes.n;
  shape[nchw ? 1 : 3] = sizes.out_channels();
  shape[nchw ? 2 : 1] = sizes.oh;
  shape[nchw ? 3 : 2] = sizes.ow;
  return Status();
}

Status depthwise_conv_kernel(const DepthwiseConvOptions& options, const DepthwiseConvInput& input,
                             DepthwiseConvKernel* kernel) noexcept {
  DepthwiseConvShape shape;
  DepthwiseConvPlan plan;
  CUDET_RETURN_IF_ERROR(
      check_depthwise_conv_shape(kOperation, options, input.x, input.weight, &shape));
  CUDET_RETURN_IF_ERROR(make_depthwise_conv_plan(shape, options.kernel, false, &plan));
  if (kernel == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: kernel must not be null, got a null pointer", kOperation);
  }
  *kernel = plan.kernel;
  return Status();
}

Status depthwise_conv_workspace_size(const DepthwiseConvOptions& options,
                                     const DepthwiseConvInput& input,
                                     const DepthwiseConvOutput& output,
                                     std::size_t* bytes) noexcept {
  DepthwiseConvShape shape;
  DepthwiseConvPlan plan;
  CUDET_RETURN_IF_ERROR(check_depthwise_conv(options, input, output, false, &shape));
  CUDET_RETURN_IF_ERROR(
      make_depthwise_conv_plan(shape, options.kernel, output.pool.present(), &plan));
  if (bytes == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: bytes must not be null, got a null pointer", kOperation);
  }
  *bytes = plan.workspace_bytes;
  return Status();
}

Status depthwise_conv(const DepthwiseConvOptions& options, const DepthwiseConvInput& input,
                      const DepthwiseConvOutput& output, const Execution& execution) noexcept try {
  DepthwiseConvShape shape;
  DepthwiseConvPlan plan;
  CUDET_RETURN_IF_ERROR(check_depthwise_conv(options, input, output, true, &shape));
  if (!execution.is_cuda()) {
    CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, 0));
    return cpu::depthwise_conv(shape, options, input, output,
                               cpu::thread_count(execution.threads()));
  }
  CUDET_RETURN_IF_ERROR(
      make_depthwise_conv_plan(shape, options.kernel, output.pool.present(), &plan));
  CUDET_RETURN_IF_ERROR(check_execution(kOperation, execution, plan.workspace_bytes));
  return device::depthwise_conv(plan, options, input, output, execution);
} catch (const std::bad_alloc&) {
  return out_of_host_memory(kOperation);
}

}  // namespace cudet
