#include "depthwise_pixels.h"

#include "depthwise_epilogue.h"
#include "depthwise_groups.h"
#include "depthwise_lines.h"
#include "parallel.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace cudet::cpu {
namespace {

/// The strips of a call, for images of any row length, and its weights and bias as the loops take
/// them.
class PixelTaps {
 public:
  PixelTaps(const DepthwiseConvShape& shape, const DepthwiseConvInput& input)
      : shape_(shape),
        runs_(tap_runs(shape.kernel_w, shape.stride_w, shape.dilation_w)),
        slabs_((shape.c + kSlab - 1) / kSlab),
        weights_(static_cast<std::size_t>(slabs_ * kSlab * taps())),
        bias_(static_cast<std::size_t>(slabs_ * kSlab)) {
    const std::int64_t step = tap_step(shape.kernel_w, shape.stride_w, shape.dilation_w);
    for (std::int64_t c = 0; c < shape.c; ++c) {
      float* to = weights_.data() + c / kSlab * taps() * kSlab + c % kSlab;
      for (std::int64_t p = 0; p < shape.kernel_h; ++p) {
        for (const TapRun& run : runs_) {
          for (int t = 0; t < run.taps; ++t) {
            const std::int64_t q = run.first + t * step;
            *to = reference::real_at(input.weight, reference::weight_index(shape, c, p, q));
            to += kSlab;
          }
        }
      }
      if (input.bias.present()) {
        bias_[static_cast<std::size_t>(c)] = reference::real_at(input.bias, c);
      }
    }
  }

  int taps() const { return static_cast<int>(shape_.kernel_h * shape_.kernel_w); }
  std::int64_t slabs() const { return slabs_; }
  int last_lanes() const { return static_cast<int>(shape_.c - (slabs_ - 1) * kSlab); }
  const float* weights() const { return weights_.data(); }
  const float* bias() const { return bias_.data(); }

  /// The strips of each row of taps, one row after the other.
  std::vector<DepthwiseStrip> strips() const {
    std::vector<DepthwiseStrip> strips;
    int first = 0;
    for (std::int64_t p = 0; p < shape_.kernel_h; ++p) {
      for (int r = 0; r < strips_of_row(); ++r) {
        const TapRun& run = runs_[static_cast<std::size_t>(r)];
        const std::int64_t column = run.first * shape_.dilation_w;
        const std::int64_t place = p * shape_.dilation_h * shape_.w + column;
        strips.push_back({place * shape_.c, first, run.taps, column, r});
        first += run.taps;
      }
    }
    return strips;
  }
  int strips_of_row() const { return static_cast<int>(runs_.size()); }

 private:
  const DepthwiseConvShape& shape_;
  std::vector<TapRun> runs_;
  std::int64_t slabs_;
  std::vector<float> weights_;
  std::vector<float> bias_;
};

/// Output rows that are computed together, at most: what they read of a few slabs stays in the
/// first-level cache, where each number is then used for all of them.
constexpr std::int64_t kRowsTogether = 4;

/// A stretch of output rows.
class PixelRows {
 public:
  PixelRows(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
            const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
            const PixelTaps& taps)
      : shape_(shape),
        x_(input.x.data_as<const float>()),
        y_(output.y.data_as<float>()),
        taps_(taps),
        epilogue_(shape, options, input, output),
        reach_((shape.kernel_w - 1) * shape.dilation_w + 1),
        strips_(taps.strips()) {
    constexpr std::int64_t kNumbers = 1 << 13;
    constexpr std::int64_t kPlaces = 8;
    const std::int64_t rows = kRowsTogether * shape.stride_h + shape.kernel_h;
    const std::int64_t columns = kPlaces * shape.stride_w + reach_;
    slabs_at_once_ = std::max<std::int64_t>(1, kNumbers / kSlab / (rows * columns + taps.taps()));
  }

