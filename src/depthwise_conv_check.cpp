// Argument checks of the depthwise convolution and its gradients.
#include <cudet/depthwise_conv.h>

#include "check.h"
#include "depthwise_conv_plan.h"

#include <cinttypes>
#include <cmath>
#include <cstddef>

namespace cudet {
namespace {

constexpr const char* kForward = "depthwise_conv";
constexpr const char* kBackward = "depthwise_conv_backward";
constexpr std::int64_t kMaxStep = std::int64_t{1} << 30;

/// Accepted types, in static storage: an initializer_list does not own what it lists.
using Types = std::initializer_list<DataType>;
constexpr Types kFloat32 = {DataType::float32};
constexpr Types kFloat16 = {DataType::float16};
constexpr Types kBfloat16 = {DataType::bfloat16};
constexpr Types kInt8 = {DataType::int8};
constexpr Types kFloat32OrFloat16 = {DataType::float32, DataType::float16};
constexpr Types kFloat32OrBfloat16 = {DataType::float32, DataType::bfloat16};
constexpr Types kInt8OrFloat32 = {DataType::int8, DataType::float32};
constexpr Types kRealOrInt8 = {DataType::float32, DataType::float16, DataType::bfloat16,
                               DataType::int8};

Types only(DataType type) {
  switch (type) {
    case DataType::float16:
      return kFloat16;
    case DataType::bfloat16:
      return kBfloat16;
    case DataType::int8:
      return kInt8;
    default:
      return kFloat32;
  }
}

Types float32_or(DataType type) {
  switch (type) {
    case DataType::float16:
      return kFloat32OrFloat16;
    case DataType::bfloat16:
      return kFloat32OrBfloat16;
    default:
      return kFloat32;
  }
}

using Check = Status (*)(const TensorContract&, const Tensor&) noexcept;

Status check_range(const char* operation, const char* name, std::int64_t value,
                   std::int64_t smallest) {
  if (value >= smallest && value <= kMaxStep) return Status();
  return Status::error(StatusCode::invalid_argument, "%s: %s must be %d to 2^30, got %" PRId64,
                       operation, name, static_cast<int>(smallest), value);
}

Status check_steps(const char* operation, const DepthwiseConvOptions& options) {
  CUDET_RETURN_IF_ERROR(check_range(operation, "stride_h", options.stride_h, 1));
  CUDET_RETURN_IF_ERROR(check_range(operation, "stride_w", options.stride_w, 1));
  CUDET_RETURN_IF_ERROR(check_range(operation, "dilation_h", options.dilation_h, 1));
  return check_range(operation, "dilation_w", options.dilation_w, 1);
}

Status check_options(const char* operation, const DepthwiseConvOptions& options) {
  if (!is_enumerator(options.layout, 2)) {
    return Status::error(StatusCode::invalid_argument, "%s: layout must be nchw or nhwc, got %d",
                         operation, static_cast<int>(options.layout));
  }
  CUDET_RETURN_IF_ERROR(check_steps(operation, options));
  CUDET_RETURN_IF_ERROR(check_range(operation, "pad_top", options.pad_top, 0));
  CUDET_RETURN_IF_ERROR(check_range(operation, "pad_left", options.pad_left, 0));
  CUDET_RETURN_IF_ERROR(check_range(operation, "pad_bottom", options.pad_bottom, 0));
  CUDET_RETURN_IF_ERROR(check_range(operation, "pad_right", options.pad_right, 0));
  if (!is_enumerator(options.activation, 7)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: activation must be none, relu, relu6, leaky_relu, silu, hardswish or "
                         "gelu, got %d",
                         operation, static_cast<int>(options.activation));
  }
  if (!std::isfinite(options.negative_slope)) {
    return Status::error(StatusCode::invalid_argument, "%s: negative_slope must be finite, got %g",
                         operation, static_cast<double>(options.negative_slope));
  }
  if (!(options.output_scale > 0.0f && std::isfinite(options.output_scale))) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: output_scale must be finite and above 0, got %g", operation,
                         static_cast<double>(options.output_scale));
  }
  if (!is_enumerator(options.kernel, 6)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: kernel must be automatic, rows, planes, channels, tiles or generic, "
                         "got %d",
                         operation, static_cast<int>(options.kernel));
  }
  return Status();
}

