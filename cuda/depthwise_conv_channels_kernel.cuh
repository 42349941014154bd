// Depthwise convolution of nhwc images: a lane has neighbouring channels, and its window slides
// down in registers.
//
// Bytes      x once from memory, (C + K - 1) / C (R + K - 1) / R times through the caches for C
//            columns and R rows a thread; y once
// Arithmetic K^2 multiply-adds an output. Around them, for four channels: (C + K - 1) / C loads, a
//            store, the activation, and K^2 / C loads of weights from shared memory.
//
// A thread has four channels of C columns of y and a strip of R rows. All lanes read and write
// neighbouring channels, so that every access of a warp is contiguous:
//
//      channels 0-3   4-7     8-11           lanes
//      +-------+-------+-------+
//      | C col.| C col.| C col.|             a row of x, K - 1 columns more than C, is read;
//      +-------+-------+-------+             sums move from place to place with every row,
//          |       |       |      R rows     see depthwise_conv_rows_kernel.cuh
//
// A block has `channel_slice` groups of four channels side by side, whose weights it keeps in
// shared memory, and as many column groups and strips as fit.
#pragma once

#include "depthwise_conv_parameters.cuh"

namespace cudet::device {

constexpr int kLaneChannels = 4;

/// Columns of y of a thread: as many as leave registers for the sums of K rows.
template <int kKernel>
constexpr int kLaneColumns = kKernel == 7 ? 2 : 4;

template <class T>
__device__ __forceinline__ void load_channels(const T* address, bool vectors,
                                              float (&x)[kLaneChannels]) {
  if (vectors) {
    load_four(address, x);
    return;
  }
#pragma unroll
  for (int k = 0; k < kLaneChannels; ++k)
    x[k] = to_float(address[k]);
}

/// Copies the weights of the block's channels: for each group of four channels all taps. Their
/// number is odd, so that the accesses of eight lanes, one a group, meet all banks once.
template <class T, int kTaps>
__device__ __forceinline__ void stage_weights(const DepthwiseConvParameters& p, int first_group,
                                              float4* staged) {
  const int slice = p.channel_slice;
  const int groups = min(slice, p.out_channels / kLaneChannels - first_group);
  for (int i = static_cast<int>(threadIdx.x); i < kTaps * slice;
       i += static_cast<int>(kDepthwiseThreads)) {
    const int group = i % slice;
    if (group >= groups) continue;
    const int tap = i / slice;
    float four[kLaneChannels];
    load_channels(static_cast<const T*>(p.weight) + tap * p.out_channels +
                      (first_group + group) * kLaneChannels,
                  p.weight_vectors, four);
    staged[group * kTaps + tap] = make_float4(four[0], four[1], four[2], four[3]);
  }
  __syncthreads();
}

/// Four channels of some columns.
template <int kColumns>
using ColumnValues = float[static_cast<std::size_t>(kColumns)][kLaneChannels];

/// A row of x from column `first` on, zeros for columns outside of the image. `whole_rows` is the
/// height where there are none, and all groups of four channels are aligned.
template <class T, int kColumns>
__device__ __forceinline__ void load_columns(const DepthwiseConvParameters& p, const T* own,
                                             int row, unsigned whole_rows, int first, int channels,
                                             ColumnValues<kColumns>& x) {
  if (static_cast<unsigned>(row) < whole_rows) {
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      load_four(own, x[j]);
      own += channels;
    }
    return;
  }
  const bool inside = static_cast<unsigned>(row) < static_cast<unsigned>(p.h);
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
#pragma unroll
    for (int k = 0; k < kLaneChannels; ++k)
      x[j][k] = 0.0f;
    if (inside && static_cast<unsigned>(first + j) < static_cast<unsigned>(p.w)) {
      load_channels(own, p.x_vectors, x[j]);
    }
    own += channels;
  }
}

/// What follows the sums of the `columns` columns of a row that exist; see Finish::store().
template <class T, int kColumns>
__device__ __forceinline__ void finish_columns(const Finish<kLaneChannels>& finish,
                                               std::int64_t index, int channels, int columns,
                                               Floats<kColumns * kLaneChannels>& values) {
  const auto column = [&values](int v) -> float(&)[kLaneChannels] {
    return reinterpret_cast<float(&)[kLaneChannels]>(values[v * kLaneChannels]);
  };
  if (finish.saves()) {
#pragma unroll
    for (int v = 0; v < kColumns; ++v) {
      if (v < columns) finish.template save<T>(index + v * channels, column(v));
    }
  }
  finish.activate(values);
#pragma unroll
  for (int v = 0; v < kColumns; ++v) {
    if (v < columns) finish.template add_and_store<T>(index + v * channels, column(v));
  }
}

