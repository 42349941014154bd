// Depthwise convolution on the CPU: forward.
#include "depthwise_conv.h"

#include "depthwise_groups.h"
#include "depthwise_lines.h"
#include "parallel.h"

#include <algorithm>
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

  /// Rows `begin` ... `end` - 1 of a group of channels of image b, from their sums; their sums are
  /// added to `pool_sums`, by channel, where there is a pool.
  void run(LineBuffers& buffers, std::int64_t b, const ChannelGroup& group, std::int64_t begin,
           std::int64_t end, double* pool_sums) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* const row = buffers.output_row(i - begin);
      add_bias(input_.bias, group, row, shape_.ow * group.lanes);
      if (output_.pre_activation.present()) {
        store_row(output_.pre_activation, y_, b, group, i, row);
      }
      finish_row(row, b, group, i);
      if (output_.y.present()) store_row(output_.y, y_, b, group, i, row);
      if (output_.pool.present()) add_row(row, shape_.ow, group.lanes, pool_sums);
    }
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

  const DepthwiseConvShape& shape_;
  const DepthwiseConvOptions& options_;
  const DepthwiseConvInput& input_;
  const DepthwiseConvOutput& output_;
  reference::ImageIndex y_;
  std::vector<float> residual_;
};

/// Output rows of a band, so that its lines stay in the second-level cache. With a pool a plane is
/// one band.
std::int64_t band_rows(const DepthwiseConvShape& shape, bool pool, int lanes) {
  constexpr std::int64_t kNumbers = 1 << 15;
  constexpr std::int64_t kFewestRows = 8;
  if (pool) return shape.oh;
  const std::int64_t row = (shape.w + shape.pad_left + shape.pad_right) * lanes;
  return std::min(shape.oh, std::max(kFewestRows, kNumbers / row));
}

}  // namespace

Status depthwise_conv(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                      const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                      int threads) {
  if (shape.type == DataType::int8 || !suits_lines(shape)) {
    return reference::depthwise_conv(options, input, output);
  }
  const ChannelGroups groups(shape);
  const std::int64_t rows = band_rows(shape, output.pool.present(), groups.lanes());
  const std::int64_t bands = (shape.oh + rows - 1) / rows;
  const DepthwiseLines lines(shape, rows);
  const auto elements = static_cast<double>(shape.oh) * static_cast<double>(shape.ow);
  const std::int64_t items = shape.n * bands * groups.count();
  const auto run_items = [&](std::int64_t begin, std::int64_t end) {
    LineBuffers buffers(lines, groups.lanes());
    Epilogue epilogue(shape, options, input, output);
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t number = item % groups.count();
      const std::int64_t first_row = item / groups.count() % bands * rows;
      const std::int64_t last_row = std::min(first_row + rows, shape.oh);
      const std::int64_t b = item / groups.count() / bands;
      buffers.load_x(input.x, b, groups.of_x(number), first_row);
      for (std::int64_t copy = 0; copy < shape.multiplier; ++copy) {
        const ChannelGroup group = groups.of_y(number, copy);
        double sums[kSlab] = {};
        buffers.load_weights(input.weight, group);
        buffers.convolve(last_row - first_row);
        epilogue.run(buffers, b, group, first_row, last_row, sums);
        for (int k = 0; output.pool.present() && k < group.count; ++k) {
          reference::store_real(output.pool,
                                b * shape.out_channels() + group.first + k * group.step,
                                static_cast<float>(sums[k] / elements));
        }
      }
    }
  };
  parallel_for(threads, items, stretch_of(items, threads), run_items);
  return Status();
}

}  // namespace cudet::cpu
