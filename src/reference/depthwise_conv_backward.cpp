// Gradients of the depthwise convolution from their definition, in double.
#include "depthwise_conv.h"

#include "../check.h"
#include "../host_memory.h"

#include <vector>

namespace cudet::reference {
namespace {

/// Gradient of what goes into the activation, element `index` = (b, o, i, j) of y.
double activated_gradient(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                          const DepthwiseConvBackwardInput& input, std::int64_t index,
                          std::int64_t b, std::int64_t o, std::int64_t i, std::int64_t j) {
  const auto gradient = static_cast<double>(real_at(input.grad_output, index));
  if (options.activation == Activation::none) return gradient;
  double v = 0.0;
  if (input.pre_activation.present()) {
    v = static_cast<double>(real_at(input.pre_activation, index));
  } else {
    for_each_tap(shape, b, o, i, j, [&](std::int64_t tap, std::int64_t element) {
      v += static_cast<double>(real_at(input.weight, tap)) *
           static_cast<double>(real_at(input.x, element));
    });
    if (input.bias.present()) v += static_cast<double>(real_at(input.bias, o));
  }
  return gradient *
         activation_slope(options.activation, static_cast<double>(options.negative_slope), v);
}

void store_all(const Tensor& tensor, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    store_real(tensor, static_cast<std::int64_t>(i), static_cast<float>(values[i]));
}

std::vector<double> zeros_of(const Tensor& tensor) {
  return std::vector<double>(
      tensor.present() ? static_cast<std::size_t>(tensor.element_count()) : 0, 0.0);
}

}  // namespace

Status depthwise_conv_backward(const DepthwiseConvOptions& options,
                               const DepthwiseConvBackwardInput& input,
                               const DepthwiseConvBackwardOutput& output) noexcept try {
  DepthwiseConvShape shape;
  CUDET_RETURN_IF_ERROR(check_depthwise_conv_backward(options, input, output, true, &shape));
  std::vector<double> grad_x = zeros_of(output.grad_x);
  std::vector<double> grad_weight = zeros_of(output.grad_weight);
  std::vector<double> grad_bias = zeros_of(output.grad_bias);
  const ImageIndex y = index_of_y(shape);
  for (std::int64_t b = 0; b < shape.n; ++b) {
    for (std::int64_t o = 0; o < shape.out_channels(); ++o) {
      for (std::int64_t i = 0; i < shape.oh; ++i) {
        for (std::int64_t j = 0; j < shape.ow; ++j) {
          const double g = activated_gradient(shape, options, input, y(b, o, i, j), b, o, i, j);
          if (!grad_bias.empty()) grad_bias[static_cast<std::size_t>(o)] += g;
          for_each_tap(shape, b, o, i, j, [&](std::int64_t tap, std::int64_t element) {
            if (!grad_x.empty()) {
              grad_x[static_cast<std::size_t>(element)] +=
                  static_cast<double>(real_at(input.weight, tap)) * g;
            }
            if (!grad_weight.empty()) {
              grad_weight[static_cast<std::size_t>(tap)] +=
                  static_cast<double>(real_at(input.x, element)) * g;
            }
          });
        }
      }
    }
  }
  store_all(output.grad_x, grad_x);
  store_all(output.grad_weight, grad_weight);
  store_all(output.grad_bias, grad_bias);
  return Status();
} catch (const std::bad_alloc&) {
  return out_of_host_memory("depthwise_conv_backward");
}

}  // namespace cudet::reference
