// Depthwise convolution of nchw images whose rows are long: a window slides down in registers.
//
// Bytes      x once from memory, (R + K - 1) / R times through the caches, R rows a strip; y once
// Arithmetic K^2 multiply-adds an output. Around them, for four outputs: a load, the halo, a store,
//            and the activation.
//
// A thread has four neighbouring columns of y and a strip of R rows. It reads one row of x after
// the other, four elements (with stride 2 eight) and the halo on both sides, which is what the
// neighbouring lanes have just read:
//
//       lane 0        lane 1        lane 2
//      x x x x   >  h x x x x h  <  x x x x        h: shuffled from a neighbour
//
// A row adds to the sums of all K output rows whose windows it belongs to; sums[u] is that of the
// output that has seen u * stride more rows. With the next row every sum moves one place on, and
// that costs nothing: the first multiply-add of a row reads one place and writes the next one.
//
// Lanes lie row group by row group, strip by strip and plane by plane without gaps, so that all of
// them work whatever the width is. Lanes 0 and 31 load the part of the halo that is in another
// warp.
#pragma once

#include "depthwise_conv_parameters.cuh"

namespace cudet::device {

constexpr unsigned kRowsColumns = 4;  // of y, a thread

/// What a thread reads of a row. This stays the same from row to row.
struct RowsPlace {
  int in_row;           ///< elements of the row from the thread's own first one to its end
  bool left_in_warp;    ///< the halo on the left is in the lane before
  bool left_in_memory;  ///< it is in another warp
  bool right_in_warp;
  bool right_in_memory;
};

/// Reads one row of x, zeros where it or parts of it lie outside of the image. `own` is the
/// thread's first element, window[kLeft].
template <class T, unsigned kOwn, unsigned kLeft, unsigned kRight>
__device__ __forceinline__ void load_row(const T* own, bool inside, bool vectors,
                                         const RowsPlace& place,
                                         float (&window)[kLeft + kOwn + kRight]) {
  float x[kOwn] = {};
  if (vectors) {
    // The width is a multiple of four.
#pragma unroll
    for (unsigned k = 0; k < kOwn; k += 4) {
      float four[4] = {};
      if (inside && static_cast<int>(k) < place.in_row) load_four(own + k, four);
#pragma unroll
      for (unsigned j = 0; j < 4; ++j)
        x[k + j] = four[j];
    }
  } else {
#pragma unroll
    for (unsigned k = 0; k < kOwn; ++k) {
      if (inside && static_cast<int>(k) < place.in_row) x[k] = to_float(own[k]);
    }
  }
#pragma unroll
  for (unsigned k = 0; k < kOwn; ++k)
    window[kLeft + k] = x[k];
#pragma unroll
  for (unsigned k = 0; k < kLeft; ++k) {
    const float other = __shfl_up_sync(kFullWarp, x[kOwn - kLeft + k], 1);
    window[k] = place.left_in_warp ? other : 0.0f;
    const int column = static_cast<int>(k) - static_cast<int>(kLeft);
    if (place.left_in_memory && inside && column < place.in_row) window[k] = to_float(own[column]);
  }
#pragma unroll
  for (unsigned k = 0; k < kRight; ++k) {
    const float other = __shfl_down_sync(kFullWarp, x[k], 1);
    window[kLeft + kOwn + k] = place.right_in_warp ? other : 0.0f;
    if (place.right_in_memory && inside && static_cast<int>(kOwn + k) < place.in_row) {
      window[kLeft + kOwn + k] = to_float(own[kOwn + k]);
    }
  }
}

/// kLeft columns of padding lie before the window of the first output column of a thread.
template <class T, unsigned kKernel, unsigned kStride, unsigned kLeft>
__global__ void __launch_bounds__(kDepthwiseThreads)
    depthwise_conv_rows_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr unsigned kSums = (kKernel - 1) / kStride + 1;
  constexpr unsigned kOwn = kRowsColumns * kStride;
  constexpr unsigned kRight = kKernel - kStride - kLeft;
  constexpr bool kIsInt8 = sizeof(T) == 1;