/// x or, in the backward call, what has its shape.
Status check_image(const char* operation, const char* name, ImageLayout layout, Types types,
                   const Tensor& tensor, Check check) {
  return layout == ImageLayout::nchw
             ? check({operation, name, {{"n"}, {"c"}, {"h"}, {"w"}}, types}, tensor)
             : check({operation, name, {{"n"}, {"h"}, {"w"}, {"c"}}, types}, tensor);
}

Status check_image_as(const char* operation, const char* name, const DepthwiseConvShape& shape,
                      Types types, const Tensor& tensor, Check check) {
  const Dimension n = {"n", shape.n}, c = {"c", shape.c}, h = {"h", shape.h}, w = {"w", shape.w};
  return shape.layout == ImageLayout::nchw ? check({operation, name, {n, c, h, w}, types}, tensor)
                                           : check({operation, name, {n, h, w, c}, types}, tensor);
}

/// y and what has its shape.
Status check_result(const char* operation, const char* name, const DepthwiseConvShape& shape,
                    Types types, const Tensor& tensor, Check check) {
  const Dimension n = {"n", shape.n}, c = {"c m", shape.out_channels()};
  const Dimension oh = {"oh", shape.oh}, ow = {"ow", shape.ow};
  return shape.layout == ImageLayout::nchw
             ? check({operation, name, {n, c, oh, ow}, types}, tensor)
             : check({operation, name, {n, oh, ow, c}, types}, tensor);
}

/// A weight, whose sizes have names but are not known yet, and one of known sizes. The rank decides
/// which of two shapes it has.
Status check_weight(const char* operation, ImageLayout layout, std::int64_t c, Types types,
                    const Tensor& weight, Check check) {
  const bool rank4 = weight.present() && weight.rank() == 4;
  if (layout == ImageLayout::nchw) {
    return rank4 ? check({operation, "weight", {{"c m"}, {"1", 1}, {"kh"}, {"kw"}}, types}, weight)
                 : check({operation, "weight", {{"c m"}, {"kh"}, {"kw"}}, types}, weight);
  }
  return rank4 ? check({operation, "weight", {{"kh"}, {"kw"}, {"c", c}, {"m"}}, types}, weight)
               : check({operation, "weight", {{"kh"}, {"kw"}, {"c m"}}, types}, weight);
}

Status check_weight_gradient(const DepthwiseConvShape& shape, const Tensor& weight,
                             const Tensor& gradient) {
  const Dimension c = {"c", shape.c}, m = {"m", shape.multiplier};
  const Dimension outputs = {"c m", shape.out_channels()};
  const Dimension kh = {"kh", shape.kernel_h}, kw = {"kw", shape.kernel_w};
  const Types types = float32_or(shape.type);
  const char* name = "grad_weight";
  if (shape.layout == ImageLayout::nchw) {
    return weight.rank() == 4
               ? check_output({kBackward, name, {outputs, {"1", 1}, kh, kw}, types}, gradient)
               : check_output({kBackward, name, {outputs, kh, kw}, types}, gradient);
  }
  return weight.rank() == 4 ? check_output({kBackward, name, {kh, kw, c, m}, types}, gradient)
                            : check_output({kBackward, name, {kh, kw, outputs}, types}, gradient);
}

