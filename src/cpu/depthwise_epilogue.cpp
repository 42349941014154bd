#include "depthwise_epilogue.h"

#include <algorithm>

namespace cudet::cpu {

DepthwiseEpilogue::DepthwiseEpilogue(const DepthwiseConvShape& shape,
                                     const DepthwiseConvOptions& options,
                                     const DepthwiseConvInput& input,
                                     const DepthwiseConvOutput& output)
    : shape_(shape),
      options_(options),
      input_(input),
      output_(output),
      y_(reference::index_of_y(shape)),
      in_place_(output.y.present() && output.y.type() == DataType::float32) {}

void DepthwiseEpilogue::run_in_place(std::int64_t first, std::int64_t count) const {
  float* const values = output_.y.data_as<float>() + first;
  if (output_.pre_activation.present()) {
    std::copy_n(values, count, output_.pre_activation.data_as<float>() + first);
  }
  activate(values, count);
  if (!input_.residual.present()) return;
  const float* const residual = input_.residual.data_as<const float>() + first;
  for (std::int64_t k = 0; k < count; ++k)
    values[k] += residual[k];
}

void DepthwiseEpilogue::run(float* row, std::int64_t b, const ChannelGroup& group, std::int64_t i) {
  const std::int64_t count = shape_.ow * group.lanes;
  if (output_.pre_activation.present()) {
    store_row(output_.pre_activation, y_, b, group, i, row);
  }
  activate(row, count);
  if (input_.residual.present()) {
    residual_.resize(static_cast<std::size_t>(count));
    load_row(input_.residual, y_, b, group, i, residual_.data());
    for (std::int64_t k = 0; k < count; ++k)
      row[k] += residual_[static_cast<std::size_t>(k)];
  }
  if (output_.y.present()) store_row(output_.y, y_, b, group, i, row);
}

void DepthwiseEpilogue::activate(float* values, std::int64_t count) const {
  if (options_.activation == Activation::relu) {
    for (std::int64_t k = 0; k < count; ++k)
      values[k] = values[k] < 0.0f ? 0.0f : values[k];
  } else if (options_.activation != Activation::none) {
    const auto negative_slope = static_cast<double>(options_.negative_slope);
    for (std::int64_t k = 0; k < count; ++k) {
      values[k] = static_cast<float>(
          reference::activate(options_.activation, negative_slope, static_cast<double>(values[k])));
    }
  }
}

}  // namespace cudet::cpu
