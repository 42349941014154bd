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
#include "device/keep.cuh"
#include "device/neighbour.cuh"

namespace cudet::device {

constexpr int kRowsColumns = 4;  // of y, a thread

/// What a thread reads of a row. This stays the same from row to row; numbers of rows are the
/// height of x, or 0 where the thread reads nothing.
struct RowsPlace {
  int in_row;          ///< elements of the row from the thread's own first one to its end
  unsigned own_rows;   ///< of its own elements
  unsigned left_mask;  ///< all bits where the halo on the left is in the lane before
  unsigned left_rows;  ///< of the halo on the left, where that is in another warp
  unsigned right_mask;
  unsigned right_rows;
};

template <unsigned kOwn>
__device__ __forceinline__ RowsPlace place_of(const DepthwiseConvParameters& p, int group) {
  const unsigned lane = threadIdx.x % kWarpSize;
  const auto rows_if = [&](bool reads) { return keep(reads ? static_cast<unsigned>(p.h) : 0u); };
  const auto mask_if = [](bool set) { return keep(set ? 0xffffffffu : 0u); };
  RowsPlace place;
  place.in_row = p.w - group * static_cast<int>(kOwn);
  place.own_rows = rows_if(place.in_row > 0);
  const bool has_left = group > 0;
  place.left_mask = mask_if(has_left && lane > 0);
  place.left_rows = rows_if(has_left && lane == 0);
  const bool has_right = place.in_row > static_cast<int>(kOwn);
  const bool right_in_warp = lane < kWarpSize - 1 && group < p.column_groups - 1;
  place.right_mask = mask_if(right_in_warp);
  place.right_rows = rows_if(has_right && !right_in_warp);
  return place;
}

/// Reads one row of x, zeros where it or parts of it lie outside of the image. `own` is the
/// thread's first element, window[kBefore]. kVectors: every group of four elements is aligned, and
/// a row has no part of one.
template <class T, bool kVectors, int kOwn, int kBefore, int kAfter>
__device__ __forceinline__ void load_row(const T* own, int row, const RowsPlace& place,
                                         Floats<kBefore + kOwn + kAfter>& window) {
  const auto is_below = [row](unsigned rows) { return static_cast<unsigned>(row) < rows; };
  Floats<kOwn> x = {};
  if (is_below(place.own_rows)) {
    if constexpr (kVectors) {
#pragma unroll
      for (int k = 0; k < kOwn; k += 4) {
        float four[4] = {};
        if (k == 0 || k < place.in_row) load_four(own + k, four);
#pragma unroll
        for (int j = 0; j < 4; ++j)
          x[k + j] = four[j];
      }
    } else {
#pragma unroll
      for (int k = 0; k < kOwn; ++k)
        x[k] = k < place.in_row ? to_float(own[k]) : 0.0f;
    }
  }
#pragma unroll
  for (int k = 0; k < kOwn; ++k)
    window[kBefore + k] = x[k];
#pragma unroll
  for (int k = 0; k < kBefore; ++k)
    window[k] = from_lane_before(x[kOwn - kBefore + k], place.left_mask);
#pragma unroll
  for (int k = 0; k < kAfter; ++k)
    window[kBefore + kOwn + k] = from_lane_after(x[k], place.right_mask);
  if (is_below(place.left_rows)) {
#pragma unroll
    for (int k = 0; k < kBefore; ++k) {
      if (kVectors || k - kBefore < place.in_row) window[k] = to_float(own[k - kBefore]);
    }
  }
  if (is_below(place.right_rows)) {
#pragma unroll
    for (int k = kOwn; k < kOwn + kAfter; ++k) {
      if (kVectors || k < place.in_row) window[kBefore + k] = to_float(own[k]);
    }
  }
}

/// kLeft columns of padding lie before the window of the first output column of a thread.
template <class T, bool kVectors, int kKernel, int kStride, int kLeft>
__global__ void __launch_bounds__(kDepthwiseThreads, 3)
    depthwise_conv_rows_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr int kSums = (kKernel - 1) / kStride + 1;
  constexpr int kOwn = kRowsColumns * kStride;
  constexpr int kAfter = kKernel - kStride - kLeft;
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
  const RowsPlace place = place_of<kOwn>(p, group);