/// Reads n, c, h and w, and what follows from them and the weight.
Status derive_shape(const char* operation, const DepthwiseConvOptions& options, const Tensor& image,
                    const Tensor& weight, DepthwiseConvShape* shape) {
  const bool nchw = options.layout == ImageLayout::nchw;
  *shape = DepthwiseConvShape();
  shape->layout = options.layout;
  shape->type = image.type();
  shape->n = image.size(0);
  shape->c = image.size(nchw ? 1 : 3);
  shape->h = image.size(nchw ? 2 : 1);
  shape->w = image.size(nchw ? 3 : 2);
  const std::int64_t kernel_h = weight.size(nchw ? weight.rank() - 2 : 0);
  const std::int64_t kernel_w = weight.size(nchw ? weight.rank() - 1 : 1);
  if (kernel_h < 1 || kernel_h > kDepthwiseMaxKernel || kernel_w < 1 ||
      kernel_w > kDepthwiseMaxKernel) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: weight must have kh and kw of 1 to %d, got %" PRId64 " and %" PRId64,
                         operation, kDepthwiseMaxKernel, kernel_h, kernel_w);
  }
  shape->kernel_h = static_cast<int>(kernel_h);
  shape->kernel_w = static_cast<int>(kernel_w);
  if (!nchw && weight.rank() == 4) {
    shape->multiplier = weight.size(3);
  } else {
    const std::int64_t outputs = weight.size(nchw ? 0 : 2);
    if (shape->c == 0 ? outputs != 0 : outputs % shape->c != 0) {
      return Status::error(StatusCode::invalid_argument,
                           "%s: weight must have a multiple of c = %" PRId64
                           " channels, got %" PRId64,
                           operation, shape->c, outputs);
    }
    shape->multiplier = shape->c == 0 ? 1 : outputs / shape->c;
  }
  if (shape->multiplier < 1) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: weight must have a channel or more for one of x, got none",
                         operation);
  }
  shape->stride_h = options.stride_h;
  shape->stride_w = options.stride_w;
  shape->dilation_h = options.dilation_h;
  shape->dilation_w = options.dilation_w;
  shape->pad_top = options.pad_top;
  shape->pad_left = options.pad_left;
  shape->pad_bottom = options.pad_bottom;
  shape->pad_right = options.pad_right;

  const std::int64_t extent_h = (kernel_h - 1) * options.dilation_h + 1;
  const std::int64_t extent_w = (kernel_w - 1) * options.dilation_w + 1;
  const std::int64_t padding_h = options.pad_top + options.pad_bottom;
  const std::int64_t padding_w = options.pad_left + options.pad_right;
  // Tensor sizes may be any number where another one is 0.
  constexpr std::int64_t kMaxSize = INT64_MAX - 2 * kMaxStep;
  if (shape->h > kMaxSize || shape->w > kMaxSize) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: x must have a height and width below 2^63 - 2^31, got %" PRId64
                         " and %" PRId64,
                         operation, shape->h, shape->w);
  }
  const std::int64_t padded_h = shape->h + padding_h;
  const std::int64_t padded_w = shape->w + padding_w;
  if (padded_h < extent_h || padded_w < extent_w) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: x must not be smaller than the kernel, %" PRId64 " x %" PRId64
                         " with its dilation, got %" PRId64 " x %" PRId64 " with its padding",
                         operation, extent_h, extent_w, padded_h, padded_w);
  }
  shape->oh = (padded_h - extent_h) / options.stride_h + 1;
  shape->ow = (padded_w - extent_w) / options.stride_w + 1;
  return Status();
}

Status check_bias(const char* operation, const DepthwiseConvShape& shape, const Tensor& bias,
                  Check check) {
  if (!bias.present()) return Status();
  return check({operation, "bias", {{"c m", shape.out_channels()}}, float32_or(shape.type)}, bias);
}

Status refuse_with_int8(const DepthwiseConvShape& shape, const char* name, const Tensor& tensor) {
  if (shape.type != DataType::int8 || !tensor.present()) return Status();
  return Status::error(StatusCode::invalid_argument,
                       "%s: %s must not be given with x of type int8, got one", kForward, name);
}

Status check_forward_inputs(const DepthwiseConvInput& input, const DepthwiseConvShape& shape) {
  CUDET_RETURN_IF_ERROR(check_bias(kForward, shape, input.bias, check_input));
  if (shape.type == DataType::int8) {
    CUDET_RETURN_IF_ERROR(
        check_input({kForward, "scales", {{"c m", shape.out_channels()}}, kFloat32}, input.scales));
  } else if (input.scales.present()) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: scales must not be given without x of type int8, got some", kForward);
  }
  CUDET_RETURN_IF_ERROR(refuse_with_int8(shape, "residual", input.residual));
  if (!input.residual.present()) return Status();
  return check_result(kForward, "residual", shape, only(shape.type), input.residual, check_input);
}

