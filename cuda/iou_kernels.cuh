// IoU matrix: the kernel.
//
// Floor: every value is written once and every box read once, s n m + 16 (n + m) bytes with s the
// size of a value; float32 at n = m = 4096 is 67 MB, 20 us at 3.35 TB/s. At that rate an H100
// (132 SMs, 4 schedulers, 1.755 GHz) issues 35 instructions a pair in float32 and 18 in 16 bits.
//
// Design: one launch. A block stages the 128 + 64 boxes of its tile as corners and area (CIoU: and
// angle) in shared memory. A lane keeps four columns in registers and walks down the rows, which it
// reads as broadcasts; four values leave in one 16- or 8-byte streaming store, so that a warp
// writes 512 or 256 bytes without gaps. Where rows are not aligned to that, lanes own columns 32
// apart and store single values. Nothing is recomputed per pair that belongs to a box.
//
// Per pair, row loop for sm_90, fast path of the division: iou 24 instructions (21 of arithmetic,
// 10 of them the division), iof 23, giou 46, diou 60, ciou 79, eiou 92. Store sectors are the ideal number,
// load sectors 9 % of them. 48 registers (iof 44, ciou 54), no spills. docs/performance.md says how
// this was counted.
#pragma once

#include "box_array.h"
#include "device/real.cuh"
#include "device/shared_memory.cuh"
#include "iou_pair.cuh"

#include <cudet/iou.h>

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

constexpr int kIouTileRows = 64;
constexpr int kIouTileColumns = 128;
constexpr int kIouTileSlots = kIouTileColumns + kIouTileRows;
constexpr int kIouWarps = 4;
constexpr int kIouBlockThreads = 32 * kIouWarps;
constexpr int kColumnsPerThread = kIouTileColumns / 32;

struct IouMatrixParameters {
  BoxArray boxes1;
  BoxArray boxes2;
  void* values;
  std::int64_t n;
  std::int64_t m;
  unsigned row_tiles;
  unsigned column_tiles;
  float eps;
  bool vector_stores;  ///< four values that start at a multiple of four columns are aligned
};

/// Stores four values at an address that is aligned to them, past the caches: nobody reads them
/// here, and the matrix is larger than the caches.
__device__ __forceinline__ void store_streaming(float* address, const float (&v)[4]) {
  __stcs(reinterpret_cast<float4*>(address), make_float4(v[0], v[1], v[2], v[3]));
}
__device__ __forceinline__ void store_streaming(__half* address, const float (&v)[4]) {
  const auto bits = [](float x) { return __half_as_ushort(from_float<__half>(x)); };
  __stcs(reinterpret_cast<ushort4*>(address),
         make_ushort4(bits(v[0]), bits(v[1]), bits(v[2]), bits(v[3])));
}
__device__ __forceinline__ void store_streaming(__nv_bfloat16* address, const float (&v)[4]) {
  const auto bits = [](float x) { return __bfloat16_as_ushort(from_float<__nv_bfloat16>(x)); };
  __stcs(reinterpret_cast<ushort4*>(address),
         make_ushort4(bits(v[0]), bits(v[1]), bits(v[2]), bits(v[3])));
}

/// One value.
__device__ __forceinline__ void store_streaming(float* address, float value) {
  __stcs(address, value);
}
__device__ __forceinline__ void store_streaming(__half* address, float value) {
  __stcs(reinterpret_cast<unsigned short*>(address), __half_as_ushort(from_float<__half>(value)));
}
__device__ __forceinline__ void store_streaming(__nv_bfloat16* address, float value) {
  __stcs(reinterpret_cast<unsigned short*>(address),
         __bfloat16_as_ushort(from_float<__nv_bfloat16>(value)));
}

/// Slot of a tile's column in shared memory. Lane l owns the columns in slots l + 32 k: four
/// neighbours where it stores them at once, else every 32nd, so that in either case a warp writes
/// without gaps.
template <bool kVector>
__device__ __forceinline__ int slot_of_column(int column) {
  if (!kVector) return column;
  return column % kColumnsPerThread * 32 + column / kColumnsPerThread;
}

