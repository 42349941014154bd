// Launches of the depthwise convolution: any shape, and the global average pooling.
#include "depthwise_conv.h"

#include "../src/check.h"
#include "../src/workspace_layout.h"
#include "depthwise_conv_generic_kernel.cuh"
#include "depthwise_conv_launch.h"
#include "depthwise_conv_pool_kernels.cuh"
#include "launch.h"

#include <algorithm>
#include <cstdint>

namespace cudet::device {
namespace {

constexpr const char* kOperation = "depthwise_conv";

/// True for an absent tensor, or one whose data is aligned to so many elements.
bool is_aligned(const Tensor& tensor, int elements) {
  const auto bytes = static_cast<std::uintptr_t>(elements * size_of(tensor.type()));
  return reinterpret_cast<std::uintptr_t>(tensor.data()) % bytes == 0;
}

DepthwiseConvParameters make_parameters(const DepthwiseConvPlan& plan,
                                        const DepthwiseConvOptions& options,
                                        const DepthwiseConvInput& input,
                                        const DepthwiseConvOutput& output,
                                        const Execution& execution) {
  const DepthwiseConvShape& shape = plan.shape;
  const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
  DepthwiseConvParameters p = {};
  p.x = input.x.data();
  p.weight = input.weight.data();
  p.bias = input.bias.data();
  p.bias_type = input.bias.type();
  p.scales = input.scales.data_as<const float>();
  p.residual = input.residual.data();
  p.y = output.y.data();
  p.pre_activation = output.pre_activation.data();
  if (output.pool.present()) {
    p.pool_partials = reinterpret_cast<float*>(WorkspaceLayout::align(execution.workspace()));
  }
  p.float_y = output.y.type() == DataType::float32;
  p.output_factor = 1.0f / options.output_scale;
  p.activation = {options.activation, options.negative_slope};
  p.c = to_int(shape.c);
  p.multiplier = to_int(shape.multiplier);
  p.out_channels = to_int(shape.out_channels());
  p.h = to_int(shape.h);
  p.w = to_int(shape.w);
  p.oh = to_int(shape.oh);
  p.ow = to_int(shape.ow);
  p.kernel_h = shape.kernel_h;
  p.kernel_w = shape.kernel_w;
  p.stride_h = to_int(shape.stride_h);
  p.stride_w = to_int(shape.stride_w);
  p.dilation_h = to_int(shape.dilation_h);
  p.dilation_w = to_int(shape.dilation_w);
  p.pad_top = to_int(shape.pad_top);
  p.pad_left = to_int(shape.pad_left);
  // What starts at multiples of a vector of x and y.
  const bool nchw = shape.layout == ImageLayout::nchw;
  const bool in_pairs = plan.kernel == DepthwiseConvKernel::planes;
  const int x_vector = in_pairs ? 2 : 4;
  p.x_vectors = (nchw ? p.w : p.c) % x_vector == 0 && is_aligned(input.x, x_vector);
  p.weight_vectors = p.out_channels % 4 == 0 && is_aligned(input.weight, 4);
  const int y_step = nchw ? p.ow : p.out_channels;
  p.y_vectors = !in_pairs && y_step % 4 == 0 && plan.column_shift % 4 == 0;
  for (const Tensor* tensor : {&output.y, &output.pre_activation, &input.residual})
    p.y_vectors = p.y_vectors && is_aligned(*tensor, 4);
  p.y_pairs = y_step % 2 == 0 && plan.column_shift % 2 == 0 && is_aligned(output.y, 2);
  p.blocks_per_image = plan.blocks_per_image;
  p.items = plan.items;
  p.strip_rows = plan.strip_rows;
  p.strips = plan.strips;
  p.tile_pitch = plan.tile_pitch;
  p.plane_lanes = plan.plane_lanes;
  p.planes = static_cast<unsigned>(shape.n * shape.out_channels());
  p.slice_lanes = plan.slices.lanes;
  p.slices = plan.slices.count;
  p.places = plan.slices.places;
  p.column_shift = plan.column_shift;
  p.column_groups = plan.column_groups;
  p.pool_pieces = plan.pool_pieces;
  return p;
}

DepthwiseConvKernelFunction generic_kernel(const DepthwiseConvShape& shape) {
  const bool nchw = shape.layout == ImageLayout::nchw;
  switch (shape.type) {
    case DataType::float16:
      return nchw ? depthwise_conv_generic_kernel<__half, ImageLayout::nchw>
                  : depthwise_conv_generic_kernel<__half, ImageLayout::nhwc>;
    case DataType::bfloat16:
      return nchw ? depthwise_conv_generic_kernel<__nv_bfloat16, ImageLayout::nchw>
                  : depthwise_conv_generic_kernel<__nv_bfloat16, ImageLayout::nhwc>;
    case DataType::int8:
      return nchw ? depthwise_conv_generic_kernel<std::int8_t, ImageLayout::nchw>
                  : depthwise_conv_generic_kernel<std::int8_t, ImageLayout::nhwc>;
    default:
      return nchw ? depthwise_conv_generic_kernel<float, ImageLayout::nchw>
                  : depthwise_conv_generic_kernel<float, ImageLayout::nhwc>;
  }
}

struct ChosenKernel {
  DepthwiseConvKernelFunction function;
  const char* action;  ///< for messages
};

ChosenKernel chosen_kernel(const DepthwiseConvPlan& plan, bool vectors) {
  switch (plan.kernel) {
    case DepthwiseConvKernel::rows:
      return {depthwise_rows_kernel(plan.shape, vectors), "launching depthwise_conv_rows_kernel"};
    case DepthwiseConvKernel::channels:
      return {depthwise_channels_kernel(plan.shape), "launching depthwise_conv_channels_kernel"};
    case DepthwiseConvKernel::planes:
      return {depthwise_planes_kernel(plan.shape, vectors),
              "launching depthwise_conv_planes_kernel"};
    case DepthwiseConvKernel::tiles:
      return {depthwise_tiles_kernel(plan.shape), "launching depthwise_conv_tiles_kernel"};
    default:
      return {generic_kernel(plan.shape), "launching depthwise_conv_generic_kernel"};
  }
}

Status launch_pool(const DepthwiseConvPlan& plan, const DepthwiseConvParameters& parameters,
                   const Tensor& pool, cudaStream_t stream) {
  const DepthwiseConvShape& shape = plan.shape;
  const bool nchw = shape.layout == ImageLayout::nchw;
  DepthwisePoolParameters p = {};
  p.partials = parameters.pool_partials;
  p.pool = pool.data();
  p.type = pool.type();
  p.channels = static_cast<unsigned>(parameters.out_channels);
  p.planes = static_cast<unsigned>(shape.n) * p.channels;
  p.pieces = plan.pool_pieces;
  p.factor =
      static_cast<float>(1.0 / (static_cast<double>(shape.oh) * static_cast<double>(shape.ow)));
  LaunchConfig config = {};
  config.grid =
      nchw ? dim3((p.planes + kPoolWarps - 1) / kPoolWarps)
           : dim3(static_cast<unsigned>(shape.n) * ((p.channels + kWarpSize - 1) / kWarpSize));
  config.block = dim3(kPoolThreads);
  return launch(kOperation, "launching depthwise_pool_kernel",
                nchw ? depthwise_pool_nchw_kernel : depthwise_pool_nhwc_kernel, config, stream, p);
}

}  // namespace

Status depthwise_conv(const DepthwiseConvPlan& plan, const DepthwiseConvOptions& options,
                      const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                      const Execution& execution) noexcept {
  if (plan.blocks == 0) return Status();
  const DepthwiseConvParameters parameters =
      make_parameters(plan, options, input, output, execution);
  const ChosenKernel kernel = chosen_kernel(plan, parameters.x_vectors);
  LaunchConfig config = {};
  config.grid = dim3(plan.blocks);
  config.block = dim3(static_cast<unsigned>(plan.block_threads));
  config.shared_bytes = plan.shared_bytes;
  CUDET_RETURN_IF_ERROR(
      launch(kOperation, kernel.action, kernel.function, config, execution.stream(), parameters));
  if (!output.pool.present()) return Status();
  return launch_pool(plan, parameters, output.pool, execution.stream());
}

}  // namespace cudet::device