template <class T, int kKernel, int kStride>
__global__ void __launch_bounds__(kDepthwiseThreads)
    depthwise_conv_channels_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr int kColumns = kLaneColumns<kKernel>;
  constexpr int kSums = (kKernel - 1) / kStride + 1;
  constexpr int kRead = (kColumns - 1) * kStride + kKernel;
  constexpr int kTaps = kKernel * kKernel;
  constexpr bool kIsInt8 = sizeof(T) == 1;
  CUDET_DYNAMIC_SHARED(float4, staged_weights);

  const unsigned b = blockIdx.x / p.blocks_per_image;
  const unsigned block = blockIdx.x - b * p.blocks_per_image;
  const int slice = p.channel_slice;
  const unsigned slices =
      static_cast<unsigned>((p.out_channels / kLaneChannels + slice - 1) / slice);
  const int first_group = static_cast<int>(block % slices) * slice;
  stage_weights<T, kTaps>(p, first_group, staged_weights);

  const unsigned places = kDepthwiseThreads / static_cast<unsigned>(slice);
  const unsigned place = threadIdx.x / static_cast<unsigned>(slice);
  const int lane_group = static_cast<int>(threadIdx.x % static_cast<unsigned>(slice));
  const unsigned item = block / slices * places + place;
  const int channel = (first_group + lane_group) * kLaneChannels;
  if (place >= places || item >= p.items || channel >= p.out_channels) return;
  const int group = static_cast<int>(item % static_cast<unsigned>(p.column_groups));
  const int strip = static_cast<int>(item / static_cast<unsigned>(p.column_groups));

  float bias[kLaneChannels], scale[kLaneChannels], start[kLaneChannels];
  float pool[kLaneChannels] = {};
#pragma unroll
  for (int k = 0; k < kLaneChannels; ++k) {
    bias[k] = bias_of(p, channel + k);
    scale[k] = scale_of<T>(p, channel + k);
    start[k] = kIsInt8 ? 0.0f : bias[k];
  }
  const int out_column = group * kColumns;
  const int out_columns = min(kColumns, p.ow - out_column);
  const int first_column = out_column * kStride - p.pad_left;
  const int first_row = strip * p.strip_rows;
  const int rows = min(p.strip_rows, p.oh - first_row);
  int row = first_row * kStride - p.pad_top;
  const int channels = keep(p.c);
  const int pitch = keep(p.w * p.c);
  const T* x =
      static_cast<const T*>(p.x) + nhwc_offset(b, p.h, row, p.w, first_column, p.c, channel);
  const bool whole = first_column >= 0 && first_column + kRead <= p.w && p.x_vectors;
  const unsigned whole_rows = keep(whole ? static_cast<unsigned>(p.h) : 0u);
  const int y_pitch = keep(p.ow * p.out_channels);
  std::int64_t index =
      nhwc_offset(b, p.oh, first_row - (kSums - 1), p.ow, out_column, p.out_channels, channel);
  const Finish<kLaneChannels> finish(p, {0, kLaneChannels});
  const bool pools = keep(p.pool_partials != nullptr);
  const float4* const weights = staged_weights + lane_group * kTaps;

  ColumnValues<kColumns> sums[static_cast<std::size_t>(kSums)] = {};
#pragma unroll 1
  for (int out = -(kSums - 1); out < rows; ++out) {
#pragma unroll
    for (int s = 0; s < kStride; ++s) {
      ColumnValues<kRead> window;
      load_columns<T, kRead>(p, x, row, whole_rows, first_column, channels, window);
      ++row;
      x += pitch;
#pragma unroll
      for (int u = kSums - 1; u >= 0; --u) {
        const int tap_row = u * kStride + s;
        if (tap_row >= kKernel) continue;
#pragma unroll
        for (int q = 0; q < kKernel; ++q) {
          const float4 tap = weights[tap_row * kKernel + q];
          const float weight[kLaneChannels] = {tap.x, tap.y, tap.z, tap.w};
#pragma unroll
          for (int v = 0; v < kColumns; ++v) {
#pragma unroll
            for (int k = 0; k < kLaneChannels; ++k) {
              const float sum = s > 0 || q > 0 ? sums[u][v][k]
                                : u > 0        ? sums[u - 1][v][k]
                                               : start[k];
              sums[u][v][k] = fmaf(weight[k], window[v * kStride + q][k], sum);
            }
          }
        }
      }
    }
    if (out >= 0) {
      Floats<kColumns * kLaneChannels> values;
#pragma unroll
      for (int i = 0; i < kColumns * kLaneChannels; ++i) {
        const int k = i % kLaneChannels;
        const float sum = sums[kSums - 1][i / kLaneChannels][k];
        values[i] = kIsInt8 ? fmaf(sum, scale[k], bias[k]) : sum;
      }
      finish_columns<T, kColumns>(finish, index, p.out_channels, out_columns, values);
      if (pools) {
#pragma unroll
        for (int i = 0; i < kColumns * kLaneChannels; ++i)
          pool[i % kLaneChannels] += i / kLaneChannels < out_columns ? values[i] : 0.0f;
      }
    }
    index += y_pitch;
  }
  if (!pools) return;
#pragma unroll
  for (int k = 0; k < kLaneChannels; ++k) {
    store_pool_partial(p, ImageLayout::nhwc, b, channel + k, strip * p.column_groups + group,
                       pool[k]);
  }
}

}  // namespace cudet::device
