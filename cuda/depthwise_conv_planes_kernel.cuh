// Depthwise convolution of nchw images whose planes are narrow: a warp has whole rows, of several
// planes, and their window slides down in registers.
//
// Bytes      x once from memory, (R + K - 1) / R times through the caches, R rows a strip; y once
// Arithmetic (R + K - 1) / R K^2 multiply-adds an output. Around them, for four outputs: two loads
//            and stores, or four where rows are odd, the halo, and the activation.
//
//         plane 0             plane 1             plane 2
//      lane 0      1       2       3           4       5
//        x x x x  x x x    x x x x  x x x      x x x x  x x x     rows of seven
//              h  h              h  h                h  h
//
// A thread has four neighbouring columns of y, and reads those columns of x (with stride 2 eight)
// that lie below them. The rest of its window is what the lanes beside it have read: no lane needs
// anything of another warp, as every row of a plane lies in one. Rows move through the sums as they
// do in depthwise_conv_rows_kernel.cuh.
#pragma once

#include "depthwise_conv_parameters.cuh"
#include "device/keep.cuh"
#include "device/neighbour.cuh"

namespace cudet::device {

constexpr int kPlanesColumns = 4;  // of y, a thread

/// What a thread reads of every row.
struct PlanesPlace {
  int in_row;           ///< elements of the row from the thread's own first one to its end
  unsigned own_rows;    ///< the height of x where its own elements exist, or 0
  unsigned left_mask;   ///< all bits where the lane before has the same row
  unsigned right_mask;  ///< likewise the lane after
};

/// Reads one row of x, zeros where it or parts of it lie outside of the image. `own` is the
/// thread's first element, window[kBefore]. kPairs: every group of two elements is aligned, and a
/// row has no part of one.
template <class T, bool kPairs, int kOwn, int kBefore, int kAfter>
__device__ __forceinline__ void load_planes_row(const T* own, int row, const PlanesPlace& place,
                                                Floats<kBefore + kOwn + kAfter>& window) {
  Floats<kOwn> x = {};
  if (static_cast<unsigned>(row) < place.own_rows) {
#pragma unroll
    for (int k = 0; k < kOwn; k += kPairs ? 2 : 1) {
      if (k > 0 && k >= place.in_row) continue;
      if constexpr (kPairs) {
        const float2 two = load_two(own + k);
        x[k] = two.x;
        x[k + 1] = two.y;
      } else {
        x[k] = to_float(own[k]);
      }
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
}

/// kLeft columns of padding lie before the window of the first output column of a thread.
template <class T, bool kPairs, int kKernel, int kStride, int kLeft>
__global__ void __launch_bounds__(kDepthwiseThreads, 3)
    depthwise_conv_planes_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr int kSums = (kKernel - 1) / kStride + 1;
  constexpr int kOwn = kPlanesColumns * kStride;
  constexpr int kAfter = kKernel - kStride - kLeft;
  constexpr int kTaps = kKernel * kKernel;
  constexpr bool kIsInt8 = sizeof(T) == 1;

  const unsigned lane = threadIdx.x % kWarpSize;
  const unsigned warp = blockIdx.x * (kDepthwiseThreads / kWarpSize) + threadIdx.x / kWarpSize;
  const auto lanes = static_cast<unsigned>(p.plane_lanes);
  const auto strips = static_cast<unsigned>(p.strips);
  const unsigned planes_of_warp = kWarpSize / lanes;
  const unsigned plane_of_warp = lane / lanes;
  const unsigned group = lane - plane_of_warp * lanes;
  const unsigned warp_of_strip = warp / strips;
  const int strip = static_cast<int>(warp - warp_of_strip * strips);
  const unsigned own_plane = warp_of_strip * planes_of_warp + plane_of_warp;
  // Lanes beyond the planes of their warp, or of the call, read and store nothing: shuffles need
  // them.
  const bool works = plane_of_warp < planes_of_warp && own_plane < p.planes;
  const unsigned plane = works ? own_plane : 0;
  const auto channels = static_cast<unsigned>(p.out_channels);
  const unsigned b = plane / channels;
  const int channel = static_cast<int>(plane - b * channels);

  const int first_x = static_cast<int>(group) * kOwn;
  PlanesPlace place;
  place.in_row = p.w - first_x;
  place.own_rows = keep(works && place.in_row > 0 ? static_cast<unsigned>(p.h) : 0u);
  place.left_mask = keep(group > 0 ? 0xffffffffu : 0u);
  place.right_mask = keep(group + 1 < lanes ? 0xffffffffu : 0u);

  const T* const weights = static_cast<const T*>(p.weight) + std::int64_t{channel} * kTaps;
  Floats<kTaps> weight;
#pragma unroll
  for (int k = 0; k < kTaps; ++k)
    weight[k] = to_float(weights[k]);
  const float bias = bias_of(p, channel);
  const float start = kIsInt8 ? 0.0f : bias;
  const float scale = scale_of<T>(p, channel);

  const int first_row = strip * p.strip_rows;
  const int rows = keep(min(p.strip_rows, p.oh - first_row));
  int row = first_row * kStride - p.pad_top;
  const T* own = static_cast<const T*>(p.x) +
                 nchw_offset(b, p.c, channel / p.multiplier, p.h, row, p.w, first_x);
  // Where the padding is smaller than kLeft, a thread's columns of y lie further left.
  const int out_column = static_cast<int>(group) * kPlanesColumns - p.column_shift;
  const Part part = {-out_column, works ? p.ow - out_column : -out_column};
  const Finish<kPlanesColumns> finish(p, part);
  const std::int64_t first_index = nchw_offset(plane, 1, 0, p.oh, first_row, p.ow, out_column);
  const bool pools = p.pool_partials != nullptr;
  // Rows that are stored in pairs, of the left and of the right one, and in any other way.
  const bool stores_pairs = kPairs && !kIsInt8 && !pools && p.y_pairs && finish.stores_plainly();
  const auto rows_if = [rows](bool stores) {
    return keep(stores ? static_cast<unsigned>(rows) : 0u);
  };
  const unsigned left_rows = rows_if(stores_pairs && part.has(0) && part.has(1));
  const unsigned right_rows = rows_if(stores_pairs && part.has(2) && part.has(3));
  const unsigned other_rows = rows_if(!stores_pairs && works);

  Floats<kPlanesColumns> sums[static_cast<std::size_t>(kSums)] = {};
  float pool = 0.0f;
  const auto x_pitch = keep(static_cast<long long>(p.w));
  // Where the row goes that would be done first; unless in pairs, y may be absent.
  const long long y_pitch = keep(stores_pairs ? static_cast<long long>(p.ow) : 0LL);
  T* y = finish.template address<T>(stores_pairs ? first_index - (kSums - 1) * y_pitch : 0);
#pragma unroll 1
  for (int out = -(kSums - 1); out < rows; ++out) {
#pragma unroll
    for (int s = 0; s < kStride; ++s) {
      Floats<kLeft + kOwn + kAfter> window;
      load_planes_row<T, kPairs, kOwn, kLeft, kAfter>(own, row, place, window);
      ++row;
      own += x_pitch;
#pragma unroll
      for (int u = kSums - 1; u >= 0; --u) {
        const int tap = u * kStride + s;
        if (tap >= kKernel) continue;
        // Rows of y above and below the strip; those of 3 x 3 kernels are not worth the question.
        const int sum_row = out + (kSums - 1 - u);
        if (kKernel > 3 && static_cast<unsigned>(sum_row) >= static_cast<unsigned>(rows)) continue;
#pragma unroll
        for (int v = 0; v < kPlanesColumns; ++v) {
          float sum = s > 0 ? sums[u][v] : u > 0 ? sums[u - 1][v] : start;
#pragma unroll
          for (int q = 0; q < kKernel; ++q)
            sum = fmaf(weight[tap * kKernel + q], window[v * kStride + q], sum);
          sums[u][v] = sum;
        }
      }
    }
    const float(&done)[kPlanesColumns] = sums[kSums - 1];
    if constexpr (kPairs && !kIsInt8) {
      if (static_cast<unsigned>(out) < left_rows) store_two(y, make_float2(done[0], done[1]));
      if (static_cast<unsigned>(out) < right_rows) store_two(y + 2, make_float2(done[2], done[3]));
      y += y_pitch;
    }
    if (static_cast<unsigned>(out) < other_rows) {
      Floats<kPlanesColumns> v;
#pragma unroll
      for (int k = 0; k < kPlanesColumns; ++k)
        v[k] = kIsInt8 ? fmaf(done[k], scale, bias) : done[k];
      finish.template store<T>(first_index + std::int64_t{keep(out)} * p.ow, v);
      if (pools) pool += finish.sum_of(v);
    }
  }
  if (pools && works && group < static_cast<unsigned>(p.column_groups)) {
    store_pool_partial(p, ImageLayout::nchw, b, channel,
                       strip * p.column_groups + static_cast<int>(group), pool);
  }
}

}  // namespace cudet::device