Status check_forward_outputs(const DepthwiseConvOutput& output, const DepthwiseConvShape& shape) {
  if (output.y.present()) {
    const Types types = shape.type == DataType::int8 ? kInt8OrFloat32 : only(shape.type);
    CUDET_RETURN_IF_ERROR(check_result(kForward, "y", shape, types, output.y, check_output));
  }
  CUDET_RETURN_IF_ERROR(refuse_with_int8(shape, "pre_activation", output.pre_activation));
  if (output.pre_activation.present()) {
    CUDET_RETURN_IF_ERROR(check_result(kForward, "pre_activation", shape, only(shape.type),
                                       output.pre_activation, check_output));
  }
  if (!output.pool.present()) return Status();
  return check_output(
      {kForward, "pool", {{"n", shape.n}, {"c m", shape.out_channels()}}, float32_or(shape.type)},
      output.pool);
}

}  // namespace

Status check_depthwise_conv_shape(const char* operation, const DepthwiseConvOptions& options,
                                  const Tensor& x, const Tensor& weight,
                                  DepthwiseConvShape* shape) noexcept {
  CUDET_RETURN_IF_ERROR(check_options(operation, options));
  CUDET_RETURN_IF_ERROR(
      check_image(operation, "x", options.layout, kRealOrInt8, x, check_shape_and_type));
  const std::int64_t c = x.size(options.layout == ImageLayout::nchw ? 1 : 3);
  CUDET_RETURN_IF_ERROR(
      check_weight(operation, options.layout, c, only(x.type()), weight, check_shape_and_type));
  return derive_shape(operation, options, x, weight, shape);
}

Status check_depthwise_conv(const DepthwiseConvOptions& options, const DepthwiseConvInput& input,
                            const DepthwiseConvOutput& output, bool with_data,
                            DepthwiseConvShape* shape) noexcept {
  CUDET_RETURN_IF_ERROR(
      check_depthwise_conv_shape(kForward, options, input.x, input.weight, shape));
  if (!with_data) return Status();
  CUDET_RETURN_IF_ERROR(
      check_image(kForward, "x", options.layout, kRealOrInt8, input.x, check_input));
  CUDET_RETURN_IF_ERROR(check_weight(kForward, options.layout, shape->c, only(shape->type),
                                     input.weight, check_input));
  CUDET_RETURN_IF_ERROR(check_forward_inputs(input, *shape));
  if (!output.y.present() && !output.pre_activation.present() && !output.pool.present()) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: output must have at least one tensor, got none", kForward);
  }
  CUDET_RETURN_IF_ERROR(check_forward_outputs(output, *shape));
  return check_no_overlap(
      kForward,
      {{"x", &input.x},
       {"weight", &input.weight},
       {"bias", &input.bias},
       {"scales", &input.scales},
       {"residual", &input.residual}},
      {{"y", &output.y}, {"pre_activation", &output.pre_activation}, {"pool", &output.pool}});
}

Status check_depthwise_conv_backward(const DepthwiseConvOptions& options,
                                     const DepthwiseConvBackwardInput& input,
                                     const DepthwiseConvBackwardOutput& output, bool with_data,
                                     DepthwiseConvShape* shape) noexcept {
  CUDET_RETURN_IF_ERROR(check_options(kBackward, options));
  if (!output.grad_x.present() && !output.grad_weight.present() && !output.grad_bias.present()) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: output must have at least one tensor, got none", kBackward);
  }
  const Check check = with_data ? check_input : check_shape_and_type;
  const bool recomputes = options.activation != Activation::none && !input.pre_activation.present();
  const bool needs_x = output.grad_weight.present() || recomputes;
  // grad_x has the shape of an x that is not there; with grad_bias alone only x itself can tell it.
  const bool by_gradient = !needs_x && !input.x.present() && output.grad_x.present();
  const Tensor& image = by_gradient ? output.grad_x : input.x;
  CUDET_RETURN_IF_ERROR(check_image(kBackward, by_gradient ? "grad_x" : "x", options.layout,
                                    kRealTypes, image, check));
  const std::int64_t c = image.size(options.layout == ImageLayout::nchw ? 1 : 3);
  CUDET_RETURN_IF_ERROR(
      check_weight(kBackward, options.layout, c, only(image.type()), input.weight, check));
  CUDET_RETURN_IF_ERROR(derive_shape(kBackward, options, image, input.weight, shape));
  const Types type = only(shape->type);
  CUDET_RETURN_IF_ERROR(
      check_result(kBackward, "grad_output", *shape, type, input.grad_output, check));
  if (recomputes) CUDET_RETURN_IF_ERROR(check_bias(kBackward, *shape, input.bias, check));
  const bool reads_saved = options.activation != Activation::none && !recomputes;
  if (reads_saved) {
    CUDET_RETURN_IF_ERROR(
        check_result(kBackward, "pre_activation", *shape, type, input.pre_activation, check));
  }
  if (!with_data) return Status();
  if (output.grad_x.present()) {
    CUDET_RETURN_IF_ERROR(
        check_image_as(kBackward, "grad_x", *shape, type, output.grad_x, check_output));
  }
  if (output.grad_weight.present()) {
    CUDET_RETURN_IF_ERROR(check_weight_gradient(*shape, input.weight, output.grad_weight));
  }
  if (output.grad_bias.present()) {
    CUDET_RETURN_IF_ERROR(check_output(
        {kBackward, "grad_bias", {{"c m", shape->out_channels()}}, float32_or(shape->type)},
        output.grad_bias));
  }
  const Tensor none;
  return check_no_overlap(kBackward,
                          {{"grad_output", &input.grad_output},
                           {"x", &input.x},
                           {"weight", &input.weight},
                           {"bias", recomputes ? &input.bias : &none},
                           {"pre_activation", reads_saved ? &input.pre_activation : &none}},
                          {{"grad_x", &output.grad_x},
                           {"grad_weight", &output.grad_weight},
                           {"grad_bias", &output.grad_bias}});
}