/// Reads the boxes of a tile into shared memory, columns first, then rows. Slots without a box hold
/// a point; a lane may compute with it, but stores nothing.
template <IouKind kKind, bool kVector>
__device__ __forceinline__ void stage_boxes(const IouMatrixParameters& parameters,
                                            std::int64_t first_row, int rows,
                                            std::int64_t first_column, int columns,
                                            PairBox* boxes) {
  for (int i = static_cast<int>(threadIdx.x); i < kIouTileSlots; i += kIouBlockThreads) {
    const int row = i - kIouTileColumns;
    Corners box = {0.0f, 0.0f, 0.0f, 0.0f};
    if (i < columns) {
      box = load_corners(parameters.boxes2, first_column + i);
    } else if (row >= 0 && row < rows) {
      box = load_corners(parameters.boxes1, first_row + row);
    }
    boxes[row < 0 ? slot_of_column<kVector>(i) : i] = make_pair_box<kKind>(box);
  }
}

/// Values of a tile whose boxes are staged. Each warp takes every fourth row.
template <IouKind kKind, class T, bool kVector>
__device__ __forceinline__ void write_tile(const PairBox* boxes, int rows, int columns,
                                           std::int64_t m, float eps, T* tile_values) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int first_column = kVector ? kColumnsPerThread * lane : lane;
  if (first_column >= columns) return;

  PairBox column_boxes[kColumnsPerThread];
#pragma unroll
  for (int k = 0; k < kColumnsPerThread; ++k)
    column_boxes[k] = boxes[lane + 32 * k];

  T* row_values = tile_values + warp * m + first_column;
#pragma unroll 1
  for (int row = warp; row < rows; row += kIouWarps, row_values += kIouWarps * m) {
    const PairBox row_box = boxes[kIouTileColumns + row];
    float values[kColumnsPerThread];
#pragma unroll
    for (int k = 0; k < kColumnsPerThread; ++k)
      values[k] = pair_value<kKind>(row_box, column_boxes[k], eps);
    if constexpr (kVector) {
      store_streaming(row_values, values);
    } else {
#pragma unroll
      for (int k = 0; k < kColumnsPerThread; ++k) {
        if (first_column + 32 * k < columns) store_streaming(row_values + 32 * k, values[k]);
      }
    }
  }
}

template <IouKind kKind, class T, bool kVector>
__device__ __forceinline__ void fill_tile(const IouMatrixParameters& parameters, PairBox* boxes) {
  const unsigned column_tile = blockIdx.x % parameters.column_tiles;
  const unsigned row_tile = blockIdx.x / parameters.column_tiles % parameters.row_tiles;
  const std::int64_t batch = blockIdx.x / parameters.column_tiles / parameters.row_tiles;
  const std::int64_t n = parameters.n;
  const std::int64_t m = parameters.m;
  const std::int64_t row = static_cast<std::int64_t>(row_tile) * kIouTileRows;
  const std::int64_t column = static_cast<std::int64_t>(column_tile) * kIouTileColumns;
  const int rows = static_cast<int>(min(n - row, static_cast<std::int64_t>(kIouTileRows)));
  const int columns = static_cast<int>(min(m - column, static_cast<std::int64_t>(kIouTileColumns)));

  stage_boxes<kKind, kVector>(parameters, batch * n + row, rows, batch * m + column, columns,
                              boxes);
  __syncthreads();
  T* tile_values = static_cast<T*>(parameters.values) + (batch * n + row) * m + column;
  write_tile<kKind, T, kVector>(boxes, rows, columns, m, parameters.eps, tile_values);
}

/// One block a tile of kIouTileRows x kIouTileColumns values; column tiles vary fastest over the
/// grid, then row tiles, then the batch.
template <IouKind kKind, class T>
__global__ void __launch_bounds__(kIouBlockThreads)
    iou_matrix_kernel(const IouMatrixParameters parameters) {
  CUDET_SHARED_ARRAY(PairBox, boxes, kIouTileSlots);
  if (parameters.vector_stores) {
    fill_tile<kKind, T, true>(parameters, boxes);
  } else {
    fill_tile<kKind, T, false>(parameters, boxes);
  }
}

}  // namespace cudet::device
