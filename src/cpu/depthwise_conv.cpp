// Depthwise convolution on the CPU: forward.
#include "depthwise_conv.h"

#include "depthwise_groups.h"
#include "depthwise_lines.h"
#include "parallel.h"

#include <cstdint>
#include <vector>

namespace cudet::cpu {
namespace {

/// Everything after the sums of products.
class Epilogue {
 public:
  Epilogue(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
           const DepthwiseConvInput& input, const DepthwiseConvOutput& output)
      : shape_(shape),
        options_(options),
        input_(input),
        output_(output),
        y_(reference::index_of_y(shape)),
        residual_(static_cast<std::size_t>(shape.ow * kSlab)) {}

  /// Outputs of a group of channels of image b, from their sums.
  void run(LineBuffers& buffers, std::int64_t b, const ChannelGroup& group) {
    const std::vector<float> bias = bias_of(input_.bias, group);
    double sums[kSlab] = {};
    for (std::int64_t i = 0; i < shape_.oh; ++i) {
      float* const row = buffers.output_row(i);
      add_bias(bias, row, shape_.ow * group.lanes);
      if (output_.pre_activation.present()) {
        store_row(output_.pre_activation, y_, b, group, i, row);
      }
      finish_row(row, b, group, i);
      if (output_.y.present()) store_row(output_.y, y_, b, group, i, row);
      if (!output_.pool.present()) continue;
      for (std::int64_t k = 0; k < shape_.ow * group.lanes; ++k)
        sums[k % group.lanes] += static_cast<double>(row[k]);
    }
    if (output_.pool.present()) store_pool(sums, b, group);
  }

 private:
  void finish_row(float* row, std::int64_t b, const ChannelGroup& group, std::int64_t i) {
    const std::int64_t count = shape_.ow * group.lanes;
    if (options_.activation == Activation::relu) {
      for (std::int64_t k = 0; k < count; ++k)
        row[k] = row[k] < 0.0f ? 0.0f : row[k];
    } else if (options_.activation != Activation::none) {
      const auto negative_slope = static_cast<double>(options_.negative_slope);
      for (std::int64_t k = 0; k < count; ++k) {
        row[k] = static_cast<float>(
            reference::activate(options_.activation, negative_slope, static_cast<double>(row[k])));
      }
    }
    if (!input_.residual.present()) return;
    load_row(input_.residual, y_, b, group, i, residual_.data());
    for (std::int64_t k = 0; k < count; ++k)
      row[k] += residual_[static_cast<std::size_t>(k)];
  }

  void store_pool(const double* sums, std::int64_t b, const ChannelGroup& group) const {
    const auto elements = static_cast<double>(shape_.oh) * static_cast<double>(shape_.ow);
    for (int k = 0; k < group.count; ++k) {
      reference::store_real(output_.pool, b * shape_.out_channels() + group.first + k * group.step,
                            static_cast<float>(sums[k] / elements));
    }
  }

  const DepthwiseConvShape& shape_;
  const DepthwiseConvOptions& options_;
  const DepthwiseConvInput& input_;
  const DepthwiseConvOutput& output_;
  reference::ImageIndex y_;
  std::vector<float> residual_;
};

}  // namespace

Status depthwise_conv(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                      const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                      int threads) {
  if (shape.type == DataType::int8 || !suits_lines(shape)) {
    return reference::depthwise_conv(options, input, output);
  }
  const DepthwiseLines lines(shape);
  const ChannelGroups groups(shape);
  const std::int64_t items = shape.n * groups.count();
  parallel_for(threads, items, stretch_of(items, threads),
               [&](std::int64_t begin, std::int64_t end) {
                 LineBuffers buffers(lines, groups.lanes());
                 Epilogue epilogue(shape, options, input, output);
                 for (std::int64_t item = begin; item < end; ++item) {
                   const std::int64_t b = item / groups.count();
                   const std::int64_t number = item % groups.count();
                   buffers.load_x(input.x, b, groups.of_x(number));
                   for (std::int64_t copy = 0; copy < shape.multiplier; ++copy) {
                     const ChannelGroup group = groups.of_y(number, copy);
                     buffers.load_weights(input.weight, group);
                     buffers.convolve();
                     epilogue.run(buffers, b, group);
                   }
                 }
               });
  return Status();
}

}  // namespace cudet::cpu
