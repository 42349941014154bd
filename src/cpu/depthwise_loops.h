// The inner loops of the depthwise convolution, on vectors of the compiler, and compiled once for
// every set of instructions that is worth it.
//
// A block of outputs stays in registers, several of them along the direction in which a strip's
// taps lie: what is read once serves all outputs of the block whose window has it. Along the other
// direction there are vectors, of neighbouring columns (nchw) or of neighbouring channels (nhwc).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace cudet::cpu {

/// Channels of a slab.
inline constexpr int kSlab = 16;

/// Places beyond the last one that loops may read; what is read there is a number, what becomes of
/// it is left open.
inline constexpr std::int64_t kDepthwiseRoom = 128;

/// The most taps of a strip, and the most rows of outputs along it that a block has.
inline constexpr int kStripTaps = 7;
inline constexpr int kStripOutputs = 8;

/// Taps below each other, or in slabs beside each other: from one to the next, as from one output
/// to the next, what is read moves on by TapStrips::step.
struct TapStrip {
  std::int64_t offset;  ///< of what its first tap reads, in numbers
  int first;            ///< number of its first tap
  int taps;             ///< 1 to kStripTaps
};

struct TapStrips {
  const TapStrip* strips;
  int count;
  std::int64_t step;
  const float* weights;  ///< [taps], or of a slab [taps, kSlab]
};

/// Rows of places of a slab.
struct SlabRows {
  std::int64_t count, places;
  std::int64_t step, y_step;  ///< of x and y from one to the next, in numbers
};

/// Outputs and what their sums begin with.
struct DepthwiseSums {
  const float* start;  ///< one number, or one of each channel of the slab
  bool accumulate;     ///< they begin with what the outputs are; `start` is not looked at
  float* y;
  std::int64_t step;  ///< from one row (nchw) or place (nhwc) to the next
};

/// What correlate() takes: where a tap's numbers lie.
struct DepthwiseTaps {
  const std::int64_t* offsets;  ///< in numbers
  int count;
};

/// Rows of channels, `step` numbers from one to the next, as a slab has them.
struct ChannelRows {
  std::int64_t step;
  int count;  ///< 1 to kSlab
  std::int64_t columns;
};

/// Rows of numbers that are copied.
struct RowsCopy {
  const float* from;
  std::int64_t from_step;  ///< from one row to the next
  float* to;
  std::int64_t to_step;
  std::int64_t rows;
  std::int64_t columns;  ///< that are written
};

/// Taps beside each other of a row of taps: from one to the next, as from one output to the next,
/// what is read moves on by PixelWindow::stride.
struct PixelRun {
  std::int64_t column;  ///< of what its first tap reads, from that of the window's first tap on
  std::int64_t weight;  ///< of its first tap, in numbers from that of the row's first on
  int taps;             ///< 1 to kStripTaps
};

/// What an output of an image in nhwc reads.
struct PixelWindow {
  std::int64_t channels;
  std::int64_t columns;  ///< of x; others are 0
  std::int64_t stride;   ///< columns of x from one output to the next
  std::int64_t left;     ///< column of x that the first tap of output 0 reads
  std::int64_t row;      ///< numbers of x from one row of taps to the next
  const PixelRun* runs;  ///< of a row of taps
  int count;
  int tap_rows;
  std::int64_t weight_row;  ///< numbers of the weights from one row of taps to the next,
  std::int64_t weight;      ///< and from one tap of a run to the next
};

/// Rows begin ... end - 1 of taps: those that read rows of x that exist.
struct TapRows {
  int begin, end;
};

/// The most rows of outputs that are computed together.
inline constexpr int kPixelRows = 4;

/// A row of outputs, or several, of which each reads the rows of x that the one above it does, with
/// the row of taps before: those are read once then.
struct PixelRows {
  TapRows taps;  ///< of the uppermost; each one below has one more
  int count;
  std::int64_t y_row;  ///< numbers of y from one to the next
  std::int64_t places;
};

