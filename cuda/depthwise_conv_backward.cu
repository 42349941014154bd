// Launches of the depthwise convolution's gradients.
#include "depthwise_conv_backward.h"

#include "depthwise_conv_backward_generic_kernels.cuh"
#include "depthwise_conv_backward_kernels.h"
#include "launch.h"

#include "../src/check.h"
#include "../src/workspace_layout.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace cudet::device {
namespace {

constexpr const char* kOperation = "depthwise_conv_backward";

/// Everything that the launches of one call share.
struct Call {
  const DepthwiseConvBackwardPlan& plan;
  const DepthwiseConvOptions& options;
  const DepthwiseConvBackwardInput& input;
  const DepthwiseConvBackwardOutput& output;
  char* workspace;
  cudaStream_t stream;
};

ImageStrides strides_of(ImageLayout layout, std::int64_t channels, std::int64_t rows,
                        std::int64_t columns) {
  const auto c = static_cast<int>(channels), h = static_cast<int>(rows),
             w = static_cast<int>(columns);
  const long long image = channels * rows * columns;
  return layout == ImageLayout::nchw ? ImageStrides{image, h * w, w, 1}
                                     : ImageStrides{image, 1, w * c, c};
}

DepthwiseGeometry geometry_of(const DepthwiseConvShape& shape) {
  const bool nchw = shape.layout == ImageLayout::nchw;
  DepthwiseGeometry geometry = {};
  geometry.x = strides_of(shape.layout, shape.c, shape.h, shape.w);
  geometry.y = strides_of(shape.layout, shape.out_channels(), shape.oh, shape.ow);
  geometry.weight_channel = nchw ? shape.kernel_h * shape.kernel_w : 1;
  geometry.weight_tap = nchw ? 1 : static_cast<int>(shape.out_channels());
  geometry.n = static_cast<int>(shape.n);
  geometry.channels = static_cast<int>(shape.c);
  geometry.multiplier = static_cast<int>(shape.multiplier);
  geometry.out_channels = static_cast<int>(shape.out_channels());
  geometry.h = static_cast<int>(shape.h);
  geometry.w = static_cast<int>(shape.w);
  geometry.oh = static_cast<int>(shape.oh);
  geometry.ow = static_cast<int>(shape.ow);
  geometry.kernel_h = shape.kernel_h;
  geometry.kernel_w = shape.kernel_w;
  geometry.stride_h = static_cast<int>(shape.stride_h);
  geometry.stride_w = static_cast<int>(shape.stride_w);
  geometry.dilation_h = static_cast<int>(shape.dilation_h);
  geometry.dilation_w = static_cast<int>(shape.dilation_w);
  geometry.pad_top = static_cast<int>(shape.pad_top);
  geometry.pad_left = static_cast<int>(shape.pad_left);
  return geometry;
}

/// grad_output, and the pre-activation where one is saved.
GradientSource given_gradient(const Call& call) {
  const bool saved = call.options.activation != Activation::none && !call.plan.recomputes;
  return {call.input.grad_output.data(), saved ? call.input.pre_activation.data() : nullptr, false,
          call.options.activation, call.options.negative_slope};
}

/// What the kernels of the gradients read.
GradientSource final_gradient(const Call& call) {
  if (!call.plan.gradient_pass) return given_gradient(call);
  return {call.workspace + call.plan.gradient, nullptr, true, Activation::none, 0.0f};
}

/// Whether pieces of rows can be read and written four elements at a time, or columns two channels
/// at a time.
bool are_rows_aligned(const Call& call, const GradientSource& gradient, const void* image) {
  const DepthwiseConvShape& shape = call.plan.shape;
  const bool nchw = shape.layout == ImageLayout::nchw;
  const bool fits =
      nchw ? shape.w % 4 == 0 && shape.ow % 4 == 0 && shape.pad_left == shape.kernel_w / 2
           : shape.c % 2 == 0 && shape.multiplier == 1;
  if (!fits) return false;
  const int elements = nchw ? 4 : 2;
  const auto is_aligned = [elements](const void* data, DataType type) {
    return reinterpret_cast<std::uintptr_t>(data) %
               static_cast<std::uintptr_t>(elements * size_of(type)) ==
           0;
  };
  return is_aligned(image, shape.type) &&
         is_aligned(gradient.grad_output, gradient.is_float32 ? DataType::float32 : shape.type) &&
         is_aligned(gradient.pre_activation, shape.type);
}

/// As many images as 32-bit numbers of threads reach.
unsigned images_at_once(std::int64_t images, std::int64_t image_threads) {
  constexpr std::int64_t kMostThreads = std::int64_t{1} << 31;
  return static_cast<unsigned>(std::clamp<std::int64_t>(kMostThreads / image_threads, 1, images));
}

LaunchConfig grid_of(unsigned images, unsigned image_threads, int block) {
  const std::int64_t threads = std::int64_t{images} * image_threads;
  LaunchConfig config = {};
  config.grid = dim3(static_cast<unsigned>((threads + block - 1) / block));
  config.block = dim3(static_cast<unsigned>(block));
  return config;
}

/// f(T()) for the type of x.
template <class F>
Status with_type(DataType type, F f) {
  switch (type) {
    case DataType::float16:
      return f(__half());
    case DataType::bfloat16:
      return f(__nv_bfloat16());
    default:
      return f(float());
  }
}

Status enqueue_gradient_pass(const Call& call) {
  const DepthwiseConvShape& shape = call.plan.shape;
  GradientPassParameters parameters = {};
  parameters.geometry = geometry_of(shape);
  parameters.gradient = given_gradient(call);
  parameters.grid.elements = static_cast<unsigned>(shape.out_channels() * shape.oh * shape.ow);
  parameters.grid.images = images_at_once(shape.n, parameters.grid.elements);
  parameters.x = call.input.x.data();
  parameters.weight = call.input.weight.data();
  parameters.bias = call.input.bias.data();
  parameters.bias_type = call.input.bias.type();
  parameters.result = reinterpret_cast<float*>(call.workspace + call.plan.gradient);
  const LaunchConfig config =
      grid_of(parameters.grid.images, parameters.grid.elements, kGenericThreads);
  return with_type(shape.type, [&](auto type) {
    return launch(kOperation, "launching activation_gradient_kernel",
                  activation_gradient_kernel<decltype(type)>, config, call.stream, parameters);
  });
}

Status enqueue_generic_grad_x(const Call& call) {
  const DepthwiseConvShape& shape = call.plan.shape;
  GenericGradXParameters parameters = {};
  parameters.geometry = geometry_of(shape);
  parameters.gradient = final_gradient(call);
  parameters.grid.elements = static_cast<unsigned>(shape.c * shape.h * shape.w);
  parameters.grid.images = images_at_once(shape.n, parameters.grid.elements);
  parameters.weight = call.input.weight.data();
  parameters.grad_x = call.output.grad_x.data();
  const std::int64_t common_h = std::gcd(shape.stride_h, shape.dilation_h);
  const std::int64_t common_w = std::gcd(shape.stride_w, shape.dilation_w);
  parameters.tap_step_h = static_cast<int>(shape.stride_h / common_h);
  parameters.tap_step_w = static_cast<int>(shape.stride_w / common_w);
  parameters.output_step_h = static_cast<int>(shape.dilation_h / common_h);
  parameters.output_step_w = static_cast<int>(shape.dilation_w / common_w);
  const LaunchConfig config =
      grid_of(parameters.grid.images, parameters.grid.elements, kGenericThreads);
  return with_type(shape.type, [&](auto type) {
    return launch(kOperation, "launching generic_grad_x_kernel",
                  generic_grad_x_kernel<decltype(type)>, config, call.stream, parameters);
  });
}

WindowKind window_kind(const DepthwiseConvShape& shape) {
  return {shape.type, shape.kernel_h, static_cast<int>(shape.stride_h),
          shape.layout == ImageLayout::nhwc};
}

Status enqueue_grad_x(const Call& call) {
  const DepthwiseConvBackwardPlan& plan = call.plan;
  const DepthwiseConvShape& shape = plan.shape;
  if (shape.n == 0 || shape.h == 0 || shape.w == 0) return Status();
  if (plan.kernels.grad_x == DepthwiseConvKernel::generic) return enqueue_generic_grad_x(call);
  GradXParameters parameters = {};
  parameters.geometry = geometry_of(shape);
  parameters.gradient = final_gradient(call);
  parameters.weight = call.input.weight.data();
  parameters.grad_x = call.output.grad_x.data();
  parameters.image_threads =
      static_cast<unsigned>(plan.channel_lanes * plan.data.count * plan.data.column_groups);
  parameters.images = images_at_once(shape.n, parameters.image_threads);
  parameters.strip_rows = plan.data.rows;
  parameters.strips = plan.data.count;
  parameters.column_groups = plan.data.column_groups;
  parameters.column_shift = plan.column_shift;
  parameters.gradient_shift = plan.gradient_shift;
  parameters.vectors = are_rows_aligned(call, parameters.gradient, parameters.grad_x);
  return launch(kOperation, "launching window_grad_x_kernel", window_grad_x(window_kind(shape)),
                grid_of(parameters.images, parameters.image_threads, kGradXThreads), call.stream,
                parameters);
}

Status clear_arrived(const Call& call, unsigned* arrived) {
  if (call.plan.splits == 1) return Status();
  const cudaError_t error = cudaMemsetAsync(
      arrived, 0, static_cast<std::size_t>(call.plan.groups) * sizeof(unsigned), call.stream);
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();
  return cuda_failure(kOperation, "clearing the counters of blocks", error);
}

Status enqueue_grad_weight(const Call& call) {
  const DepthwiseConvBackwardPlan& plan = call.plan;
  const DepthwiseConvShape& shape = plan.shape;
  const DepthwiseConvBackwardOutput& output = call.output;
  GradWeightParameters parameters = {};
  parameters.geometry = geometry_of(shape);
  parameters.gradient = final_gradient(call);
  parameters.x = call.input.x.data();
  if (!output.grad_weight.present()) {
    // An image without rows is not read, wherever it lies.
    parameters.x = parameters.gradient.grad_output;
    parameters.geometry.h = 0;
  }
  WeightReduction& reduction = parameters.reduction;
  reduction.partials = reinterpret_cast<float*>(call.workspace + plan.partials);
  reduction.arrived = reinterpret_cast<unsigned*>(call.workspace + plan.arrived);
  reduction.grad_weight = output.grad_weight.data();
  reduction.grad_bias = output.grad_bias.data();
  reduction.weight_type = output.grad_weight.type();
  reduction.bias_type = output.grad_bias.type();
  reduction.groups = static_cast<unsigned>(plan.groups);
  reduction.splits = static_cast<unsigned>(plan.splits);
  reduction.group_channels = static_cast<unsigned>(plan.group_channels);
  parameters.share = plan.share;
  parameters.places = plan.places;
  parameters.strip_rows = plan.weight.rows;
  parameters.strips = plan.weight.count;
  parameters.column_groups = plan.weight.column_groups;
  parameters.vectors = are_rows_aligned(call, parameters.gradient, parameters.x);
  CUDET_RETURN_IF_ERROR(clear_arrived(call, reduction.arrived));
  LaunchConfig config = {};
  config.grid = dim3(static_cast<unsigned>(plan.groups * plan.splits));
  config.block = dim3(static_cast<unsigned>(plan.weight_threads));
  if (plan.kernels.grad_weight != DepthwiseConvKernel::generic) {
    return launch(kOperation, "launching window_grad_weight_kernel",
                  window_grad_weight(window_kind(shape)), config, call.stream, parameters);
  }
  return with_type(shape.type, [&](auto type) {
    using T = decltype(type);
    return launch(kOperation, "launching generic_grad_weight_kernel",
                  shape.layout == ImageLayout::nchw ? generic_grad_weight_kernel<T, false>
                                                    : generic_grad_weight_kernel<T, true>,
                  config, call.stream, parameters);
  });
}

}  // namespace

Status depthwise_conv_backward(const DepthwiseConvBackwardPlan& plan,
                               const DepthwiseConvOptions& options,
                               const DepthwiseConvBackwardInput& input,
                               const DepthwiseConvBackwardOutput& output,
                               const Execution& execution) noexcept {
  const DepthwiseConvShape& shape = plan.shape;
  if (shape.out_channels() == 0) return Status();
  const Call call = {plan,
                     options,
                     input,
                     output,
                     WorkspaceLayout::align(execution.workspace()),
                     execution.stream()};
  if (plan.gradient_pass && shape.n > 0) CUDET_RETURN_IF_ERROR(enqueue_gradient_pass(call));
  if (output.grad_x.present()) CUDET_RETURN_IF_ERROR(enqueue_grad_x(call));
  if (!output.grad_weight.present() && !output.grad_bias.present()) return Status();
  return enqueue_grad_weight(call);
}

}  // namespace cudet::device
