// What the depthwise convolution derives from options and shapes before anything runs: checked
// sizes, the choice of the kernels, and where the parts of the workspace lie. Pure host arithmetic.
#pragma once

#include <cudet/depthwise_conv.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Sizes of a call, checked: what both directions and all kernels start from.
struct DepthwiseConvShape {
  ImageLayout layout = ImageLayout::nchw;
  DataType type = DataType::float32;  ///< of x
  std::int64_t n = 0;
  std::int64_t c = 0;           ///< channels of x
  std::int64_t multiplier = 1;  ///< channels of y for one of x
  std::int64_t h = 0, w = 0;    ///< of x
  std::int64_t oh = 0, ow = 0;  ///< of y
  int kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t pad_top = 0, pad_left = 0;
  std::int64_t pad_bottom = 0, pad_right = 0;

  std::int64_t out_channels() const { return c * multiplier; }
};

/// The largest kernel height and width.
inline constexpr int kDepthwiseMaxKernel = 31;

/// Check everything but the execution, in the order of options, inputs and outputs; the first bad
/// argument decides. `with_data` = false leaves data pointers, and outputs but their presence, out.
Status check_depthwise_conv(const DepthwiseConvOptions& options, const DepthwiseConvInput& input,
                            const DepthwiseConvOutput& output, bool with_data,
                            DepthwiseConvShape* shape) noexcept;
Status check_depthwise_conv_backward(const DepthwiseConvOptions& options,
                                     const DepthwiseConvBackwardInput& input,
                                     const DepthwiseConvBackwardOutput& output, bool with_data,
                                     DepthwiseConvShape* shape) noexcept;

/// Options and the shapes and types of x and weight alone.
Status check_depthwise_conv_shape(const char* operation, const DepthwiseConvOptions& options,
                                  const Tensor& x, const Tensor& weight,
                                  DepthwiseConvShape* shape) noexcept;

/// The arguments of set_same_padding().
Status check_same_padding(std::int64_t h, std::int64_t w, std::int64_t kernel_h,
                          std::int64_t kernel_w, const DepthwiseConvOptions* options) noexcept;

/// unsupported where a size exceeds what the kernels index.
Status check_depthwise_conv_limits(const char* operation, const DepthwiseConvShape& shape) noexcept;

/// How blocks are cut where neighbouring lanes have neighbouring channels.
struct DepthwiseSlices {
  int lanes = 0;    ///< of a slice of an image's channels, side by side
  int count = 0;    ///< of slices
  int places = 0;   ///< of a block: so many items, each with the lanes of a slice
  int threads = 0;  ///< of a block: whole warps
};

/// For `lanes` > 0 lanes that have all channels and blocks of at most `most_threads`, so that few
/// lanes are idle: the last warp of a block may not be full, nor the last slice.
DepthwiseSlices cut_slices(std::int64_t lanes, std::int64_t most_threads) noexcept;

/// Lanes of a slice, at most.
inline constexpr std::int64_t kDepthwiseMaxSlice = 32;

struct DepthwiseConvPlan {
  DepthwiseConvShape shape;
  DepthwiseConvKernel kernel = DepthwiseConvKernel::generic;
  unsigned blocks = 0;  ///< of the grid; 0 where there is nothing to compute
  unsigned blocks_per_image = 0;
  int block_threads = 128;  ///< at most
  unsigned items = 0;       ///< of an image: what a thread works on
  int strip_rows = 0;       ///< output rows of an item
  int strips = 0;           ///< of a plane
  int column_shift = 0;     ///< the first group's first column is -column_shift
  int column_groups = 0;    ///< of a row
  int tile_pitch = 0;       ///< floats of a row in shared memory
  int plane_lanes = 0;      ///< of a row of a narrow plane
  std::size_t shared_bytes = 0;
  DepthwiseSlices slices;           ///< nhwc: a lane has four channels
  unsigned pool_pieces = 0;         ///< sums of which a plane's is made
  std::size_t workspace_bytes = 0;  ///< float32 [n c m, pool_pieces], at least
};

/// Chooses the kernel for a checked shape, or takes the forced one. The workspace depends on the
/// shape alone, not on the kernel.
Status make_depthwise_conv_plan(const DepthwiseConvShape& shape, DepthwiseConvKernel forced,
                                bool pool, DepthwiseConvPlan* plan) noexcept;

/// Columns of padding that the kernel for long rows looks at: half of the kernel, or with stride 2
/// one less where that is odd and the padding is not, or the other way round. What the padding is
/// smaller by, y is shifted by.
int depthwise_rows_left(const DepthwiseConvShape& shape) noexcept;

}  // namespace cudet
