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
      for (const TapRun& run : runs_) {
        const std::int64_t column = run.first * shape_.dilation_w;
        const std::int64_t place = p * shape_.dilation_h * shape_.w + column;
        strips.push_back({place * shape_.c, first, run.taps, column});
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
    // What a block of outputs reads of them, and their weights, stay in the first-level cache.
    constexpr std::int64_t kNumbers = 1 << 13;
    constexpr std::int64_t kPlaces = 8;
    const std::int64_t columns = kPlaces * shape.stride_w + reach_;
    slabs_at_once_ =
        std::max<std::int64_t>(1, kNumbers / kSlab / (shape.kernel_h * columns + taps.taps()));
  }

  /// Output row i of image b.
  void run(std::int64_t b, std::int64_t i) {
    rows_ = tap_rows(i);
    for (std::int64_t slab = 0; slab < taps_.slabs(); slab += slabs_at_once_)
      convolve(b, i, slab, std::min(slabs_at_once_, taps_.slabs() - slab));
    const std::int64_t row = shape_.ow * shape_.c;
    epilogue_.run_in_place((b * shape_.oh + i) * row, row);
  }

 private:
  /// Rows of taps that do not read padding: `begin` to `end` - 1.
  struct TapRows {
    std::int64_t begin, end;
  };
  TapRows tap_rows(std::int64_t i) const {
    TapRows rows = {0, shape_.kernel_h};
    while (rows.begin < rows.end && reference::row_of(shape_, i, rows.begin) < 0)
      ++rows.begin;
    while (rows.end > rows.begin && reference::row_of(shape_, i, rows.end - 1) >= shape_.h)
      --rows.end;
    return rows;
  }

  void convolve(std::int64_t b, std::int64_t i, std::int64_t slab, std::int64_t slabs) {
    const std::int64_t channel = slab * kSlab;
    const int lanes = slab + slabs == taps_.slabs() ? taps_.last_lanes() : kSlab;
    const std::int64_t of_row = taps_.strips_of_row();
    const DepthwiseStrips strips = {
        strips_.data() + rows_.begin * of_row, static_cast<int>((rows_.end - rows_.begin) * of_row),
        shape_.stride_w * shape_.c, taps_.weights() + channel * taps_.taps(), taps_.taps()};
    const std::int64_t top = b * shape_.h + reference::row_of(shape_, i, 0);
    const std::int64_t left = reference::column_of(shape_, 0, 0);
    const std::int64_t first = (b * shape_.oh + i) * shape_.ow;
    // Nothing is read behind the last element in the place of channels that there are not.
    const std::int64_t missing = (taps_.slabs() * kSlab - 1) / shape_.c;
    const std::int64_t behind =
        shape_.n * shape_.h * shape_.w - (top + (rows_.end - 1) * shape_.dilation_h) * shape_.w;
    const DepthwiseColumns columns = {left, shape_.stride_w, reach_, shape_.w,
                                      std::min(shape_.w, behind - missing)};
    // May lie before x, where it is not read.
    const float* const x = x_ + (top * shape_.w + left) * shape_.c + channel;
    depthwise_loops().convolve_slabs(
        x, strips, columns, shape_.ow, slabs, lanes,
        {taps_.bias() + channel, false, y_ + first * shape_.c + channel, shape_.c});
  }

  const DepthwiseConvShape& shape_;
  const float* x_;
  float* y_;
  const PixelTaps& taps_;
  DepthwiseEpilogue epilogue_;
  std::int64_t reach_;  ///< columns that an output reads
  std::vector<DepthwiseStrip> strips_;
  std::int64_t slabs_at_once_;
  TapRows rows_ = {0, 0};  ///< of the output row
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
  const std::int64_t rows = shape.n * shape.oh;
  parallel_for(threads, rows, stretch_of(rows, threads), [&](std::int64_t begin, std::int64_t end) {
    PixelRows of_stretch(shape, options, input, output, taps);
    for (std::int64_t row = begin; row < end; ++row)
      of_stretch.run(row / shape.oh, row % shape.oh);
  });
}

}  // namespace cudet::cpu
