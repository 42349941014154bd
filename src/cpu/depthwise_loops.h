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

/// Taps below each other (nchw) or beside each other (nhwc): from one to the next, as from one
/// output to the next, what is read moves on by DepthwiseStrips::step.
struct DepthwiseStrip {
  std::int64_t offset;  ///< of what its first tap reads, in numbers
  int first;            ///< number of its first tap
  int taps;             ///< 1 to kStripTaps
  std::int64_t column;  ///< of x, of what its first tap reads, from DepthwiseColumns::left on
  int run;              ///< number among the strips of a row of taps; each row has the same columns
};

struct DepthwiseStrips {
  const DepthwiseStrip* strips;
  int count;
  std::int64_t step;
  const float* weights;  ///< [taps], or of slabs [slab, taps, kSlab]
  int taps;              ///< of all strips
};

/// Columns of x that outputs in a row read: the first those from `left` on, `reach` of them, and
/// each one from `stride` further on. `existing` exist, the others are 0; of those before `whole`
/// all channels of the slabs may be read.
struct DepthwiseColumns {
  std::int64_t left, stride, reach;
  std::int64_t existing, whole;
  int runs;  ///< strips of a row of taps
};

/// The most strips that a row of taps has.
inline constexpr int kDepthwiseRuns = 31;

/// The strips of an output row, one behind the other.
struct DepthwiseRow {
  int first, count;
};

/// Output rows below each other: those that are computed together read what lies in the first-level
/// cache.
struct DepthwiseRows {
  const DepthwiseRow* rows;
  std::int64_t count;
  std::int64_t step;           ///< of x from one to the next
  std::int64_t y_step;         ///< of y
  std::int64_t slabs_at_once;  ///< whose numbers stay in the cache from row to row
};

/// Rows of places of a slab.
struct SlabRows {
  std::int64_t count, places;
  std::int64_t step, y_step;  ///< of x and y from one to the next, in numbers
};

/// What is asked for in the order of memory while rows are computed: numbers of x that are read
/// next, `ratio` for each output, and places where outputs go next; null where there is nothing to
/// ask for.
struct DepthwiseAhead {
  const float* x;
  std::int64_t ratio;
  const float* y;
};

/// Outputs and what their sums begin with.
struct DepthwiseSums {
  const float* start;  ///< one number, or one of each channel of the slabs
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

struct DepthwiseLoops {
  const char* name;  ///< of the instruction set, for example "x86-64-v3"

  /// y[row, column] = sum over the taps t of all strips of weight[first + t]
  /// x[offset + (row + t) step + column]. Reads as if there were kStripOutputs more rows and
  /// kDepthwiseRoom more columns; no more than the outputs is written.
  void (*convolve)(const float* x, const DepthwiseStrips& strips, std::int64_t rows,
                   std::int64_t columns, const DepthwiseSums& sums);

  /// In each row y[place, channel] = sum of weight[slab, first + t, channel]
  /// x[offset + (place + t) step + channel] over those t whose column exists, for the channels of
  /// `slabs` slabs, of which the last has `lanes`. Reads and writes no more than it needs, but of
  /// whole columns all of the slabs.
  void (*convolve_slabs)(const float* x, const DepthwiseStrips& strips,
                         const DepthwiseColumns& columns, const DepthwiseRows& rows,
                         const DepthwiseAhead& ahead, std::int64_t places, std::int64_t slabs,
                         int lanes, const DepthwiseSums& sums);

  /// The same for one slab of lines, which have all columns and channels and may be read beyond the
  /// last place.
  void (*convolve_lines)(const float* x, const DepthwiseStrips& strips, const SlabRows& rows,
                         const DepthwiseSums& sums);

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
