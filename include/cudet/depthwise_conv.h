// Depthwise convolution: forward with fused bias, activation, residual and global average pooling,
// and the gradients with respect to input, weight and bias.
#pragma once

#include <cudet/execution.h>
#include <cudet/export.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Order of an image's dimensions in memory; the last one is the innermost.
enum class ImageLayout : std::int32_t { nchw, nhwc };

/// What is applied to every element of a convolution's result v. A NaN stays a NaN.
enum class Activation : std::int32_t {
  none,
  relu,        ///< max(v, 0)
  relu6,       ///< min(max(v, 0), 6)
  leaky_relu,  ///< v for v > 0, otherwise negative_slope v
  silu,        ///< v / (1 + exp(-v)), also called swish
  hardswish,   ///< v min(max(v + 3, 0), 6) / 6
  gelu         ///< v Phi(v) = v (1 + erf(v / sqrt 2)) / 2, the exact one, not its tanh form
};

/// How a device computes a convolution or one of its gradients; docs/depthwise_conv.md draws them.
enum class DepthwiseConvKernel : std::int32_t {
  automatic,
  rows,      ///< nchw: a window of rows slides down in registers
  planes,    ///< nchw: rows of several narrow planes in a warp, otherwise like rows
  channels,  ///< nhwc: a lane has neighbouring channels, the window slides down in registers
  tiles,     ///< nchw: large kernels, a tile of the plane in shared memory
  generic    ///< everything
};

CUDET_API const char* to_string(ImageLayout layout) noexcept;
CUDET_API const char* to_string(Activation activation) noexcept;
CUDET_API const char* to_string(DepthwiseConvKernel kernel) noexcept;

struct DepthwiseConvOptions {
  /// Of x and y. The weight is [c m, kh, kw] with nchw and [kh, kw, c m] with nhwc.
  ImageLayout layout = ImageLayout::nchw;

  std::int64_t stride_h = 1;    ///< 1 to 2^30
  std::int64_t stride_w = 1;    ///< 1 to 2^30
  std::int64_t dilation_h = 1;  ///< 1 to 2^30: distance between taps
  std::int64_t dilation_w = 1;  ///< 1 to 2^30
  std::int64_t pad_top = 0;     ///< 0 to 2^30: rows of zeros; see set_same_padding()
  std::int64_t pad_left = 0;    ///< 0 to 2^30
  std::int64_t pad_bottom = 0;  ///< 0 to 2^30
  std::int64_t pad_right = 0;   ///< 0 to 2^30

  Activation activation = Activation::none;
  float negative_slope = 0.01f;  ///< Of leaky_relu; finite.

  /// int8 results alone: y = value / output_scale, rounded to nearest even and clamped to
  /// [-128, 127]; a NaN becomes 0. Finite and > 0.
  float output_scale = 1.0f;

  /// Anything but automatic is for tests and measurements: the device calls fail with unsupported
  /// where that kernel does not take the shape or type. The CPU does not look at it.
  DepthwiseConvKernel kernel = DepthwiseConvKernel::automatic;
};

struct DepthwiseConvInput {
  /// nchw: [n, c, h, w], nhwc: [n, h, w, c]; float32, float16, bfloat16 or int8.
  Tensor x;

  /// nchw: [c m, kh, kw] or [c m, 1, kh, kw], nhwc: [kh, kw, c m] or [kh, kw, c, m]: m is the
  /// channel multiplier, output channel o reads input channel o / m. kh and kw are 1 to 31. The
  /// type of x.
  Tensor weight;

  Tensor bias;  ///< optional [c m]; float32 or, unless that is int8, the type of x

  /// int8 alone: [c m], float32: what the sum of products is multiplied with before the bias is
  /// added, the product of the scales of x and of this channel's weight.
  Tensor scales;

  Tensor residual;  ///< optional, shape and type of y, not with int8: added after the activation
};

/// oh = (h + pad_top + pad_bottom - dilation_h (kh - 1) - 1) / stride_h + 1, rounded down, likewise
/// ow. All optional, but at least one; what is absent is not written.
struct DepthwiseConvOutput {
  /// nchw: [n, c m, oh, ow], nhwc: [n, oh, ow, c m]; the type of x, with int8: int8 or float32.
  Tensor y;

