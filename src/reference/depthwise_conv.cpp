// Depthwise convolution from its definition (include/cudet/depthwise_conv.h), in double.
#include "depthwise_conv.h"

#include "../check.h"

namespace cudet::reference {
namespace {

/// What goes into the activation.
double convolve(const DepthwiseConvShape& shape, const DepthwiseConvInput& input, std::int64_t b,
                std::int64_t o, std::int64_t i, std::int64_t j) {
  double sum = 0.0;
  if (shape.type == DataType::int8) {
    for_each_tap(shape, b, o, i, j, [&](std::int64_t tap, std::int64_t element) {
      sum += static_cast<double>(input.weight.data_as<const std::int8_t>()[tap] *
                                 input.x.data_as<const std::int8_t>()[element]);
    });
    sum *= static_cast<double>(real_at(input.scales, o));
  } else {
    for_each_tap(shape, b, o, i, j, [&](std::int64_t tap, std::int64_t element) {
      sum += static_cast<double>(real_at(input.weight, tap)) *
             static_cast<double>(real_at(input.x, element));
    });
  }
  return input.bias.present() ? sum + static_cast<double>(real_at(input.bias, o)) : sum;
}

void store(const Tensor& tensor, std::int64_t index, double value, float output_scale) {
  if (tensor.type() == DataType::int8) {
    const double scaled = std::nearbyint(value / static_cast<double>(output_scale));
    tensor.data_as<std::int8_t>()[index] =
        std::isnan(scaled) ? std::int8_t{0}
                           : static_cast<std::int8_t>(clamp(scaled, -128.0, 127.0));
  } else {
    store_real(tensor, index, static_cast<float>(value));
  }
}

/// One plane of y; returns the sum of its elements.
double convolve_plane(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                      const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                      std::int64_t b, std::int64_t o) {
  const ImageIndex y = index_of_y(shape);
  const auto negative_slope = static_cast<double>(options.negative_slope);
  double sum = 0.0;
  for (std::int64_t i = 0; i < shape.oh; ++i) {
    for (std::int64_t j = 0; j < shape.ow; ++j) {
      const std::int64_t index = y(b, o, i, j);
      const double v = convolve(shape, input, b, o, i, j);
      double value = activate(options.activation, negative_slope, v);
      if (input.residual.present()) value += static_cast<double>(real_at(input.residual, index));
      if (output.y.present()) store(output.y, index, value, options.output_scale);
      if (output.pre_activation.present()) {
        store_real(output.pre_activation, index, static_cast<float>(v));
      }
      sum += value;
    }
  }
  return sum;
}

}  // namespace

Status depthwise_conv(const DepthwiseConvOptions& options, const DepthwiseConvInput& input,
                      const DepthwiseConvOutput& output) noexcept {
  DepthwiseConvShape shape;
  CUDET_RETURN_IF_ERROR(check_depthwise_conv(options, input, output, true, &shape));
  const auto elements = static_cast<double>(shape.oh) * static_cast<double>(shape.ow);
  for (std::int64_t b = 0; b < shape.n; ++b) {
    for (std::int64_t o = 0; o < shape.out_channels(); ++o) {
      const double sum = convolve_plane(shape, options, input, output, b, o);
      if (!output.pool.present()) continue;
      store_real(output.pool, b * shape.out_channels() + o, static_cast<float>(sum / elements));
    }
  }
  return Status();
}

}  // namespace cudet::reference
