// How a depthwise convolution becomes strips of taps over lines (depthwise_loops.h).
//
// The padded image falls apart into phases: phase (a, b) has its rows a, a + stride_h, ... and
// columns b, b + stride_w, ... A tap reads one phase alone, and from one output to the next it
// moves on by one place there. All phases have rows of one length. The sums of gradients of weights
// have the outputs in rows of that length too: a tap's distance from them is the same everywhere.
#pragma once

#include "aligned_floats.h"
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

/// Taps along one direction that read places next to each other of one phase.
struct TapRun {
  std::int64_t first;  ///< the others follow in steps of tap_step()
  int taps;            ///< 1 to kStripTaps
};
std::int64_t tap_step(std::int64_t kernel, std::int64_t stride, std::int64_t dilation);
std::vector<TapRun> tap_runs(std::int64_t kernel, std::int64_t stride, std::int64_t dilation);

/// Sizes of the lines of a call, or of those of a band of its output rows.
struct DepthwiseLines {
  DepthwiseLines(const DepthwiseConvShape& of, int lanes, std::int64_t rows);

  DepthwiseConvShape shape;
  std::int64_t band_rows;     ///< of outputs
  std::int64_t padded_h;      ///< rows of the padded image that they read, of all outputs all
  std::vector<Phase> phases;  ///< that a tap reads
  std::vector<TapPlace> taps;
  std::vector<TapRun> strips;  ///< of `taps`: below each other, or in slabs beside each other
  std::int64_t phase_rows = 0;
  std::int64_t row_places = 0;
  std::int64_t margin_rows = 0, margin_columns = 0;  ///< the largest shifts

 private:
  void add_tap(std::int64_t p, std::int64_t q);
};

/// False where lines were much longer than the images, as with giant pads, strides or dilations.
bool suits_lines(const DepthwiseConvShape& shape) noexcept;

/// The images of a group of channels as lines.
class LineBuffers {
 public:
  LineBuffers(const DepthwiseLines& lines, int lanes);

  /// What the outputs from row `first_row` on read.
  void load_x(const Tensor& x, std::int64_t b, const ChannelGroup& group, std::int64_t first_row);

  /// `group` is one of output channels; `bias` may be absent.
  void load_weights(const Tensor& weight, const Tensor& bias, const ChannelGroup& group);

  /// `rows` rows of outputs from row `first` on with their bias, `step` numbers from one to the
  /// next.
  void convolve(std::int64_t first, std::int64_t rows, float* y, std::int64_t step) const;

  /// Row i of the band's outputs, or of their gradients where these take their place.
  float* output_row(std::int64_t i) { return outputs_.data() + i * output_step(); }
  std::int64_t output_step() const { return lines_.row_places * lanes_; }
  /// From the first to the last of an image; between its rows outputs are 0.
  std::int64_t output_places() const {
    return (lines_.shape.oh - 1) * lines_.row_places + lines_.shape.ow;
  }

  /// sums[lane] += the numbers of `places` places.
  void add_up(const float* numbers, std::int64_t places, double* sums) const;

  /// sums[tap, lane] += what the gradients in the outputs' place give for the weights.
  void correlate(double* sums);

  /// The gradient of x that the gradients in the outputs' place give, or with `accumulate` that
  /// more, for store_grad_x().
  void convolve_gradients(bool accumulate);

  /// The same into a plane, with strides of 1 and one channel of y for each of x (nchw).
  void convolve_gradients_into(float* plane);
  void store_grad_x(const Tensor& grad_x, std::int64_t b, const ChannelGroup& group);

 private:
  float* phase_row(std::int64_t phase, std::int64_t row) {
    return x_.data() + (phase * lines_.phase_rows + row) * lines_.row_places * lanes_;
  }
  std::int64_t x_offset(const TapPlace& tap) const {
    return ((tap.phase * lines_.phase_rows + tap.row) * lines_.row_places + tap.column) * lanes_;
  }
  void load_plane(const float* plane, std::int64_t first_row);
  void load_rows(const Tensor& x, std::int64_t b, const ChannelGroup& group,
                 std::int64_t first_row);
  void correlate_tap_by_tap(double* sums) const;
  void load_gradients();
  TapStrips gradient_strips(std::int64_t phase);
  std::int64_t gradient_phase_places() const { return lines_.phase_rows * lines_.row_places; }

  const DepthwiseLines& lines_;
  int lanes_;
  std::int64_t gradient_places_;  ///< of a row of the gradients, with a margin at its left
  AlignedFloats x_;               ///< of all phases
  AlignedFloats outputs_;         ///< 0 between the rows
  AlignedFloats gradients_;       ///< with margins at the top and at the left
  AlignedFloats grad_x_;          ///< of all phases
  AlignedFloats line_;            ///< a row of x
  std::vector<std::int64_t> offsets_;
  std::vector<TapStrip> strips_;
  std::vector<TapStrip> gradient_strips_;  ///< of a phase
  AlignedFloats weights_;
  AlignedFloats turned_weights_;    ///< those of a strip in the other order
  std::vector<double> image_sums_;  ///< of gradients of weights
  float start_[kSlab] = {};         ///< the bias
  std::int64_t weights_of_ = -1;    ///< the first channel of the group that weights are of
};

}  // namespace cudet::cpu