  /// What goes into the activation, for depthwise_conv_backward(); shape of y, type of x; not with
  /// int8.
  Tensor pre_activation;

  /// [n, c m], float32 or, unless that is int8, the type of x: mean of the elements of y over each
  /// plane, before they are rounded to their type; the first step of squeeze and excitation. 0 for
  /// planes without elements.
  Tensor pool;
};

/// Writes the pads into `options` that TensorFlow calls SAME: output sizes are the input sizes
/// divided by the strides, rounded up, and an odd pad is larger at bottom and right. Reads its
/// strides and dilations. Errors: invalid_argument where a size is negative or too large, a kernel
/// size is not 1 to 31, or a stride or dilation is out of range.
CUDET_API Status set_same_padding(std::int64_t h, std::int64_t w, std::int64_t kernel_h,
                                  std::int64_t kernel_w, DepthwiseConvOptions* options) noexcept;

/// Shape of y in the order of the layout. Reads options and the shapes and types of x and weight.
CUDET_API Status depthwise_conv_output_shape(const DepthwiseConvOptions& options,
                                             const DepthwiseConvInput& input,
                                             std::int64_t shape[4]) noexcept;

/// The kernel that a device call takes. Reads options and the shapes and types of x and weight.
CUDET_API Status depthwise_conv_kernel(const DepthwiseConvOptions& options,
                                       const DepthwiseConvInput& input,
                                       DepthwiseConvKernel* kernel) noexcept;

/// Bytes of device workspace that depthwise_conv() needs: 0 without output.pool. Reads options,
/// shapes and types of x and weight, and whether output.pool is given. Pure host arithmetic,
/// monotone in every size.
CUDET_API Status depthwise_conv_workspace_size(const DepthwiseConvOptions& options,
                                               const DepthwiseConvInput& input,
                                               const DepthwiseConvOutput& output,
                                               std::size_t* bytes) noexcept;

/// y = act(conv(x, weight) + bias) + residual, where every channel has a kernel of its own. In
/// nchw, with x extended by zeros:
///   conv[b, o, i, j] = sum over p, q of weight[o, p, q]
///                      x[b, o / m, i stride_h + p dilation_h - pad_top,
///                                  j stride_w + q dilation_w - pad_left]
/// This is the cross-correlation of torch.nn.functional.conv2d with groups = c and of TensorFlow's
/// depthwise_conv2d.
///
/// Arithmetic    Sums of float32 with fused multiply-adds, in an order that hangs on the kernel;
///               results are rounded once to their type. int8: exact sums, the rest in float32.
/// Special       A NaN or an infinity in x reaches the outputs whose window has it, and no others.
///   values      In a weight it reaches its channel's outputs, those of windows that have the tap
///               in the padding either as 0 times it or not at all.
/// Determinism   Same input, same bits, in every run on one kind of device.
/// Empty input   Without elements of y nothing is written but zeros to pool.
/// Workspace     depthwise_conv_workspace_size(); contents are neither read before nor needed
///               after the call.
/// Stream        One kernel, and a second, short one where output.pool is given. Captured graphs
///               may be replayed on changed inputs.
/// Threads       Safe to call from any number of host threads, each with its own workspace.
/// Limits        On a device: n c m and the elements of an image of x and y, that is of one n,
/// below
///               2^31; the padded height and width below 2^30. The number of all elements has no
///               limit.
/// Errors        invalid_argument: an option is out of range, a tensor is absent or has the wrong
///               shape, type or alignment, the padded image is smaller than the kernel, an output
///               is read-only or overlaps another tensor, no output is given, the workspace is too
///               small. unsupported: a tensor is not contiguous, a limit is exceeded, a forced
///               kernel does not take the call, or the device call is not in this build.
///               cuda_error: a launch failed. out_of_memory: the host's, on the CPU.
CUDET_API Status depthwise_conv(const DepthwiseConvOptions& options,
                                const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                                const Execution& execution) noexcept;

/// Types are float32, float16 or bfloat16, one for all but bias, which may also be float32.
struct DepthwiseConvBackwardInput {
  Tensor grad_output;  ///< shape of y: the gradient of what y is used in