  const unsigned b = blockIdx.x / p.blocks_per_image;
  const unsigned item = (blockIdx.x - b * p.blocks_per_image) * kDepthwiseThreads + threadIdx.x;
  // The lanes after the last item work on it again and store nothing: shuffles need them.
  const bool stores = item < p.items;
  const unsigned own_item = stores ? item : p.items - 1;
  const int group = static_cast<int>(own_item % static_cast<unsigned>(p.column_groups));
  const unsigned plane_strip = own_item / static_cast<unsigned>(p.column_groups);
  const int strip = static_cast<int>(plane_strip % static_cast<unsigned>(p.strips));
  const int channel = static_cast<int>(plane_strip / static_cast<unsigned>(p.strips));

  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const int first_column = group * static_cast<int>(kOwn);
  RowsPlace place;
  place.in_row = p.w - first_column;
  place.left_in_warp = lane != 0 && group > 0;
  place.left_in_memory = lane == 0 && group > 0;
  place.right_in_warp = lane != kWarpSize - 1 && group < p.column_groups - 1;
  place.right_in_memory = !place.right_in_warp;

  const T* const weights =
      static_cast<const T*>(p.weight) + std::int64_t{channel} * (kKernel * kKernel);
  float weight[kKernel * kKernel];
#pragma unroll
  for (unsigned k = 0; k < kKernel * kKernel; ++k)
    weight[k] = to_float(weights[k]);
  const float bias = bias_of(p, channel);
  const float start = kIsInt8 ? 0.0f : bias;
  const float scale = scale_of<T>(p, channel);

  const int first_row = strip * p.strip_rows;
  int row = first_row * static_cast<int>(kStride) - p.pad_top;
  const T* own = static_cast<const T*>(p.x) +
                 (std::int64_t{b} * p.c + channel / p.multiplier) * p.h * p.w +
                 std::int64_t{row} * p.w + first_column;
  // Where the padding is smaller than kLeft, a thread's columns of y lie further left.
  const int out_column = group * static_cast<int>(kRowsColumns) - p.column_shift;
  const Part part = {-out_column, p.ow - out_column};
  const std::int64_t plane =
      (std::int64_t{b} * p.out_channels + channel) * p.oh * p.ow + out_column;

  float sums[kSums][kRowsColumns] = {};
  float pool = 0.0f;
  const int steps = p.strip_rows + static_cast<int>(kSums) - 1;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
#pragma unroll
    for (unsigned s = 0; s < kStride; ++s) {
      float window[kLeft + kOwn + kRight];
      load_row<T, kOwn, kLeft, kRight>(own, row >= 0 && row < p.h, p.x_vectors, place, window);
      ++row;
      own += p.w;
#pragma unroll
      for (unsigned u = kSums; u-- > 0;) {
        const unsigned tap = u * kStride + s;
        if (tap >= kKernel) continue;
#pragma unroll
        for (unsigned v = 0; v < kRowsColumns; ++v) {
          float sum = s > 0 ? sums[u][v] : u > 0 ? sums[u - 1][v] : start;
#pragma unroll
          for (unsigned q = 0; q < kKernel; ++q)
            sum = fmaf(weight[tap * kKernel + q], window[v * kStride + q], sum);
          sums[u][v] = sum;
        }
      }
    }
    const int out_row = first_row + step - static_cast<int>(kSums - 1);
    if (step < static_cast<int>(kSums - 1) || out_row >= p.oh || !stores) continue;
    float v[kRowsColumns];
#pragma unroll
    for (unsigned k = 0; k < kRowsColumns; ++k)
      v[k] = kIsInt8 ? fmaf(sums[kSums - 1][k], scale, bias) : sums[kSums - 1][k];
    finish<T, kRowsColumns>(p, plane + std::int64_t{out_row} * p.ow, part, v);
    if (p.pool_partials != nullptr) pool += sum_of(part, v);
  }
  if (p.pool_partials != nullptr && stores) {
    store_pool_partial(p, ImageLayout::nchw, b, channel, strip * p.column_groups + group, pool);
  }
}

}  // namespace cudet::device
