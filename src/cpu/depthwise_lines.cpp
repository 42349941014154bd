#include "depthwise_lines.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

namespace cudet::cpu {
namespace {

constexpr float kZeros[kSlab] = {};

/// Numbers of `places`, and of what loops read beyond the last one.
std::size_t padded_size(std::int64_t places, std::int64_t row_places, int lanes) {
  return static_cast<std::size_t>((places + kStripOutputs * row_places + kDepthwiseRoom) * lanes);
}

/// The columns of x that a phase has, and the place of the first in its rows: those before are of
/// the padding.
struct ColumnsOfPhase {
  std::int64_t first;
  std::int64_t count;
  std::int64_t place;
};
ColumnsOfPhase columns_of(const DepthwiseConvShape& shape, const Phase& phase) {
  const std::int64_t left = std::max<std::int64_t>(shape.pad_left - phase.column, 0);
  const std::int64_t place = (left + shape.stride_w - 1) / shape.stride_w;
  const std::int64_t first = place * shape.stride_w + phase.column - shape.pad_left;
  const std::int64_t columns = std::max<std::int64_t>(shape.w - first, 0);
  return {first, (columns + shape.stride_w - 1) / shape.stride_w, place};
}

/// Copies `count` places of `lanes` numbers, from every `from_step`th to every `to_step`th.
void copy_places(const float* from, std::int64_t from_step, float* to, std::int64_t to_step,
                 std::int64_t count, int lanes) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (lanes == 1) {
      to[i * to_step] = from[i * from_step];
    } else {
      std::memcpy(to + i * to_step * kSlab, from + i * from_step * kSlab, kSlab * sizeof(float));
    }
  }
}

}  // namespace

std::int64_t tap_step(std::int64_t kernel, std::int64_t stride, std::int64_t dilation) {
  return stride % dilation == 0 ? std::min(stride / dilation, kernel) : kernel;
}

std::vector<TapRun> tap_runs(std::int64_t kernel, std::int64_t stride, std::int64_t dilation) {
  const std::int64_t step = tap_step(kernel, stride, dilation);
  std::vector<TapRun> runs;
  for (std::int64_t start = 0; start < step; ++start) {
    for (std::int64_t first = start; first < kernel; first += kStripTaps * step) {
      const std::int64_t taps = (kernel - first + step - 1) / step;
      runs.push_back({first, static_cast<int>(std::min<std::int64_t>(taps, kStripTaps))});
    }
  }
  return runs;
}

DepthwiseLines::DepthwiseLines(const DepthwiseConvShape& of, int lanes, std::int64_t rows)
    : shape(of), band_rows(rows) {
  const std::int64_t reach = (shape.kernel_h - 1) * shape.dilation_h + 1;
  padded_h = rows == shape.oh ? shape.h + shape.pad_top + shape.pad_bottom
                              : (rows - 1) * shape.stride_h + reach;
  const std::int64_t padded_w = shape.w + shape.pad_left + shape.pad_right;
  phase_rows = (padded_h + shape.stride_h - 1) / shape.stride_h;
  row_places = (padded_w + shape.stride_w - 1) / shape.stride_w;
  const bool below = lanes == 1;
  const std::int64_t step = below ? tap_step(shape.kernel_h, shape.stride_h, shape.dilation_h)
                                  : tap_step(shape.kernel_w, shape.stride_w, shape.dilation_w);
  const std::vector<TapRun> runs = below
                                       ? tap_runs(shape.kernel_h, shape.stride_h, shape.dilation_h)
                                       : tap_runs(shape.kernel_w, shape.stride_w, shape.dilation_w);
  for (std::int64_t across = 0; across < (below ? shape.kernel_w : shape.kernel_h); ++across) {
    for (const TapRun& run : runs) {
      strips.push_back({static_cast<std::int64_t>(taps.size()), run.taps});
      for (int t = 0; t < run.taps; ++t) {
        const std::int64_t along = run.first + t * step;
        add_tap(below ? along : across, below ? across : along);
      }
    }
  }
}

void DepthwiseLines::add_tap(std::int64_t p, std::int64_t q) {
  const std::int64_t row = p * shape.dilation_h;
  const std::int64_t column = q * shape.dilation_w;
  const Phase phase = {row % shape.stride_h, column % shape.stride_w};
  const auto found = std::find_if(phases.begin(), phases.end(), [&](const Phase& other) {
    return other.row == phase.row && other.column == phase.column;
  });
  taps.push_back({p, q, found - phases.begin(), row / shape.stride_h, column / shape.stride_w});
  if (found == phases.end()) phases.push_back(phase);
  margin_rows = std::max(margin_rows, taps.back().row);
  margin_columns = std::max(margin_columns, taps.back().column);
}

