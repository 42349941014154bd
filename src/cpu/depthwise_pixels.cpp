#include "depthwise_pixels.h"

#include "depthwise_epilogue.h"
#include "depthwise_groups.h"
#include "depthwise_lines.h"
#include "parallel.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace cudet::cpu {
namespace {

/// The rows of a call's images.
class Pixels {
 public:
  /// With `turned` the taps are in the other order, from the last one on.
  explicit Pixels(const DepthwiseConvShape& shape, bool turned = false) : shape_(shape) {
    const std::int64_t channels = turned ? -shape.c : shape.c;
    const std::int64_t step = tap_step(shape.kernel_w, shape.stride_w, shape.dilation_w);
    for (const TapRun& run : tap_runs(shape.kernel_w, shape.stride_w, shape.dilation_w))
      runs_.push_back({run.first * shape.dilation_w, run.first * channels, run.taps});
    first_weight_ = turned ? (shape.kernel_h * shape.kernel_w - 1) * shape.c : 0;
    window_ = {shape.c,
               shape.w,
               shape.stride_w,
               reference::column_of(shape, 0, 0),
               shape.dilation_h * shape.w * shape.c,
               runs_.data(),
               static_cast<int>(runs_.size()),
               shape.kernel_h,
               shape.kernel_w * channels,
               step * channels};
  }
  Pixels(const Pixels&) = delete;
  Pixels& operator=(const Pixels&) = delete;

  /// Output rows that are computed together: several that read the same rows.
  std::int64_t rows_together() const {
    return shape_.stride_h == shape_.dilation_h ? kPixelRows : 1;
  }

  /// Output rows of image b from i on, at most rows_together().
  void convolve(const float* x, const float* weights, const float* bias, std::int64_t b,
                std::int64_t i, std::int64_t count, float* y) const {
    const std::int64_t y_row = shape_.ow * shape_.c;
    depthwise_loops().convolve_pixels(
        row_of_x(x, b, i), window_, {tap_rows(i, count), static_cast<int>(count), y_row, shape_.ow},
        weights + first_weight_, bias, y + (b * shape_.oh + i) * y_row);
  }

  /// Adds what output row i of image b gives for the weights and the bias.
  void correlate(const float* x, const float* g, std::int64_t b, std::int64_t i, float* sums,
                 float* bias_sums) const {
    depthwise_loops().correlate_pixels(row_of_x(x, b, i), window_, tap_rows(i, 1),
                                       g + (b * shape_.oh + i) * shape_.ow * shape_.c, shape_.ow,
                                       sums, bias_sums);
  }

 private:
  /// May lie before x, where it is not read.
  const float* row_of_x(const float* x, std::int64_t b, std::int64_t i) const {
    return x + (b * shape_.h + reference::row_of(shape_, i, 0)) * shape_.w * shape_.c;
  }

  /// The rows of taps of `count` output rows from i on that do not read padding.
  TapRows tap_rows(std::int64_t i, std::int64_t count) const {
    TapRows rows = {0, shape_.kernel_h + static_cast<int>(count) - 1};
    while (rows.begin < rows.end && reference::row_of(shape_, i, rows.begin) < 0)
      ++rows.begin;
    while (rows.end > rows.begin && reference::row_of(shape_, i, rows.end - 1) >= shape_.h)
      --rows.end;
    return rows;
  }

  const DepthwiseConvShape shape_;
  std::vector<PixelRun> runs_;
  PixelWindow window_;
  std::int64_t first_weight_;
};

/// The convolution, with turned taps, that makes gradients of x of those of y.
DepthwiseConvShape transposed(const DepthwiseConvShape& shape) {
  DepthwiseConvShape of_gradients = shape;
  std::swap(of_gradients.h, of_gradients.oh);
  std::swap(of_gradients.w, of_gradients.ow);
  of_gradients.pad_top = (shape.kernel_h - 1) * shape.dilation_h - shape.pad_top;
  of_gradients.pad_left = (shape.kernel_w - 1) * shape.dilation_w - shape.pad_left;
  return of_gradients;
}

/// Stretches of output rows, whose sums for the weights and the bias are made one by one and then
/// added in their order, whatever thread they are of.
class CorrelatedRows {
 public:
  /// The most places of a stretch, but for those of one row: products are added in a lane.
  static constexpr std::int64_t kMostPlaces = 2048;

  /// Sums of a stretch are fewer than a quarter of its gradients.
  static std::int64_t places(const DepthwiseConvShape& shape) {
    constexpr std::int64_t kFewestPlaces = 256;
    const std::int64_t taps = static_cast<std::int64_t>(shape.kernel_h) * shape.kernel_w;
    return std::max(kFewestPlaces, 4 * (taps + 1));
  }

  explicit CorrelatedRows(const DepthwiseConvShape& shape)
      : n_(shape.n),
        rows_(std::max(shape.h, shape.oh)),
        size_((static_cast<std::int64_t>(shape.kernel_h) * shape.kernel_w + 1) * shape.c) {
    const std::int64_t most =
        std::max<std::int64_t>(1, places(shape) / std::max<std::int64_t>(shape.ow, 1));
    of_image_ = (rows_ + most - 1) / most;
    sums_.resize(static_cast<std::size_t>(count() * size_));
  }

