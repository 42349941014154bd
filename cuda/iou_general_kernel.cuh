// IoU matrix of ragged sets, rotated boxes and crowds, and the bits of a threshold: the kernel.
//
// Floor: that of iou_kernels.cuh; bits take an eighth of a byte a pair, so that the instructions
// decide: an H100 has none to spare below 1.1 a pair.
//
// Design: the tiles of iou_kernels.cuh. A lane owns columns of its tile, 32 apart, and walks down
// the rows: a warp's 32 values are neighbours, of which a ballot makes a word. Of upright boxes it
// takes four columns at once, of rotated ones, which fill the registers, one. Where rows are
// ragged, a tile holds those of several images: the block works them off one image after the other,
// each with its own columns. Rows without an image, and columns without a box, meet an invalid box,
// so that every element is written.
#pragma once

#include "device/integer_array.cuh"
#include "device/shared_memory.cuh"
#include "device/warp.cuh"
#include "iou_kernels.cuh"
#include "iou_rules.cuh"

#include <cudet/iou.h>

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace cudet::device {

struct IouGeneralParameters {
  IouSet set1;
  IouSet set2;
  IntegerArray offsets1;  ///< null where the set is not ragged
  IntegerArray offsets2;
  void* values;  ///< null: not wanted
  DataType value_type;
  int* bits;           ///< null: not wanted
  std::int64_t batch;  ///< images
  std::int64_t n;      ///< rows of a batch entry; ragged: of all images
  std::int64_t m;
  std::int64_t words;   ///< of a row of bits
  std::int64_t boxes2;  ///< of an image, or of all images where they are ragged
  unsigned row_tiles;
  unsigned column_tiles;
  float eps;
  float threshold;
};

/// A half-open range of rows or boxes.
struct IndexRange {
  std::int64_t begin, end;
};

/// Offset `image`, moved into [0, count].
__device__ __forceinline__ std::int64_t clamped_offset(const IntegerArray& offsets,
                                                       std::int64_t image, std::int64_t count) {
  const std::int64_t offset = load_integer(offsets, image);
  return offset < 0 ? 0 : offset > count ? count : offset;
}

/// The boxes of boxes2 that belong to an image.
__device__ __forceinline__ IndexRange boxes2_of_image(const IouGeneralParameters& parameters,
                                                      std::int64_t image) {
  const std::int64_t count = parameters.boxes2;
  if (parameters.offsets2.data == nullptr) return {image * count, (image + 1) * count};
  return {clamped_offset(parameters.offsets2, image, count),
          clamped_offset(parameters.offsets2, image + 1, count)};
}

/// Rows of one image, or of none, and their columns.
struct IouSegment {
  std::int64_t end;  ///< one past the last row
  IndexRange boxes2;
};

/// The segment that begins at `row` of ragged rows and ends at `end` at the latest.
__device__ __forceinline__ IouSegment find_segment(const IouGeneralParameters& parameters,
                                                   std::int64_t row, std::int64_t end) {
  // The number of the first batch + 1 offsets that are not above the row.
  std::int64_t low = 0;
  std::int64_t high = parameters.batch + 1;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (clamped_offset(parameters.offsets1, middle, parameters.n) <= row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  IouSegment segment = {end, {0, 0}};
  if (low <= parameters.batch) {
    // Past the row whatever the offsets are, so that a walk over segments ends.
    const std::int64_t next = clamped_offset(parameters.offsets1, low, parameters.n);
    segment.end = min(end, max(next, row + 1));
    if (low > 0) segment.boxes2 = boxes2_of_image(parameters, low - 1);
  }
  return segment;
}

/// The values and bits of `rows` rows from `first_row` of the outputs on, in the columns of a tile.
/// All threads of the block call it.
template <class Rule>
__device__ __forceinline__ void write_segment(const IouGeneralParameters& parameters,
                                              std::int64_t first_row, int rows,
                                              std::int64_t first_column, const IndexRange& boxes2,
                                              typename Rule::Box* boxes) {
  __syncthreads();  // the last segment's boxes have been read
  for (int i = static_cast<int>(threadIdx.x); i < kIouTileColumns + rows; i += kIouBlockThreads) {
    if (i < kIouTileColumns) {
      const std::int64_t column = first_column + i;
      const bool is_there = column < parameters.m && column < boxes2.end - boxes2.begin;
      boxes[i] = is_there ? Rule::load(parameters.set2, boxes2.begin + column) : Rule::none();
    } else {
      boxes[i] = Rule::load(parameters.set1, first_row + i - kIouTileColumns);
    }
  }
  __syncthreads();

  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  constexpr int kTogether = Rule::kColumnsTogether;
  constexpr auto kArraySize = static_cast<std::size_t>(kTogether);
  const std::int64_t columns = parameters.m - first_column;
#pragma unroll 1
  for (int first = 0; first < kIouTileColumns && first < columns; first += kTogether * kWarpSize) {
    typename Rule::Box column_boxes[kArraySize];
    bool is_column[kArraySize];
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      column_boxes[k] = boxes[first + kWarpSize * k + lane];
      is_column[k] = first + kWarpSize * k + lane < columns;
    }
    // Lane k writes the k-th word.
    const bool writes_word =
        parameters.bits != nullptr && lane < kTogether && first + kWarpSize * lane < columns;
    // The elements of the warp's first row.
    std::int64_t value_index = (first_row + warp) * parameters.m + first_column + first + lane;
    int* word = parameters.bits + (first_row + warp) * parameters.words +
                static_cast<int>(first_column / kWarpSize) + first / kWarpSize + lane;
#pragma unroll 1
    for (int row = warp; row < rows; row += kIouWarps) {
      const typename Rule::Box& row_box = boxes[kIouTileColumns + row];
      float values[kArraySize];
#pragma unroll
      for (int k = 0; k < kTogether; ++k)
        values[k] = Rule::value(row_box, column_boxes[k], parameters.eps);
      if (parameters.values != nullptr) {
#pragma unroll
        for (int k = 0; k < kTogether; ++k) {
          if (!is_column[k]) continue;
          store_real(parameters.values, parameters.value_type, value_index + kWarpSize * k,
                     values[k]);
        }
      }
      if (parameters.bits != nullptr) {
        unsigned own = 0;
#pragma unroll
        for (int k = 0; k < kTogether; ++k) {
          const unsigned set =
              __ballot_sync(kFullWarp, is_column[k] && values[k] > parameters.threshold);
          own = lane == k ? set : own;
        }
        if (writes_word) *word = static_cast<int>(own);
      }
      value_index += kIouWarps * parameters.m;
      word += kIouWarps * parameters.words;
    }
  }
}

/// One block a tile, in the order of iou_matrix_kernel(); ragged rows count as one batch entry. Six
/// blocks a multiprocessor allow 80 registers; left to itself the compiler takes 64 and spills.
template <class Rule>
__global__ void __launch_bounds__(kIouBlockThreads, 6)
    iou_general_kernel(const IouGeneralParameters parameters) {
  CUDET_SHARED_ARRAY(typename Rule::Box, boxes, kIouTileSlots);
  const unsigned column_tile = blockIdx.x % parameters.column_tiles;
  const unsigned row_tile = blockIdx.x / parameters.column_tiles % parameters.row_tiles;
  const std::int64_t entry = blockIdx.x / parameters.column_tiles / parameters.row_tiles;
  const std::int64_t column = static_cast<std::int64_t>(column_tile) * kIouTileColumns;
  std::int64_t row = entry * parameters.n + static_cast<std::int64_t>(row_tile) * kIouTileRows;
  const std::int64_t end = min((entry + 1) * parameters.n, row + kIouTileRows);
  while (row < end) {
    const IouSegment segment = parameters.offsets1.data == nullptr
                                   ? IouSegment{end, boxes2_of_image(parameters, entry)}
                                   : find_segment(parameters, row, end);
    write_segment<Rule>(parameters, row, static_cast<int>(segment.end - row), column,
                        segment.boxes2, boxes);
    row = segment.end;
  }
}

}  // namespace cudet::device
