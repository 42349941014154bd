// Depthwise convolution on the CPU: forward.
#include "depthwise_conv.h"

#include "depthwise_epilogue.h"
#include "depthwise_groups.h"
#include "depthwise_lines.h"
#include "depthwise_pixels.h"
#include "depthwise_planes.h"
#include "parallel.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace cudet::cpu {
namespace {

/// A stretch of bands of groups of channels.
class Bands {
 public:
  Bands(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
        const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
        const DepthwiseLines& lines, const ChannelGroups& groups)
      : shape_(shape),
        input_(input),
        output_(output),
        lines_(lines),
        groups_(groups),
        buffers_(lines, groups.lanes()),
        epilogue_(shape, options, input, output) {}

  /// Rows of image b from `begin` on of the groups of y that read group `number` of x.
  void run(std::int64_t b, std::int64_t number, std::int64_t begin) {
    const std::int64_t rows = std::min(lines_.band_rows, shape_.oh - begin);
    buffers_.load_x(input_.x, b, groups_.of_x(number), begin);
    for (std::int64_t copy = 0; copy < shape_.multiplier; ++copy) {
      const ChannelGroup group = groups_.of_y(number, copy);
      double sums[kSlab] = {};
      buffers_.load_weights(input_.weight, input_.bias, group);
      if (groups_.lanes() == 1 && epilogue_.in_place()) {
        const std::int64_t first = reference::index_of_y(shape_)(b, group.first, begin, 0);
        float* const y = output_.y.data_as<float>() + first;
        buffers_.convolve(0, rows, y, shape_.ow);
        epilogue_.run_in_place(first, rows * shape_.ow);
        if (output_.pool.present()) buffers_.add_up(y, rows * shape_.ow, sums);
      } else {
        // Rows of slabs are finished one by one, while they are in the first-level cache.
        const std::int64_t at_once = groups_.lanes() == 1 ? rows : 1;
        for (std::int64_t i = 0; i < rows; ++i) {
          float* const row = buffers_.output_row(i % at_once);
          if (i % at_once == 0) buffers_.convolve(i, at_once, row, buffers_.output_step());
          epilogue_.run(row, b, group, begin + i);
          if (output_.pool.present()) buffers_.add_up(row, shape_.ow, sums);
        }
      }
      if (output_.pool.present()) store_means(b, group, sums);
    }
  }

 private:
  void store_means(std::int64_t b, const ChannelGroup& group, const double* sums) const {
    const auto elements = static_cast<double>(shape_.oh) * static_cast<double>(shape_.ow);
    for (int k = 0; k < group.count; ++k) {
      reference::store_real(output_.pool, b * shape_.out_channels() + group.first + k * group.step,
                            static_cast<float>(sums[k] / elements));
    }
  }

  const DepthwiseConvShape& shape_;
  const DepthwiseConvInput& input_;
  const DepthwiseConvOutput& output_;
  const DepthwiseLines& lines_;
  const ChannelGroups& groups_;
  LineBuffers buffers_;
  DepthwiseEpilogue epilogue_;
};

}  // namespace

Status depthwise_conv(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                      const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                      int threads) {
  if (shape.type == DataType::int8 || !suits_lines(shape)) {
    return reference::depthwise_conv(options, input, output);
  }
  if (suits_pixels(shape, output)) {
    convolve_pixels(shape, options, input, output, threads);
    return Status();
  }
  if (suits_planes(shape, output)) {
    convolve_planes(shape, options, input, output, threads);
    return Status();
  }
  const ChannelGroups groups(shape);
  const std::int64_t rows = rows_of_band(shape, output, groups.lanes());
  const std::int64_t bands = (shape.oh + rows - 1) / rows;
  const DepthwiseLines lines(shape, groups.lanes(), rows);
  const std::int64_t items = shape.n * bands * groups.count();
  const auto run_items = [&](std::int64_t begin, std::int64_t end) {
    Bands of_stretch(shape, options, input, output, lines, groups);
    for (std::int64_t item = begin; item < end; ++item) {
      // A group goes through all images, since its weights are put in order first.
      const std::int64_t band = item % (shape.n * bands);
      of_stretch.run(band / bands, item / (shape.n * bands), band % bands * rows);
    }
  };
  parallel_for(threads, items, stretch_of(shape, items, threads), run_items);
  return Status();
}

}  // namespace cudet::cpu