bool suits_lines(const DepthwiseConvShape& shape) noexcept {
  const auto product = [](std::int64_t a, std::int64_t b) {
    return static_cast<double>(a) * static_cast<double>(b);
  };
  const auto phases_of = [](std::int64_t stride, std::int64_t kernel) {
    return std::min(stride, kernel);
  };
  const double phases =
      product(phases_of(shape.stride_h, shape.kernel_h), phases_of(shape.stride_w, shape.kernel_w));
  const double padded = product((shape.h + shape.pad_top + shape.pad_bottom) / shape.stride_h + 1,
                                (shape.w + shape.pad_left + shape.pad_right) / shape.stride_w + 1);
  constexpr double kAlways = 65536.0;
  return phases * padded <=
         kAlways + 4.0 * (product(shape.h, shape.w) + product(shape.oh, shape.ow));
}

LineBuffers::LineBuffers(const DepthwiseLines& lines, int lanes)
    : lines_(lines),
      lanes_(lanes),
      gradient_places_(lines.margin_columns + lines.row_places),
      x_(padded_size(
          static_cast<std::int64_t>(lines.phases.size()) * lines.phase_rows * lines.row_places,
          lines.row_places, lanes)),
      outputs_(padded_size(lines.band_rows * lines.row_places, 0, lanes)),
      line_(static_cast<std::size_t>(lines.shape.w * lanes)),
      offsets_(lines.taps.size()),
      weights_(lines.taps.size() * static_cast<std::size_t>(lanes)),
      turned_weights_(lines.taps.size() * static_cast<std::size_t>(lanes)) {
  std::transform(lines_.taps.begin(), lines_.taps.end(), offsets_.begin(),
                 [this](const TapPlace& tap) { return x_offset(tap); });
  for (const TapRun& strip : lines_.strips) {
    strips_.push_back({offsets_[static_cast<std::size_t>(strip.first)],
                       static_cast<int>(strip.first), strip.taps});
  }
}

void LineBuffers::load_x(const Tensor& x, std::int64_t b, const ChannelGroup& group,
                         std::int64_t first_row) {
  const DepthwiseConvShape& shape = lines_.shape;
  if (lanes_ == 1 && shape.stride_w <= 2 && x.type() == DataType::float32) {
    const std::int64_t first = reference::index_of_x(shape)(b, group.first, 0, 0);
    load_plane(x.data_as<const float>() + first, first_row);
  } else {
    load_rows(x, b, group, first_row);
  }
}

void LineBuffers::load_plane(const float* plane, std::int64_t first_row) {
  const DepthwiseConvShape& shape = lines_.shape;
  const DepthwiseLoops& loops = depthwise_loops();
  for (std::size_t f = 0; f < lines_.phases.size(); ++f) {
    const Phase& phase = lines_.phases[f];
    // Rows `begin` ... `end` - 1 of the phase exist, those around them are zeros.
    const std::int64_t top = first_row * shape.stride_h + phase.row - shape.pad_top;
    const auto row_from = [&](std::int64_t row) {
      const std::int64_t rows = row - top + shape.stride_h - 1;
      return std::min(lines_.phase_rows, rows < 0 ? 0 : rows / shape.stride_h);
    };
    const std::int64_t begin = row_from(0);
    const std::int64_t end = row_from(shape.h);
    float* const to = phase_row(static_cast<std::int64_t>(f), 0);
    // Of a whole image these rows are never anything else.
    if (lines_.band_rows != shape.oh) {
      std::fill_n(to, begin * lines_.row_places, 0.0f);
      std::fill_n(to + end * lines_.row_places, (lines_.phase_rows - end) * lines_.row_places,
                  0.0f);
    }
    const ColumnsOfPhase columns = columns_of(shape, phase);
    if (columns.count == 0 || begin == end) continue;
    const RowsCopy copy = {plane + (top + begin * shape.stride_h) * shape.w + columns.first,
                           shape.stride_h * shape.w,
                           to + begin * lines_.row_places + columns.place,
                           lines_.row_places,
                           end - begin,
                           columns.count};
    (shape.stride_w == 1 ? loops.copy : loops.copy_even)(copy);
  }
}