  /// As forward. May be absent where grad_x is wanted, grad_weight is not, and the pre-activation
  /// need not be recomputed.
  Tensor x;

  Tensor weight;  ///< as forward

  /// As forward, optional; read where the pre-activation is recomputed, otherwise not looked at.
  Tensor bias;

  /// Shape of y: output.pre_activation of the forward call. Where it is absent and there is an
  /// activation, it is recomputed from x, weight and bias. Not looked at without an activation.
  Tensor pre_activation;
};

/// All optional, but at least one; what is absent is not written.
struct DepthwiseConvBackwardOutput {
  Tensor grad_x;       ///< shape and type of x
  Tensor grad_weight;  ///< shape of weight, its type or float32
  Tensor grad_bias;    ///< [c m], the type of weight or float32
};

/// The kernels that a device call takes for the gradients that are wanted; automatic for others.
struct DepthwiseConvBackwardKernels {
  DepthwiseConvKernel grad_x = DepthwiseConvKernel::automatic;
  DepthwiseConvKernel grad_weight = DepthwiseConvKernel::automatic;  ///< also of grad_bias
};

/// Reads options, shapes and types of the inputs, and which outputs are given.
CUDET_API Status depthwise_conv_backward_kernels(const DepthwiseConvOptions& options,
                                                 const DepthwiseConvBackwardInput& input,
                                                 const DepthwiseConvBackwardOutput& output,
                                                 DepthwiseConvBackwardKernels* kernels) noexcept;

/// Bytes of device workspace that depthwise_conv_backward() needs. Reads options, shapes and types
/// of the inputs, and which outputs are given. Pure host arithmetic, monotone in n, c, h and w.
CUDET_API Status depthwise_conv_backward_workspace_size(const DepthwiseConvOptions& options,
                                                        const DepthwiseConvBackwardInput& input,
                                                        const DepthwiseConvBackwardOutput& output,
                                                        std::size_t* bytes) noexcept;

/// Gradients of depthwise_conv(). With v = conv(x, weight) + bias and g = grad_output act'(v):
///   grad_x[b, c, .] = sum of weight[o, p, q] g[b, o, i, j] over all taps that read the element,
///   grad_weight[o, p, q] = sum over b, i, j of g[b, o, i, j] times the element of x that it reads,
///   grad_bias[o] = sum over b, i, j of g[b, o, i, j].
/// grad_output is also the gradient of the residual.
///
/// Activations   act'(v) as PyTorch has it where there are two sides: relu and leaky_relu take the
///               left one at 0, relu6 is 0 at 0 and at 6, hardswish is 0 below -3, v / 3 + 1/2 from
///               -3 to 3, and 1 above.
/// Saved or      A saved pre-activation has been rounded to its type, a recomputed one is float32:
///   recomputed  gradients differ by what that does to act'.
/// Arithmetic    Sums of float32 with fused multiply-adds; grad_weight and grad_bias add at most a
///               few thousand terms one after the other, and these sums as a tree.
/// Determinism   Same input, same bits, in every run on one kind of device; no float atomics.
/// Empty input   grad_weight and grad_bias of no images are 0, so is grad_x without outputs.
/// Other         As for depthwise_conv(), without output_scale; but in sums of grad_weight, an
///               infinity or NaN of x or g may also meet zeros beside the image.
CUDET_API Status depthwise_conv_backward(const DepthwiseConvOptions& options,
                                         const DepthwiseConvBackwardInput& input,
                                         const DepthwiseConvBackwardOutput& output,
                                         const Execution& execution) noexcept;

namespace reference {

/// The same from the definitions, in double, on host pointers.
CUDET_API Status depthwise_conv(const DepthwiseConvOptions& options,
                                const DepthwiseConvInput& input,
                                const DepthwiseConvOutput& output) noexcept;
CUDET_API Status depthwise_conv_backward(const DepthwiseConvOptions& options,
                                         const DepthwiseConvBackwardInput& input,
                                         const DepthwiseConvBackwardOutput& output) noexcept;

}  // namespace reference
}  // namespace cudet
