// How a depthwise convolution becomes sums over lines (depthwise_loops.h).
//
// The padded image falls apart into phases: phase (a, b) has its rows a, a + stride_h, ... and
// columns b, b + stride_w, ... A tap reads one phase alone, and from one output to the next it
// moves on by one place there. All phases have rows of one length, so that with the outputs in rows
// of that length too, a tap's distance from them is the same everywhere. What is computed in the
// places between two rows of outputs is thrown away.
#pragma once

#include "depthwise_image.h"

#include <cstdint>
#include <vector>

namespace cudet::cpu {

struct Phase {
  std::int64_t row, column;  ///< below the strides
};

/// Tap (p, q), the phase that it reads, and by how many rows and columns it is shifted there.
struct TapPlace {
  std::int64_t p, q;
  std::int64_t phase;
  std::int64_t row, column;
};

/// Sizes of the lines of a call, or of those of a band of its output rows.
struct DepthwiseLines {
  DepthwiseLines(const DepthwiseConvShape& of, std::int64_t rows);

  DepthwiseConvShape shape;
  std::int64_t band_rows;     ///< of outputs
  std::int64_t padded_h;      ///< rows of the padded image that they read, of all outputs all
  std::vector<Phase> phases;  ///< that a tap reads
  std::vector<TapPlace> taps;
  std::int64_t phase_rows = 0;
  std::int64_t row_places = 0;
  std::int64_t margin_rows = 0, margin_columns = 0;  ///< the largest shifts
};

/// False where lines were much longer than the images, as with giant pads, strides or dilations.
bool suits_lines(const DepthwiseConvShape& shape) noexcept;

/// The images of a group of channels as lines.
class LineBuffers {
 public:
  LineBuffers(const DepthwiseLines& lines, int lanes);

  /// What the outputs from row `first_row` on read.
  void load_x(const Tensor& x, std::int64_t b, const ChannelGroup& group, std::int64_t first_row);

  /// `group` is one of output channels.
  void load_weights(const Tensor& weight, const ChannelGroup& group);

  /// `rows` rows of outputs, without bias.
  void convolve(std::int64_t rows);

  /// Row i of the band's outputs, or of their gradients where these take their place.
  float* output_row(std::int64_t i) { return outputs_.data() + i * lines_.row_places * lanes_; }

  /// sums[tap, lane] += what the gradients in the outputs' place give for the weights.
  void correlate(double* sums);

  /// The gradient of x that the gradients in the outputs' place give, or with `accumulate` that
  /// more.
  void convolve_gradients(bool accumulate);
  void store_grad_x(const Tensor& grad_x, std::int64_t b, const ChannelGroup& group);

 private:
  std::int64_t output_places(std::int64_t rows) const {
    return (rows - 1) * lines_.row_places + lines_.shape.ow;
  }
  float* phase_row(std::int64_t phase, std::int64_t row) {
    return x_.data() + (phase * lines_.phase_rows + row) * lines_.row_places * lanes_;
  }
  std::int64_t x_offset(const TapPlace& tap) const {
    return ((tap.phase * lines_.phase_rows + tap.row) * lines_.row_places + tap.column) * lanes_;
  }
  void correlate_tap_by_tap(double* sums);
  /// From the gradients of one phase to those of the next: what is written past the last place of
  /// one must not reach the other.
  std::int64_t gradient_phase_places() const {
    return lines_.phase_rows * gradient_places_ + kDepthwiseRoom;
  }

  const DepthwiseLines& lines_;
  int lanes_;
  std::int64_t gradient_places_;  ///< of a row of the gradients, with a margin at its left
  std::vector<float> x_;          ///< of all phases
  std::vector<float> outputs_;
  std::vector<float> gradients_;  ///< with margins at the top and at the left
  std::vector<float> grad_x_;     ///< of all phases
  std::vector<float> line_;       ///< a row of x
  std::vector<std::int64_t> offsets_;
  std::vector<float> weights_;
};

}  // namespace cudet::cpu