void LineBuffers::load_rows(const Tensor& x, std::int64_t b, const ChannelGroup& group,
                            std::int64_t first_row) {
  const DepthwiseConvShape& shape = lines_.shape;
  const reference::ImageIndex index = reference::index_of_x(shape);
  const bool is_whole = lines_.band_rows == shape.oh;
  std::int64_t remainder = 0;  // of the row in the padded image, divided by the stride
  std::int64_t quotient = 0;
  for (std::int64_t padded_i = 0; padded_i < lines_.padded_h; ++padded_i) {
    const std::int64_t i = first_row * shape.stride_h + padded_i - shape.pad_top;
    const bool exists = i >= 0 && i < shape.h;
    bool loaded = false;
    for (std::size_t f = 0; f < lines_.phases.size(); ++f) {
      if (lines_.phases[f].row != remainder) continue;
      float* const row = phase_row(static_cast<std::int64_t>(f), quotient);
      if (!exists) {
        // Of a whole image these rows are never anything else.
        if (!is_whole) std::fill_n(row, lines_.row_places * lanes_, 0.0f);
      } else if (shape.stride_w == 1) {
        load_row(x, index, b, group, i, row + shape.pad_left * lanes_);
      } else {
        if (!loaded) load_row(x, index, b, group, i, line_.data());
        loaded = true;
        const ColumnsOfPhase columns = columns_of(shape, lines_.phases[f]);
        copy_places(line_.data() + columns.first * lanes_, shape.stride_w,
                    row + columns.place * lanes_, 1, columns.count, lanes_);
      }
    }
    if (++remainder == shape.stride_h) {
      remainder = 0;
      ++quotient;
    }
  }
}

void LineBuffers::load_weights(const Tensor& weight, const Tensor& bias,
                               const ChannelGroup& group) {
  if (weights_of_ == group.first) return;
  weights_of_ = group.first;
  for (int k = 0; k < group.count; ++k) {
    const std::int64_t o = group.first + k * group.step;
    float* to = weights_.data() + k;
    for (const TapPlace& tap : lines_.taps) {
      *to = reference::real_at(weight, reference::weight_index(lines_.shape, o, tap.p, tap.q));
      to += lanes_;
    }
    if (bias.present()) start_[k] = reference::real_at(bias, o);
  }
}

void LineBuffers::convolve(std::int64_t first, std::int64_t rows, float* y,
                           std::int64_t step) const {
  const DepthwiseLoops& loops = depthwise_loops();
  const auto strips = static_cast<int>(strips_.size());
  const float* const x = x_.data() + first * lines_.row_places * lanes_;
  if (lanes_ == 1) {
    const TapStrips of = {strips_.data(), strips, lines_.row_places, weights_.data()};
    return loops.convolve(x, of, rows, lines_.shape.ow, {start_, false, y, step});
  }
  const TapStrips of = {strips_.data(), strips, kSlab, weights_.data()};
  loops.convolve_lines(x, of, {rows, lines_.shape.ow, lines_.row_places * kSlab, step},
                       {start_, false, y, kSlab});
}

void LineBuffers::add_up(const float* numbers, std::int64_t places, double* sums) const {
  const DepthwiseLoops& loops = depthwise_loops();
  (lanes_ == 1 ? loops.add_up : loops.add_up_slab)(numbers, places, sums);
}

void LineBuffers::correlate(double* sums) {
  const DepthwiseLoops& loops = depthwise_loops();
  const DepthwiseTaps taps = {offsets_.data(), static_cast<int>(offsets_.size())};
  std::vector<double>& of_image = image_sums_;
  of_image.assign(offsets_.size() * static_cast<std::size_t>(lanes_), 0.0);
  (lanes_ == 1 ? loops.correlate : loops.correlate_slab)(x_.data(), taps, output_places(),
                                                         outputs_.data(), of_image.data());
  // An infinity or a NaN meets zeros between the rows and in the padding, and what comes of that
  // does not belong to the sum.
  const bool finite =
      std::all_of(of_image.begin(), of_image.end(), [](double sum) { return std::isfinite(sum); });
  if (!finite) return correlate_tap_by_tap(sums);
  std::transform(of_image.begin(), of_image.end(), sums, sums, std::plus<double>());
}

void LineBuffers::correlate_tap_by_tap(double* sums) const {
  const DepthwiseConvShape& shape = lines_.shape;
  for (const TapPlace& tap : lines_.taps) {
    for (std::int64_t i = 0; i < shape.oh; ++i) {
      const std::int64_t row = reference::row_of(shape, i, tap.p);
      if (row < 0 || row >= shape.h) continue;
      const float* const x = x_.data() + x_offset(tap) + i * lines_.row_places * lanes_;
      const float* const gradient = outputs_.data() + i * output_step();
      for (std::int64_t j = 0; j < shape.ow; ++j) {
        const std::int64_t column = reference::column_of(shape, j, tap.q);
        if (column < 0 || column >= shape.w) continue;
        for (std::int64_t k = 0; k < lanes_; ++k) {
          const std::int64_t number = j * lanes_ + k;
          sums[k] += static_cast<double>(gradient[number]) * static_cast<double>(x[number]);
        }
      }
    }
    sums += lanes_;
  }
}

