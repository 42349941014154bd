#include "depthwise_lines.h"

#include "../float16.h"

#include <algorithm>
#include <cstring>

namespace cudet::cpu {
namespace {

std::size_t padded_size(std::int64_t places, int lanes) {
  return static_cast<std::size_t>((places + kDepthwiseRoom) * lanes);
}

bool all_finite(const std::vector<float>& values) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  std::uint32_t found = 0;
  for (const float value : values)
    found |= (bits_of(value) & kExponent) == kExponent ? 1u : 0u;
  return found == 0;
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

DepthwiseLines::DepthwiseLines(const DepthwiseConvShape& of, std::int64_t rows)
    : shape(of), band_rows(rows) {
  const std::int64_t reach = (shape.kernel_h - 1) * shape.dilation_h + 1;
  padded_h = rows == shape.oh ? shape.h + shape.pad_top + shape.pad_bottom
                              : (rows - 1) * shape.stride_h + reach;
  const std::int64_t padded_w = shape.w + shape.pad_left + shape.pad_right;
  phase_rows = (padded_h + shape.stride_h - 1) / shape.stride_h;
  row_places = (padded_w + shape.stride_w - 1) / shape.stride_w;
  for (std::int64_t p = 0; p < shape.kernel_h; ++p) {
    for (std::int64_t q = 0; q < shape.kernel_w; ++q) {
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
  }
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
          lanes)),
      outputs_(padded_size(lines.band_rows * lines.row_places, lanes)),
      line_(static_cast<std::size_t>(lines.shape.w * lanes)),
      offsets_(lines.taps.size()),
      weights_(lines.taps.size() * static_cast<std::size_t>(lanes)) {
  std::transform(lines_.taps.begin(), lines_.taps.end(), offsets_.begin(),
                 [this](const TapPlace& tap) { return x_offset(tap); });
}

void LineBuffers::load_x(const Tensor& x, std::int64_t b, const ChannelGroup& group,
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

void LineBuffers::load_weights(const Tensor& weight, const ChannelGroup& group) {
  float* to = weights_.data();
  for (const TapPlace& tap : lines_.taps) {
    for (int k = 0; k < group.count; ++k) {
      const std::int64_t o = group.first + k * group.step;
      to[k] = reference::real_at(weight, reference::weight_index(lines_.shape, o, tap.p, tap.q));
    }
    to += lanes_;
  }
}

void LineBuffers::convolve(std::int64_t rows) {
  const DepthwiseLoops& loops = depthwise_loops();
  const DepthwiseTaps taps = {offsets_.data(), weights_.data(), static_cast<int>(offsets_.size())};
  (lanes_ == 1 ? loops.convolve : loops.convolve_slab)(x_.data(), taps, output_places(rows), false,
                                                       outputs_.data());
}

void LineBuffers::correlate(double* sums) {
  const DepthwiseLoops& loops = depthwise_loops();
  for (std::int64_t i = 0; i < lines_.shape.oh; ++i) {
    float* const end =
        i + 1 < lines_.shape.oh ? output_row(i + 1) : outputs_.data() + outputs_.size();
    std::fill(output_row(i) + lines_.shape.ow * lanes_, end, 0.0f);
  }
  // The products with zeros between the rows and in the padding would not be zero.
  if (!all_finite(x_) || !all_finite(outputs_)) return correlate_tap_by_tap(sums);
  const DepthwiseTaps taps = {offsets_.data(), weights_.data(), static_cast<int>(offsets_.size())};
  (lanes_ == 1 ? loops.correlate : loops.correlate_slab)(
      x_.data(), taps, output_places(lines_.shape.oh), outputs_.data(), sums);
}

void LineBuffers::correlate_tap_by_tap(double* sums) {
  const DepthwiseConvShape& shape = lines_.shape;
  for (const TapPlace& tap : lines_.taps) {
    for (std::int64_t i = 0; i < shape.oh; ++i) {
      const std::int64_t row = reference::row_of(shape, i, tap.p);
      if (row < 0 || row >= shape.h) continue;
      const float* const x = x_.data() + x_offset(tap) + i * lines_.row_places * lanes_;
      const float* const gradient = output_row(i);
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

void LineBuffers::convolve_gradients(bool accumulate) {
  const DepthwiseLoops& loops = depthwise_loops();
  const auto phases = static_cast<std::int64_t>(lines_.phases.size());
  gradients_.resize(
      padded_size((lines_.margin_rows + lines_.phase_rows) * gradient_places_, lanes_));
  grad_x_.resize(padded_size(phases * gradient_phase_places(), lanes_));
  for (std::int64_t i = 0; i < lines_.shape.oh; ++i) {
    const std::int64_t place = (i + lines_.margin_rows) * gradient_places_ + lines_.margin_columns;
    std::copy_n(output_row(i), lines_.shape.ow * lanes_, gradients_.data() + place * lanes_);
  }
  // An element of x gets from a tap the gradient that lies as far before it as the tap is shifted.
  std::vector<std::int64_t> offsets;
  std::vector<float> weights;
  for (std::size_t f = 0; f < lines_.phases.size(); ++f) {
    offsets.clear();
    weights.clear();
    for (std::size_t t = 0; t < lines_.taps.size(); ++t) {
      const TapPlace& tap = lines_.taps[t];
      if (tap.phase != static_cast<std::int64_t>(f)) continue;
      offsets.push_back(((lines_.margin_rows - tap.row) * gradient_places_ +
                         (lines_.margin_columns - tap.column)) *
                        lanes_);
      const float* const from = weights_.data() + t * static_cast<std::size_t>(lanes_);
      weights.insert(weights.end(), from, from + lanes_);
    }
    const DepthwiseTaps taps = {offsets.data(), weights.data(), static_cast<int>(offsets.size())};
    const std::int64_t places = lines_.phase_rows * gradient_places_ - lines_.margin_columns;
    float* const to =
        grad_x_.data() + static_cast<std::int64_t>(f) * gradient_phase_places() * lanes_;
    (lanes_ == 1 ? loops.convolve : loops.convolve_slab)(gradients_.data(), taps, places,
                                                         accumulate, to);
  }
}

void LineBuffers::store_grad_x(const Tensor& grad_x, std::int64_t b, const ChannelGroup& group) {
  const DepthwiseConvShape& shape = lines_.shape;
  std::int64_t remainder = shape.pad_top % shape.stride_h;
  std::int64_t quotient = shape.pad_top / shape.stride_h;
  for (std::int64_t i = 0; i < shape.h; ++i) {
    std::fill(line_.begin(), line_.end(), 0.0f);  // what no tap reads
    for (std::size_t f = 0; f < lines_.phases.size(); ++f) {
      const Phase& phase = lines_.phases[f];
      if (phase.row != remainder) continue;
      const std::int64_t first =
          static_cast<std::int64_t>(f) * gradient_phase_places() + quotient * gradient_places_;
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
