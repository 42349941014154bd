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

  /// Those of each row of taps, one after the other; rows of taps are `row_step` numbers apart and
  /// places `place_step`.
  std::vector<DepthwiseStrip> strips(std::int64_t row_step, std::int64_t place_step) const {
    std::vector<DepthwiseStrip> strips;
    int first = 0;
    for (std::int64_t p = 0; p < shape_.kernel_h; ++p) {
      for (const TapRun& run : runs_) {
        const std::int64_t offset = p * row_step + run.first * shape_.dilation_w * place_step;
        strips.push_back({offset, first, run.taps});
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
        window_((kStripOutputs - 1) * shape.stride_w + (shape.kernel_w - 1) * shape.dilation_w + 1),
        place_numbers_(taps.slabs() * kSlab),
        in_x_(taps.strips(shape.dilation_h * shape.w * shape.c, shape.c)),
        in_copy_(taps.strips(window_ * place_numbers_, place_numbers_)),
        copy_(static_cast<std::size_t>(shape.kernel_h * window_ * place_numbers_)) {}

  void run(std::int64_t b, std::int64_t i) {
    rows_ = tap_rows(i);
    for (std::int64_t j = 0; j < shape_.ow;) {
      const std::int64_t inside = blocks_inside(b, i, j);
      const std::int64_t blocks = std::max<std::int64_t>(inside, 1);
      const std::int64_t places = std::min(shape_.ow - j, blocks * kStripOutputs);
      const std::int64_t first = ((b * shape_.oh + i) * shape_.ow + j) * shape_.c;
      if (inside > 0) {
        convolve(x_ + x_index(b, top(i), left(j)), in_x_, shape_.c, places, first);
      } else {
        load_copy(b, i, j);
        convolve(copy_.data(), in_copy_, place_numbers_, places, first);
      }
      j += places;
    }
    const std::int64_t row = shape_.ow * shape_.c;
    epilogue_.run_in_place((b * shape_.oh + i) * row, row);
  }

 private:
  std::int64_t top(std::int64_t i) const { return i * shape_.stride_h - shape_.pad_top; }
  std::int64_t left(std::int64_t j) const { return j * shape_.stride_w - shape_.pad_left; }
  std::int64_t x_index(std::int64_t b, std::int64_t row, std::int64_t column) const {
    return ((b * shape_.h + row) * shape_.w + column) * shape_.c;
  }

  /// Rows of taps that do not read padding: `begin` to `end` - 1.
  struct TapRows {
    std::int64_t begin, end;
  };
  TapRows tap_rows(std::int64_t i) const {
    TapRows rows = {0, shape_.kernel_h};
    while (rows.begin < rows.end && top(i) + rows.begin * shape_.dilation_h < 0)
      ++rows.begin;
    while (rows.end > rows.begin && top(i) + (rows.end - 1) * shape_.dilation_h >= shape_.h)
      --rows.end;
    return rows;
  }

  /// How many blocks of outputs from column j on read columns of x alone, and nothing behind its
  /// last element in the place of channels that there are not.
  std::int64_t blocks_inside(std::int64_t b, std::int64_t i, std::int64_t j) const {
    if (left(j) < 0 || rows_.begin == rows_.end) return 0;
    const std::int64_t last_row = top(i) + (rows_.end - 1) * shape_.dilation_h;
    const std::int64_t row = b * shape_.h + last_row;
    const std::int64_t missing = (place_numbers_ - 1) / shape_.c;  // places after the last one
    const std::int64_t places = shape_.n * shape_.h * shape_.w - missing - row * shape_.w;
    const std::int64_t room = std::min(shape_.w, places) - left(j) - window_;
    return room < 0 ? 0 : room / (kStripOutputs * shape_.stride_w) + 1;
  }

  /// Copies what a block of outputs from column j on reads, with zeros for the padding.
  void load_copy(std::int64_t b, std::int64_t i, std::int64_t j) {
    const std::int64_t begin = std::clamp<std::int64_t>(-left(j), 0, window_);
    const std::int64_t end = std::clamp<std::int64_t>(shape_.w - left(j), begin, window_);
    for (std::int64_t p = rows_.begin; p < rows_.end; ++p) {
      float* const to = copy_.data() + p * window_ * place_numbers_;
      std::fill_n(to, begin * place_numbers_, 0.0f);
      std::fill_n(to + end * place_numbers_, (window_ - end) * place_numbers_, 0.0f);
      if (begin == end) continue;
      const float* const from = x_ + x_index(b, top(i) + p * shape_.dilation_h, left(j) + begin);
      if (place_numbers_ == shape_.c) {
        std::copy_n(from, (end - begin) * shape_.c, to + begin * shape_.c);
        continue;
      }
      for (std::int64_t place = begin; place < end; ++place)
        std::copy_n(from + (place - begin) * shape_.c, shape_.c, to + place * place_numbers_);
    }
  }

  /// `places` outputs from number `first` on; what the first reads begins at `from`.
  void convolve(const float* from, const std::vector<DepthwiseStrip>& strips,
                std::int64_t place_step, std::int64_t places, std::int64_t first) {
    const std::int64_t of_row = taps_.strips_of_row();
    const DepthwiseStrips of_rows = {strips.data() + rows_.begin * of_row,
                                     static_cast<int>((rows_.end - rows_.begin) * of_row),
                                     shape_.stride_w * place_step, taps_.weights(), taps_.taps()};
    depthwise_loops().convolve_slabs(from, of_rows, places, taps_.slabs(), taps_.last_lanes(),
                                     {taps_.bias(), false, y_ + first, shape_.c});
  }

  const DepthwiseConvShape& shape_;
  const float* x_;
  float* y_;
  const PixelTaps& taps_;
  DepthwiseEpilogue epilogue_;
  std::int64_t window_;         ///< places that a block of outputs reads in a row
  std::int64_t place_numbers_;  ///< of a place in a copy: whole slabs
  TapRows rows_ = {0, 0};       ///< of the output row
  std::vector<DepthwiseStrip> in_x_;
  std::vector<DepthwiseStrip> in_copy_;
  std::vector<float> copy_;  ///< what the taps of a block of outputs read
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