/// What the outputs of a plane in nchw read.
struct PlaneWindow {
  std::int64_t rows, columns;  ///< of x; others are 0
  std::int64_t outputs;        ///< columns of y
  int tap_rows, taps;          ///< of which each row has 1 to kPlaneTaps
  std::int64_t top, left;      ///< row and column that the first tap of the first output reads
  std::int64_t row;            ///< rows of x from one row of outputs to the next
  std::int64_t tap_row;        ///< and from one row of taps to the next
};

/// With more taps beside each other, shuffling what they read costs more than copying it into
/// lines.
inline constexpr int kPlaneTaps = 5;

/// Rows begin ... end - 1 of a plane.
struct PlaneRows {
  std::int64_t begin, end;
};

struct DepthwiseLoops {
  const char* name;  ///< of the instruction set, for example "x86-64-v3"

  /// y[row, column] = bias + sum of weight[tap] x[row, column, tap] over the taps whose place
  /// exists, for some rows of a plane, with two columns of x from one output to the next. Reads and
  /// writes what it needs alone. Null without shuffles of two vectors, which it lives by.
  void (*convolve_even_plane)(const float* x, const PlaneWindow& window, const PlaneRows& rows,
                              const float* weights, float bias, float* y);

  /// y[row, column] = sum over the taps t of all strips of weight[first + t]
  /// x[offset + (row + t) step + column]. Reads as if there were kStripOutputs more rows and
  /// kDepthwiseRoom more columns; no more than the outputs is written.
  void (*convolve)(const float* x, const TapStrips& strips, std::int64_t rows, std::int64_t columns,
                   const DepthwiseSums& sums);

  /// In each row y[place, channel] = start[channel] + sum over the taps t of all strips of
  /// weight[first + t, channel] x[offset + (place + t) step + channel], for the channels of a slab
  /// whose lines may be read beyond the last place.
  void (*convolve_lines)(const float* x, const TapStrips& strips, const SlabRows& rows,
                         const DepthwiseSums& sums);

  /// y[place, channel] = bias[channel] + sum of weight[tap, channel]
  /// x[place, tap, channel] over the taps whose place exists. x is column 0 of the row that the
  /// first row of taps reads for the first row of outputs. Reads and writes what it needs alone.
  void (*convolve_pixels)(const float* x, const PixelWindow& window, const PixelRows& rows,
                          const float* weights, const float* bias, float* y);

  /// sums[tap, channel] += sum over the places of a row of g[place, channel] x[place, tap,
  /// channel], with the taps where the weights are, and bias_sums[channel] += g[place, channel].
  void (*correlate_pixels)(const float* x, const PixelWindow& window, const TapRows& rows,
                           const float* g, std::int64_t places, float* sums, float* bias_sums);

  /// sums[tap] += sum over the places of g[place] * x[offset + place], of lines that hold a whole
  /// image, row after row: a place is one number (nchw) or a slab (nhwc); g is 0 beyond the last
  /// one and between the rows.
  void (*correlate)(const float* x, const DepthwiseTaps& taps, std::int64_t places, const float* g,
                    double* sums);
  void (*correlate_slab)(const float* x, const DepthwiseTaps& taps, std::int64_t places,
                         const float* g, double* sums);

  /// sums[0] += g[place], or sums[channel] += g[place, channel], over all places.
  void (*add_up)(const float* g, std::int64_t places, double* sums);
  void (*add_up_slab)(const float* g, std::int64_t places, double* sums);

  /// to[column, channel] = from[channel * step + column], and the way back; channels that there are
  /// not are 0 in a slab.
  void (*interleave)(const float* from, const ChannelRows& rows, float* to);
  void (*separate)(const float* from, const ChannelRows& rows, float* to);

  /// to[column] = from[column], or from[2 * column].
  void (*copy)(const RowsCopy& copy);
  void (*copy_even)(const RowsCopy& copy);
};

/// For any machine that the library runs on.
extern const DepthwiseLoops kGenericDepthwiseLoops;

/// With AVX2 and FMA; null where the library is for another processor or this one lacks them.
const DepthwiseLoops* x86_64_v3_depthwise_loops() noexcept;

/// With AVX-512, likewise.
const DepthwiseLoops* x86_64_v4_depthwise_loops() noexcept;

/// The fastest that this machine can run.
const DepthwiseLoops& depthwise_loops() noexcept;

}  // namespace cudet::cpu
