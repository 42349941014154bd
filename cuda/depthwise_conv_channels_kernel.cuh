// Depthwise convolution of nhwc images: a lane has neighbouring channels, and its window slides
// down in registers.
//
// Bytes      x once from memory, (C + K - 1) / C (R + K - 1) / R times through the caches for C
//            columns and R rows a thread; y once
// Arithmetic (R + K - 1) / R K^2 multiply-adds an output. Around them, for four channels of C
//            columns: C + K - 1 loads with their conversions, C stores, and the activation.
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
// A block has `slice_lanes` groups of four channels side by side, and as many column groups and
// strips as fill its warps. Its weights meet in shared memory. 3 x 3 kernels keep theirs in
// registers, larger ones read theirs again for every row.
#pragma once

#include "depthwise_conv_parameters.cuh"

#include <type_traits>

namespace cudet::device {

constexpr int kLaneChannels = 4;

/// Columns of y of a thread.
constexpr int kLaneColumns = 4;

/// Four channels of some columns.
template <int kColumns>
using ColumnValues = float[static_cast<std::size_t>(kColumns)][kLaneChannels];

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

/// The biases of four channels, with one look at their type.
__device__ __forceinline__ void load_biases(const DepthwiseConvParameters& p, int channel,
                                            float (&bias)[kLaneChannels]) {
  const auto load = [&](const auto* biases) {
#pragma unroll
    for (int k = 0; k < kLaneChannels; ++k)
      bias[k] = to_float(biases[channel + k]);
  };
#pragma unroll
  for (float& b : bias)
    b = 0.0f;
  if (p.bias == nullptr) return;
  switch (p.bias_type) {
    case DataType::float16:
      return load(static_cast<const __half*>(p.bias));
    case DataType::bfloat16:
      return load(static_cast<const __nv_bfloat16*>(p.bias));
    default:
      return load(static_cast<const float*>(p.bias));
  }
}

/// A lane's part of copying the weights of its four channels: every `places`-th tap from `place`
/// on. Their number is odd, so that the accesses of eight lanes, one a group of channels, meet all
/// banks once.
template <class T, int kTaps>
__device__ __forceinline__ void stage_weights(const DepthwiseConvParameters& p, int channel,
                                              int place, int places, float4* staged) {
  const T* address =
      static_cast<const T*>(p.weight) + std::int64_t{place} * p.out_channels + channel;
  for (int tap = place; tap < kTaps; tap += places) {
    float four[kLaneChannels];
    load_channels(address, p.weight_vectors, four);
    staged[tap] = make_float4(four[0], four[1], four[2], four[3]);
    address += std::int64_t{places} * p.out_channels;
  }
}

/// The columns of x that a thread reads of every row.
template <int kRead>
struct ColumnPlace {
  unsigned columns;     ///< bit j: column j lies in the image
  unsigned whole_rows;  ///< the height where all lanes of the warp have all columns, aligned; or 0
  int channels;         ///< from column to column
};

/// A row of x, zeros outside of the image.
template <class T, int kRead>
__device__ __forceinline__ void load_columns(const DepthwiseConvParameters& p, const T* own,
                                             int row, const ColumnPlace<kRead>& place,
                                             ColumnValues<kRead>& x) {
  if (static_cast<unsigned>(row) < place.whole_rows) {
#pragma unroll
    for (int j = 0; j < kRead; ++j) {
      load_four(own, x[j]);
      own += place.channels;
    }
    return;
  }
#pragma unroll
  for (int j = 0; j < kRead; ++j) {
#pragma unroll
    for (int k = 0; k < kLaneChannels; ++k)
      x[j][k] = 0.0f;
  }
  if (static_cast<unsigned>(row) >= static_cast<unsigned>(p.h)) return;
#pragma unroll
  for (int j = 0; j < kRead; ++j) {
    if ((place.columns >> j & 1u) != 0) load_channels(own, p.x_vectors, x[j]);
    own += place.channels;
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
__global__ void __launch_bounds__(kDepthwiseThreads, 1)
    depthwise_conv_channels_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr int kColumns = kLaneColumns;
  constexpr int kSums = (kKernel - 1) / kStride + 1;
  constexpr int kRead = (kColumns - 1) * kStride + kKernel;
  constexpr int kTaps = kKernel * kKernel;
  constexpr bool kIsInt8 = sizeof(T) == 1;
  CUDET_DYNAMIC_SHARED(float4, staged_weights);

  const unsigned b = blockIdx.x / p.blocks_per_image;
  const unsigned block = blockIdx.x - b * p.blocks_per_image;
  const auto slice = static_cast<unsigned>(p.slice_lanes);
  const auto slices = static_cast<unsigned>(p.slices);
  const auto places = static_cast<unsigned>(p.places);
  const unsigned block_of_slice = block / slices;
  const unsigned place = threadIdx.x / slice;
  const unsigned lane_group = threadIdx.x - place * slice;
  const unsigned item = block_of_slice * places + place;
  const int channel =
      static_cast<int>((block - block_of_slice * slices) * slice + lane_group) * kLaneChannels;
  const bool has_channels = place < places && channel < p.out_channels;
  float4* const own_weights = staged_weights + lane_group * kTaps;
  if (has_channels) {
    stage_weights<T, kTaps>(p, channel, static_cast<int>(place), static_cast<int>(places),
                            own_weights);
  }
  __syncthreads();

  const bool works = has_channels && item < p.items;
  const int strip = static_cast<int>(item / static_cast<unsigned>(p.column_groups));
  const int group = static_cast<int>(item) - strip * p.column_groups;
  const int out_column = group * kColumns;
  const int first_column = out_column * kStride - p.pad_left;
  ColumnPlace<kRead> columns;
  columns.columns = 0;
#pragma unroll
  for (int j = 0; j < kRead; ++j) {
    const bool exists = static_cast<unsigned>(first_column + j) < static_cast<unsigned>(p.w);
    columns.columns |= exists ? 1u << j : 0u;
  }
  const bool is_whole = columns.columns == (1u << kRead) - 1 && p.x_vectors;
  const bool all_whole = __all_sync(kFullWarp, static_cast<int>(!works || is_whole)) != 0;
  if (!works) return;
  columns.whole_rows = keep(all_whole ? static_cast<unsigned>(p.h) : 0u);
  columns.channels = keep(p.c);

  std::conditional_t<kKernel == 3, float4[static_cast<std::size_t>(kTaps)], const float4*> weights;
  if constexpr (kKernel == 3) {
#pragma unroll
    for (int tap = 0; tap < kTaps; ++tap)
      weights[tap] = own_weights[tap];
  } else {
    weights = own_weights;
  }
  float bias[kLaneChannels], scale[kLaneChannels], start[kLaneChannels];
  float pool[kLaneChannels] = {};
  load_biases(p, channel, bias);
#pragma unroll
  for (int k = 0; k < kLaneChannels; ++k) {
    scale[k] = scale_of<T>(p, channel + k);
    start[k] = kIsInt8 ? 0.0f : bias[k];
  }
  const int out_columns = min(kColumns, p.ow - out_column);
  const int first_row = strip * p.strip_rows;
  const int rows = min(p.strip_rows, p.oh - first_row);
  const auto strip_rows = static_cast<unsigned>(rows);
  int row = first_row * kStride - p.pad_top;
  const int pitch = keep(p.w * p.c);
  const T* x =
      static_cast<const T*>(p.x) + nhwc_offset(b, p.h, row, p.w, first_column, p.c, channel);
  const int y_pitch = keep(p.ow * p.out_channels);
  std::int64_t index =
      nhwc_offset(b, p.oh, first_row - (kSums - 1), p.ow, out_column, p.out_channels, channel);
  const Finish<kLaneChannels> finish(p, {0, kLaneChannels});
  const bool pools = keep(p.pool_partials != nullptr);
  const bool stores_plainly =
      keep(!kIsInt8 && !pools && finish.stores_plain_vectors() && out_columns == kColumns);
  const int y_channels = keep(p.out_channels);

  ColumnValues<kColumns> sums[static_cast<std::size_t>(kSums)] = {};
#pragma unroll 1
  for (int out = -(kSums - 1); out < rows; ++out) {
#pragma unroll
    for (int s = 0; s < kStride; ++s) {
      ColumnValues<kRead> window;
      load_columns<T, kRead>(p, x, row, columns, window);
      ++row;
      x += pitch;
#pragma unroll
      for (int u = kSums - 1; u >= 0; --u) {
        const int tap_row = u * kStride + s;
        if (tap_row >= kKernel) continue;
        if (static_cast<unsigned>(out + (kSums - 1 - u)) >= strip_rows) continue;
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
    if (out >= 0 && stores_plainly) {
      T* y = finish.template address<T>(index);
#pragma unroll
      for (int v = 0; v < kColumns; ++v) {
        store_four(y, sums[kSums - 1][v]);
        y += y_channels;
      }
    } else if (out >= 0) {
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