  std::int64_t count() const { return n_ * of_image_; }
  std::int64_t image(std::int64_t stretch) const { return stretch / of_image_; }
  std::int64_t begin(std::int64_t stretch) const { return row(stretch % of_image_); }
  std::int64_t end(std::int64_t stretch) const { return row(stretch % of_image_ + 1); }

  /// Of the weights, in their order, and then of the bias.
  float* sums(std::int64_t stretch) { return sums_.data() + stretch * size_; }
  std::vector<double> total() const {
    std::vector<double> total(static_cast<std::size_t>(size_));
    const float* number = sums_.data();
    for (std::int64_t stretch = 0; stretch < count(); ++stretch) {
      for (double& sum : total)
        sum += static_cast<double>(*number++);
    }
    return total;
  }

 private:
  std::int64_t row(std::int64_t stretch) const { return stretch * rows_ / of_image_; }

  std::int64_t n_;
  std::int64_t rows_;
  std::int64_t size_;
  std::int64_t of_image_;
  std::vector<float> sums_;
};

}  // namespace

bool suits_pixels(const DepthwiseConvShape& shape, const DepthwiseConvOutput& output) noexcept {
  return shape.layout == ImageLayout::nhwc && shape.type == DataType::float32 &&
         shape.multiplier == 1 && output.y.present() && !output.pool.present();
}

void convolve_pixels(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                     const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                     int threads) {
  const Pixels pixels(shape);
  const float* const x = input.x.data_as<const float>();
  const float* const weights = input.weight.data_as<const float>();
  const std::vector<float> zeros(static_cast<std::size_t>(input.bias.present() ? 0 : shape.c));
  const float* const bias = input.bias.present() ? input.bias.data_as<const float>() : zeros.data();
  const DepthwiseEpilogue epilogue(shape, options, input, output);
  const std::int64_t together = pixels.rows_together();
  const std::int64_t blocks = (shape.oh + together - 1) / together;
  const auto run_items = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t b = item / blocks;
      const std::int64_t i = item % blocks * together;
      const std::int64_t rows = std::min(together, shape.oh - i);
      pixels.convolve(x, weights, bias, b, i, rows, output.y.data_as<float>());
      const std::int64_t row = shape.ow * shape.c;
      epilogue.run_in_place((b * shape.oh + i) * row, rows * row);
    }
  };
  parallel_for(threads, shape.n * blocks, stretch_of(shape, shape.n * blocks, threads), run_items);
}

bool suits_pixel_gradients(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                           const DepthwiseConvBackwardOutput& output) noexcept {
  const std::int64_t places = CorrelatedRows::places(shape);
  return shape.layout == ImageLayout::nhwc && shape.type == DataType::float32 &&
         shape.multiplier == 1 && shape.stride_h == 1 && shape.stride_w == 1 &&
         options.activation == Activation::none && output.grad_weight.present() &&
         std::max(shape.ow, places) <= CorrelatedRows::kMostPlaces && places <= shape.oh * shape.ow;
}

void pixel_gradients(const DepthwiseConvShape& shape, const DepthwiseConvBackwardInput& input,
                     const DepthwiseConvBackwardOutput& output, int threads) {
  const Pixels outputs(shape);
  const Pixels gradients(transposed(shape), true);
  const float* const x = input.x.data_as<const float>();
  const float* const g = input.grad_output.data_as<const float>();
  const std::int64_t weights = shape.kernel_h * shape.kernel_w * shape.c;
  const std::vector<float> zeros(static_cast<std::size_t>(shape.c));
  CorrelatedRows stretches(shape);
  const auto run_stretch = [&](std::int64_t stretch) {
    const std::int64_t b = stretches.image(stretch);
    const std::int64_t end = stretches.end(stretch);
    float* const sums = stretches.sums(stretch);
    std::int64_t count = gradients.rows_together();
    for (std::int64_t i = stretches.begin(stretch); i < end; i += count) {
      count = std::min(count, end - i);
      for (std::int64_t row = i; row < std::min(i + count, shape.oh); ++row)
        outputs.correlate(x, g, b, row, sums, sums + weights);
      const std::int64_t rows = std::min(count, shape.h - i);
      if (output.grad_x.present() && rows > 0) {
        gradients.convolve(g, input.weight.data_as<const float>(), zeros.data(), b, i, rows,
                           output.grad_x.data_as<float>());
      }
    }
  };
  parallel_for(threads, stretches.count(), stretch_of(shape, stretches.count(), threads),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t stretch = begin; stretch < end; ++stretch)
                   run_stretch(stretch);
               });
  const std::vector<double> total = stretches.total();
  for (std::int64_t k = 0; k < weights; ++k) {
    reference::store_real(output.grad_weight, k,
                          static_cast<float>(total[static_cast<std::size_t>(k)]));
  }
  for (std::int64_t c = 0; output.grad_bias.present() && c < shape.c; ++c) {
    reference::store_real(output.grad_bias, c,
                          static_cast<float>(total[static_cast<std::size_t>(weights + c)]));
  }
}

}  // namespace cudet::cpu