Status check_same_padding(std::int64_t h, std::int64_t w, std::int64_t kernel_h,
                          std::int64_t kernel_w, const DepthwiseConvOptions* options) noexcept {
  constexpr const char* kSamePadding = "set_same_padding";
  constexpr std::int64_t kMaxSize = std::int64_t{1} << 62;
  if (h < 0 || h > kMaxSize || w < 0 || w > kMaxSize) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: h and w must be 0 to 2^62, got %" PRId64 " and %" PRId64,
                         kSamePadding, h, w);
  }
  if (kernel_h < 1 || kernel_h > kDepthwiseMaxKernel || kernel_w < 1 ||
      kernel_w > kDepthwiseMaxKernel) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: kernel_h and kernel_w must be 1 to %d, got %" PRId64 " and %" PRId64,
                         kSamePadding, kDepthwiseMaxKernel, kernel_h, kernel_w);
  }
  if (options == nullptr) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: options must not be null, got a null pointer", kSamePadding);
  }
  return check_steps(kSamePadding, *options);
}

Status check_depthwise_conv_limits(const char* operation,
                                   const DepthwiseConvShape& shape) noexcept {
  constexpr std::int64_t kLimit = INT32_MAX;
  const auto fits = [](std::initializer_list<std::int64_t> factors) {
    std::int64_t product = 1;
    for (const std::int64_t factor : factors) {
      if (__builtin_mul_overflow(product, factor, &product)) return false;
    }
    return product <= kLimit;
  };
  const std::int64_t outputs = shape.out_channels();
  if (outputs == 0) return Status();  // nothing to compute
  if (!fits({shape.n, outputs})) {
    return Status::error(StatusCode::unsupported,
                         "%s: y must have n c m below 2^31 on a device, got %" PRId64
                         " and %" PRId64,
                         operation, shape.n, outputs);
  }
  if (!fits({shape.c, shape.h, shape.w}) || !fits({outputs, shape.oh, shape.ow})) {
    return Status::error(StatusCode::unsupported,
                         "%s: x and y must have fewer than 2^31 elements an image on a device, got "
                         "%" PRId64 " x %" PRId64 " x %" PRId64 " and %" PRId64 " x %" PRId64
                         " x %" PRId64,
                         operation, shape.c, shape.h, shape.w, outputs, shape.oh, shape.ow);
  }
  constexpr std::int64_t kMaxPadded = std::int64_t{1} << 30;
  const std::int64_t padded_h = shape.pad_top + shape.h + shape.pad_bottom;
  const std::int64_t padded_w = shape.pad_left + shape.w + shape.pad_right;
  if (padded_h >= kMaxPadded || padded_w >= kMaxPadded) {
    return Status::error(StatusCode::unsupported,
                         "%s: x must have a padded height and width below 2^30 on a device, got "
                         "%" PRId64 " and %" PRId64,
                         operation, padded_h, padded_w);
  }
  return Status();
}

}  // namespace cudet