  const T* const weights =
      static_cast<const T*>(p.weight) + std::int64_t{channel} * (kKernel * kKernel);
  Floats<kKernel * kKernel> weight;
#pragma unroll
  for (int k = 0; k < kKernel * kKernel; ++k)
    weight[k] = to_float(weights[k]);
  const float bias = bias_of(p, channel);
  const float start = kIsInt8 ? 0.0f : bias;
  const float scale = scale_of<T>(p, channel);

  const int first_row = strip * p.strip_rows;
  const int strip_rows = keep(p.strip_rows);
  // Of these rows, so many belong to the strip.
  const int rows = keep(stores ? min(p.strip_rows, p.oh - first_row) : 0);
  // Of the strip, and those that no sum of another row accompanies.
  const auto all_rows = static_cast<unsigned>(strip_rows);
  const auto inner_rows = static_cast<unsigned>(max(strip_rows - (kSums - 1), 0));
  int row = first_row * kStride - p.pad_top;
  const T* own = static_cast<const T*>(p.x) +
                 nchw_offset(b, p.c, channel / p.multiplier, p.h, row, p.w, group * kOwn);
  // Where the padding is smaller than kLeft, a thread's columns of y lie further left.
  const int out_column = group * kRowsColumns - p.column_shift;
  const Finish<kRowsColumns> finish(p, {-out_column, p.ow - out_column});
  std::int64_t index =
      nchw_offset(b, p.out_channels, channel, p.oh, first_row - (kSums - 1), p.ow, out_column);

  Floats<kRowsColumns> sums[static_cast<std::size_t>(kSums)] = {};
  const bool pools = keep(p.pool_partials != nullptr);
  float pool = 0.0f;
  const unsigned plain_rows =
      keep(!kIsInt8 && !pools && finish.stores_plain_vectors() ? static_cast<unsigned>(rows) : 0u);
  const int x_pitch = keep(p.w);
  const int y_pitch = keep(p.ow);
#pragma unroll 1
  for (int out = -(kSums - 1); out < strip_rows; ++out) {
    const bool is_inner = static_cast<unsigned>(out) < inner_rows;
#pragma unroll
    for (int s = 0; s < kStride; ++s) {
      Floats<kLeft + kOwn + kAfter> window;
      load_row<T, kVectors, kOwn, kLeft, kAfter>(own, row, place, window);
      ++row;
      own += x_pitch;
#pragma unroll
      for (int u = kSums - 1; u >= 0; --u) {
        const int tap = u * kStride + s;
        if (tap >= kKernel) continue;
        // Rows of y above and below the strip; those of 3 x 3 kernels are not worth the question.
        const int sum_row = out + (kSums - 1 - u);
        if (kKernel > 3 && !is_inner && static_cast<unsigned>(sum_row) >= all_rows) continue;
#pragma unroll
        for (int v = 0; v < kRowsColumns; ++v) {
          float sum = s > 0 ? sums[u][v] : u > 0 ? sums[u - 1][v] : start;
#pragma unroll
          for (int q = 0; q < kKernel; ++q)
            sum = fmaf(weight[tap * kKernel + q], window[v * kStride + q], sum);
          sums[u][v] = sum;
        }
      }
    }
    if (static_cast<unsigned>(out) < plain_rows) {
      store_four(finish.template address<T>(index), sums[kSums - 1]);
    } else if (static_cast<unsigned>(out) < static_cast<unsigned>(rows)) {
      Floats<kRowsColumns> v;
#pragma unroll
      for (int k = 0; k < kRowsColumns; ++k)
        v[k] = kIsInt8 ? fmaf(sums[kSums - 1][k], scale, bias) : sums[kSums - 1][k];
      finish.template store<T>(index, v);
      if (pools) pool += finish.sum_of(v);
    }
    index += y_pitch;
  }
  if (p.pool_partials != nullptr && stores) {
    store_pool_partial(p, ImageLayout::nchw, b, channel, strip * p.column_groups + group, pool);
  }
}

}  // namespace cudet::device