void LineBuffers::load_gradients() {
  gradients_.resize(padded_size((lines_.margin_rows + lines_.phase_rows) * gradient_places_,
                                gradient_places_, lanes_));
  const std::int64_t first = lines_.margin_rows * gradient_places_ + lines_.margin_columns;
  depthwise_loops().copy({outputs_.data(), output_step(), gradients_.data() + first * lanes_,
                          gradient_places_ * lanes_, lines_.shape.oh, lines_.shape.ow * lanes_});
  // A strip begins with its last tap.
  for (const TapStrip& strip : strips_) {
    const float* const begin = weights_.data() + strip.first * lanes_;
    for (int t = 0; t < strip.taps; ++t) {
      std::copy_n(begin + (strip.taps - 1 - t) * lanes_, lanes_,
                  turned_weights_.data() + (strip.first + t) * lanes_);
    }
  }
}

TapStrips LineBuffers::gradient_strips(std::int64_t phase) {
  gradient_strips_.clear();
  for (const TapStrip& strip : strips_) {
    // An element of x gets from a tap the gradient that lies as far before it as the tap is
    // shifted.
    const TapPlace& last = lines_.taps[static_cast<std::size_t>(strip.first + strip.taps - 1)];
    if (last.phase != phase) continue;
    const std::int64_t place =
        (lines_.margin_rows - last.row) * gradient_places_ + (lines_.margin_columns - last.column);
    gradient_strips_.push_back({place * lanes_, strip.first, strip.taps});
  }
  return {gradient_strips_.data(), static_cast<int>(gradient_strips_.size()),
          lanes_ == 1 ? gradient_places_ : kSlab, turned_weights_.data()};
}

void LineBuffers::convolve_gradients_into(float* plane) {
  const DepthwiseConvShape& shape = lines_.shape;
  load_gradients();
  const float* const first = gradients_.data() + shape.pad_top * gradient_places_ + shape.pad_left;
  depthwise_loops().convolve(first, gradient_strips(0), shape.h, shape.w,
                             {kZeros, false, plane, shape.w});
}

void LineBuffers::convolve_gradients(bool accumulate) {
  const DepthwiseLoops& loops = depthwise_loops();
  const auto phases = static_cast<std::int64_t>(lines_.phases.size());
  load_gradients();
  grad_x_.resize(padded_size(phases * gradient_phase_places(), 0, lanes_));
  for (std::int64_t f = 0; f < phases; ++f) {
    const TapStrips of = gradient_strips(f);
    float* const to = grad_x_.data() + f * gradient_phase_places() * lanes_;
    if (lanes_ == 1) {
      loops.convolve(gradients_.data(), of, lines_.phase_rows, lines_.row_places,
                     {kZeros, accumulate, to, lines_.row_places});
      continue;
    }
    loops.convolve_lines(
        gradients_.data(), of,
        {lines_.phase_rows, lines_.row_places, gradient_places_ * kSlab, lines_.row_places * kSlab},
        {kZeros, accumulate, to, kSlab});
  }
}

void LineBuffers::store_grad_x(const Tensor& grad_x, std::int64_t b, const ChannelGroup& group) {
  const DepthwiseConvShape& shape = lines_.shape;
  std::int64_t remainder = shape.pad_top % shape.stride_h;
  std::int64_t quotient = shape.pad_top / shape.stride_h;
  for (std::int64_t i = 0; i < shape.h; ++i) {
    std::fill_n(line_.data(), shape.w * lanes_, 0.0f);  // what no tap reads
    for (std::size_t f = 0; f < lines_.phases.size(); ++f) {
      const Phase& phase = lines_.phases[f];
      if (phase.row != remainder) continue;
      const std::int64_t first =
          static_cast<std::int64_t>(f) * gradient_phase_places() + quotient * lines_.row_places;
      const float* const row = grad_x_.data() + first * lanes_;
      const ColumnsOfPhase columns = columns_of(shape, phase);
      copy_places(row + columns.place * lanes_, 1, line_.data() + columns.first * lanes_,
                  shape.stride_w, columns.count, lanes_);
    }
    store_row(grad_x, reference::index_of_x(shape), b, group, i, line_.data());
    if (++remainder == shape.stride_h) {
      remainder = 0;
      ++quotient;
    }
  }
}

}  // namespace cudet::cpu
