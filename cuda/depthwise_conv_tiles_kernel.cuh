// Depthwise convolution of nchw images by kernels of any size: a tile of the plane in shared
// memory.
//
// Bytes      x (32 + K - 1)^2 / 32^2 times through the caches, once from memory; y once
// Arithmetic K^2 multiply-adds an output; large kernels are bound by them. Four taps of a row for
//            eight outputs take 32 of them and five accesses of 16 bytes to shared memory.
//
//      +--------------------+
//      |  halo              |      A block has one plane's tile of 32 columns and 32 rows, a thread
//      |  +-------------+   |      four columns of two neighbouring rows. Kernel rows of up to 31
//      |  |  tile of y  |   |      taps are taken four taps at a time, and the rest one by one, so
//      |  +-------------+   |      that no padding of the kernel is ever multiplied.
//      +--------------------+
#pragma once

#include "depthwise_conv_parameters.cuh"

namespace cudet::device {

constexpr int kTileColumns = 32;
constexpr int kTileRows = 32;
constexpr int kTileLaneColumns = 4;
constexpr int kTileLaneRows = 2;
static_assert(kTileColumns / kTileLaneColumns * kTileRows / kTileLaneRows ==
              static_cast<int>(kDepthwiseThreads));

/// Copies the block's part of x, zeros outside of the image; neighbouring lanes copy neighbours.
template <class T>
__device__ __forceinline__ void stage_tile(const DepthwiseConvParameters& p, const T* x, int row,
                                           int column, int rows, int columns, float* tile) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (int i = static_cast<int>(threadIdx.x) / kWarpSize; i < rows;
       i += static_cast<int>(kDepthwiseThreads) / kWarpSize) {
    const bool inside = static_cast<unsigned>(row + i) < static_cast<unsigned>(p.h);
    const T* const x_row = x + std::int64_t{row + i} * p.w;
    for (int j = lane; j < columns; j += kWarpSize) {
      const bool exists = inside && static_cast<unsigned>(column + j) < static_cast<unsigned>(p.w);
      tile[i * p.tile_pitch + j] = exists ? to_float(x_row[column + j]) : 0.0f;
    }
  }
}

/// kRead neighbours of a row of the tile.
template <int kRead>
__device__ __forceinline__ void read_tile(const float* from, Floats<kRead>& values) {
#pragma unroll
  for (int k = 0; k < kRead; k += 4) {
    const float4 four = reinterpret_cast<const float4*>(from)[k / 4];
    values[k] = four.x;
    values[k + 1] = four.y;
    values[k + 2] = four.z;
    values[k + 3] = four.w;
  }
}

/// Adds one kernel row to the sums of one row of y.
template <int kStride>
__device__ __forceinline__ void add_kernel_row(const float* tile_row, const float* weight_row,
                                               int kernel_w, Floats<kTileLaneColumns>& sums) {
  constexpr int kRead = ((kTileLaneColumns - 1) * kStride + 4 + 3) / 4 * 4;
  int q = 0;
  for (; q + 4 <= kernel_w; q += 4) {
    Floats<kRead> window;
    Floats<4> weight;
    read_tile<kRead>(tile_row + q, window);
    read_tile<4>(weight_row + q, weight);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int v = 0; v < kTileLaneColumns; ++v)
        sums[v] = fmaf(weight[j], window[v * kStride + j], sums[v]);
    }
  }
  for (; q < kernel_w; ++q) {
#pragma unroll
    for (int v = 0; v < kTileLaneColumns; ++v)
      sums[v] = fmaf(weight_row[q], tile_row[v * kStride + q], sums[v]);
  }
}

template <class T, int kStride>
__global__ void __launch_bounds__(kDepthwiseThreads)
    depthwise_conv_tiles_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr bool kIsInt8 = sizeof(T) == 1;
  CUDET_DYNAMIC_SHARED(float4, tile_memory);
  const int tile_rows = (kTileRows - 1) * kStride + p.kernel_h;
  const int tile_columns = (kTileColumns - 1) * kStride + p.kernel_w;
  const int weight_pitch = (p.kernel_w + 3) / 4 * 4;
  float* const tile = reinterpret_cast<float*>(tile_memory);
  float* const weights = tile + tile_rows * p.tile_pitch;

  const unsigned b = blockIdx.x / p.blocks_per_image;
  const unsigned block = blockIdx.x - b * p.blocks_per_image;
  const unsigned tiles_across = static_cast<unsigned>((p.ow + kTileColumns - 1) / kTileColumns);
  const unsigned tiles_down = static_cast<unsigned>((p.oh + kTileRows - 1) / kTileRows);
  const int first_column = static_cast<int>(block % tiles_across) * kTileColumns;
  const int first_row = static_cast<int>(block / tiles_across % tiles_down) * kTileRows;
  const int channel = static_cast<int>(block / tiles_across / tiles_down);

  for (int i = static_cast<int>(threadIdx.x); i < p.kernel_h * p.kernel_w;
       i += static_cast<int>(kDepthwiseThreads)) {
    weights[i / p.kernel_w * weight_pitch + i % p.kernel_w] =
        to_float(static_cast<const T*>(p.weight)[channel * p.kernel_h * p.kernel_w + i]);
  }
  stage_tile(
      p, static_cast<const T*>(p.x) + nchw_offset(b, p.c, channel / p.multiplier, p.h, 0, p.w, 0),
      first_row * kStride - p.pad_top, first_column * kStride - p.pad_left, tile_rows, tile_columns,
      tile);
  __syncthreads();

  constexpr int kAcross = kTileColumns / kTileLaneColumns;
  const int column = static_cast<int>(threadIdx.x) % kAcross * kTileLaneColumns;
  const int row = static_cast<int>(threadIdx.x) / kAcross * kTileLaneRows;
  const float bias = bias_of(p, channel);
  const float scale = scale_of<T>(p, channel);
  Floats<kTileLaneColumns> sums[kTileLaneRows];
#pragma unroll
  for (int r = 0; r < kTileLaneRows; ++r) {
#pragma unroll
    for (int v = 0; v < kTileLaneColumns; ++v)
      sums[r][v] = kIsInt8 ? 0.0f : bias;
  }
  for (int i = 0; i < p.kernel_h; ++i) {
#pragma unroll
    for (int r = 0; r < kTileLaneRows; ++r) {
      add_kernel_row<kStride>(tile + ((row + r) * kStride + i) * p.tile_pitch + column * kStride,
                              weights + i * weight_pitch, p.kernel_w, sums[r]);
    }
  }

  const int out_column = first_column + column;
  const Finish<kTileLaneColumns> finish(p, {0, p.ow - out_column});
  if (out_column >= p.ow) return;
  float pool = 0.0f;
#pragma unroll
  for (int r = 0; r < kTileLaneRows; ++r) {
    const int out_row = first_row + row + r;
    if (out_row >= p.oh) break;
    if constexpr (kIsInt8) {
#pragma unroll
      for (float& sum : sums[r])
        sum = fmaf(sum, scale, bias);
    }
    finish.template store<T>(
        nchw_offset(b, p.out_channels, channel, p.oh, out_row, p.ow, out_column), sums[r]);
    pool += finish.sum_of(sums[r]);
  }
  if (p.pool_partials == nullptr || first_row + row >= p.oh) return;
  store_pool_partial(
      p, ImageLayout::nchw, b, channel,
      (first_row + row) / kTileLaneRows * p.column_groups + out_column / kTileLaneColumns, pool);
}

}  // namespace cudet::device
