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

/// Copies the weights of the block's channels, [taps, channel_slice] groups of four.
template <class T>
__device__ __forceinline__ void stage_weights(const DepthwiseConvParameters& p, int taps,
                                              int first_group, float4* staged) {
  const int slice = p.channel_slice;
  const int groups = min(slice, p.out_channels / kLaneChannels - first_group);
  for (int i = static_cast<int>(threadIdx.x); i < taps * slice;
       i += static_cast<int>(kDepthwiseThreads)) {
    const int group = i % slice;
    if (group >= groups) continue;
    const T* const weight = static_cast<const T*>(p.weight) + i / slice * p.out_channels +
                            (first_group + group) * kLaneChannels;
    float four[kLaneChannels];
    load_channels(weight, p.weight_vectors, four);
    staged[i] = make_float4(four[0], four[1], four[2], four[3]);
  }
  __syncthreads();
}

/// Columns first ... first + kColumns - 1 of a row, zeros for those outside of the image.
template <class T, int kColumns>
__device__ __forceinline__ void load_columns(const DepthwiseConvParameters& p, const T* row,
                                             bool inside, int first,
                                             float (&x)[static_cast<std::size_t>(kColumns)][4]) {
  if (inside && first >= 0 && first + kColumns <= p.w) {
#pragma unroll
    for (int j = 0; j < kColumns; ++j)
      load_channels(row + (first + j) * p.c, p.x_vectors, x[j]);
    return;
  }
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
#pragma unroll
    for (int k = 0; k < kLaneChannels; ++k)
      x[j][k] = 0.0f;
    if (inside && static_cast<unsigned>(first + j) < static_cast<unsigned>(p.w)) {
      load_channels(row + (first + j) * p.c, p.x_vectors, x[j]);
    }
  }
}

template <class T, int kKernel, int kStride>
__global__ void __launch_bounds__(kDepthwiseThreads)
    depthwise_conv_channels_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr int kColumns = kLaneColumns<kKernel>;
  constexpr int kSums = (kKernel - 1) / kStride + 1;
  constexpr int kRead = (kColumns - 1) * kStride + kKernel;
  constexpr bool kIsInt8 = sizeof(T) == 1;
  CUDET_DYNAMIC_SHARED(float4, staged_weights);

  const unsigned b = blockIdx.x / p.blocks_per_image;
  const unsigned block = blockIdx.x - b * p.blocks_per_image;
  const int slice = p.channel_slice;
  const unsigned slices =
      static_cast<unsigned>((p.out_channels / kLaneChannels + slice - 1) / slice);
  const int first_group = static_cast<int>(block % slices) * slice;
  stage_weights<T>(p, kKernel * kKernel, first_group, staged_weights);

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
  const int pitch = p.w * p.c;
  const T* x = static_cast<const T*>(p.x) + (std::int64_t{b} * p.h + row) * pitch + channel;
  std::int64_t index =
      ((std::int64_t{b} * p.oh + first_row - (kSums - 1)) * p.ow + out_column) * p.out_channels +
      channel;
  const Finish<kLaneChannels> finish(p, {0, kLaneChannels});

  float sums[static_cast<std::size_t>(kSums)][static_cast<std::size_t>(kColumns)][4] = {};
#pragma unroll 1
  for (int out = -(kSums - 1); out < rows; ++out) {
#pragma unroll
    for (int s = 0; s < kStride; ++s) {
      float window[static_cast<std::size_t>(kRead)][4];
      load_columns<T, kRead>(p, x, row >= 0 && row < p.h, first_column, window);
      ++row;
      x += pitch;
#pragma unroll
      for (int u = kSums - 1; u >= 0; --u) {
        const int tap_row = u * kStride + s;
        if (tap_row >= kKernel) continue;
#pragma unroll
        for (int q = 0; q < kKernel; ++q) {
          const float4 tap = staged_weights[(tap_row * kKernel + q) * slice + lane_group];
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
#pragma unroll
      for (int v = 0; v < kColumns; ++v) {
        if (v >= out_columns) break;
        float values[kLaneChannels];
#pragma unroll
        for (int k = 0; k < kLaneChannels; ++k) {
          const float sum = sums[kSums - 1][v][k];
          values[k] = kIsInt8 ? fmaf(sum, scale[k], bias[k]) : sum;
        }
        finish.template store<T>(index + v * p.out_channels, values);
#pragma unroll
        for (int k = 0; k < kLaneChannels; ++k)
          pool[k] += values[k];
      }
    }
    index += std::int64_t{p.ow} * p.out_channels;
  }
  if (p.pool_partials == nullptr) return;
#pragma unroll
  for (int k = 0; k < kLaneChannels; ++k) {
    store_pool_partial(p, ImageLayout::nhwc, b, channel + k, strip * p.column_groups + group,
                       pool[k]);
  }
}

}  // namespace cudet::device