  /// Output rows of image b from i on, at most kRowsTogether.
  void run(std::int64_t b, std::int64_t i, std::int64_t rows) {
    convolve(b, i, rows);
    const std::int64_t row = shape_.ow * shape_.c;
    epilogue_.run_in_place((b * shape_.oh + i) * row, rows * row);
  }

 private:
  /// The strips of output row i that do not read padding.
  DepthwiseRow strips_of(std::int64_t i) const {
    const int of_row = taps_.strips_of_row();
    int begin = 0;
    int end = shape_.kernel_h;
    while (begin < end && reference::row_of(shape_, i, begin) < 0)
      ++begin;
    while (end > begin && reference::row_of(shape_, i, end - 1) >= shape_.h)
      --end;
    return {begin * of_row, (end - begin) * of_row};
  }

  void convolve(std::int64_t b, std::int64_t i, std::int64_t count) {
    const std::int64_t row_numbers = shape_.w * shape_.c;
    // May lie before x, where it is not read.
    const std::int64_t top = b * shape_.h + reference::row_of(shape_, i, 0);
    const std::int64_t left = reference::column_of(shape_, 0, 0);
    const std::int64_t first = (b * shape_.oh + i) * shape_.ow;
    DepthwiseRow rows[kRowsTogether];
    // Nothing is read behind the last element in the place of channels that there are not.
    const std::int64_t missing = (taps_.slabs() * kSlab - 1) / shape_.c;
    std::int64_t whole = shape_.w;
    for (std::int64_t r = 0; r < count; ++r) {
      rows[r] = strips_of(i + r);
      const std::int64_t end = (rows[r].first + rows[r].count) / taps_.strips_of_row();
      const std::int64_t last = b * shape_.h + reference::row_of(shape_, i + r, end - 1);
      whole = std::min(whole, (shape_.n * shape_.h - last) * shape_.w - missing);
    }
    const DepthwiseStrips strips = {strips_.data(), static_cast<int>(strips_.size()),
                                    shape_.stride_w * shape_.c, taps_.weights(), taps_.taps()};
    const DepthwiseColumns columns = {left,     shape_.stride_w, reach_,
                                      shape_.w, whole,           taps_.strips_of_row()};
    const std::int64_t step = shape_.stride_h * row_numbers;
    const std::int64_t y_step = shape_.ow * shape_.c;
    float* const y = y_ + first * shape_.c;
    const std::int64_t next = top + (count - 1) * shape_.stride_h + shape_.kernel_h;
    depthwise_loops().convolve_slabs(
        x_ + top * row_numbers + left * shape_.c, strips, columns,
        {rows, count, step, y_step, slabs_at_once_},
        {x_ + next * row_numbers, shape_.stride_h * shape_.stride_w, y + count * y_step}, shape_.ow,
        taps_.slabs(), taps_.last_lanes(), {taps_.bias(), false, y, shape_.c});
  }

  const DepthwiseConvShape& shape_;
  const float* x_;
  float* y_;
  const PixelTaps& taps_;
  DepthwiseEpilogue epilogue_;
  std::int64_t reach_;  ///< columns that an output reads
  std::vector<DepthwiseStrip> strips_;
  std::int64_t slabs_at_once_;
};

}  // namespace

bool suits_pixels(const DepthwiseConvShape& shape, const DepthwiseConvOutput& output) noexcept {
  return shape.layout == ImageLayout::nhwc && shape.type == DataType::float32 &&
         shape.multiplier == 1 && output.y.present() && !output.pool.present();
}

void convolve_pixels(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                     const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                     int threads) {
  const PixelTaps taps(shape, input);
  const std::int64_t blocks = (shape.oh + kRowsTogether - 1) / kRowsTogether;
  const auto run_items = [&](std::int64_t begin, std::int64_t end) {
    PixelRows of_stretch(shape, options, input, output, taps);
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t row = item % blocks * kRowsTogether;
      of_stretch.run(item / blocks, row, std::min(kRowsTogether, shape.oh - row));
    }
  };
  parallel_for(threads, shape.n * blocks, stretch_of(shape.n * blocks, threads), run_items);
}

}  // namespace cudet::cpu
