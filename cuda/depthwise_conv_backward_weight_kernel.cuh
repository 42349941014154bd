// The gradients of weight and bias where the kernel is 3, 5 or 7 square and the stride 1 or 2.
//
//     rows of x           window of g in registers, D = ceil(K / S) rows of 4 columns
//       S t + a  ──┐        t          entered with this step
//                  ├──►   ...
//                  │        t - D + 1
//                  ▼
//         K K sums in registers
//
// A thread owns four columns of a strip of outputs. Per step one row of g enters the window and S
// rows of x pass, each of which meets all rows of g that it ever meets: x and g are read once. With
// channels in the lanes nothing crosses lanes; otherwise the lanes of a warp have other pieces of
// the same plane, and their sums meet by halving: of two lanes each gives away half of its sums.
//
// Bytes: x and g once; a strip of R rows reads (K - 1) / S rows of x again from the caches; partial
// sums are 4 (K K + 1) bytes a block. Instructions: K K multiply-adds an element of g.
#pragma once

#include "depthwise_conv_backward_reduction.cuh"
#include "depthwise_conv_backward_rows.cuh"

#include <cuda_runtime.h>

namespace cudet::device {

constexpr int kGradWeightMaxThreads = 256;

/// Columns of x that four columns of g meet, and those of them beside the thread's own 4 S.
template <int K, int S>
struct WeightWindow {
  static constexpr int kPadding = K / 2;
  static constexpr int kRight = kPadding + 1 - S;
  static constexpr int kColumns = kPadding + 4 * S + kRight;
  static constexpr int kRows = (K + S - 1) / S;
};

/// Adds one strip's products to sums, and the strip's g to sums[K K].
template <class T, int K, int S, RowAccess kAccess>
__device__ __forceinline__ void add_strip(const GradWeightParameters& parameters, int channel,
                                          long long image, int strip, int column_group,
                                          Columns<kAccess, K * K + 1>& sums) {
  using Window = WeightWindow<K, S>;
  using Value = ColumnValue<kAccess>;
  const DepthwiseGeometry& geometry = parameters.geometry;
  // The second channel of g, and what it reads of x.
  const bool has_second = channel + 1 < geometry.out_channels;
  const int x_channel = channel / geometry.multiplier;
  const int x_second = has_second ? (channel + 1) / geometry.multiplier - x_channel : -1;
  const int begin = strip * parameters.strip_rows;
  const int strip_rows = keep(min(parameters.strip_rows, geometry.oh - begin));
  const int first_gradient = column_group * 4;
  const int first_x = S * first_gradient + Window::kPadding - geometry.pad_left;
  const Piece gradient_piece =
      make_piece<0, 4, 0>(first_gradient, geometry.ow, geometry.y.column, has_second ? 1 : -1);
  const Piece piece = make_piece<Window::kPadding, 4 * S, Window::kRight>(
      first_x, geometry.w, geometry.x.column, x_second);
  GradientWalk<T> walk = walk_gradient<T>(
      parameters.gradient,
      image * geometry.y.image + static_cast<long long>(channel) * geometry.y.channel +
          static_cast<long long>(begin) * geometry.y.row +
          static_cast<long long>(first_gradient) * geometry.y.column,
      geometry.y.row);
  int row = S * begin - geometry.pad_top;
  const char* own =
      static_cast<const char*>(parameters.x) +
      (image * geometry.x.image + static_cast<long long>(x_channel) * geometry.x.channel +
       static_cast<long long>(row) * geometry.x.row +
       static_cast<long long>(first_x) * geometry.x.column) *
          static_cast<long long>(sizeof(T));
  const long long row_bytes = keep(geometry.x.row * static_cast<long long>(sizeof(T)));
  const auto rows = static_cast<unsigned>(keep(geometry.h));
  // Rows of g above and below the strip are left out, or zero where the question costs as much as
  // the answer.
  constexpr bool kSkips = K > 3;
  Columns<kAccess, 4> g[static_cast<std::size_t>(Window::kRows)] = {};
#pragma unroll 1
  for (int t = 0; t < strip_rows + Window::kRows - 1; ++t) {
#pragma unroll
    for (int d = Window::kRows - 1; d > 0; --d) {
#pragma unroll
      for (int c = 0; c < 4; ++c)
        g[d][c] = g[d - 1][c];
    }
    if (t < strip_rows) {
      load_piece<0, 4, 0, kAccess>(walk, gradient_piece, g[0]);
      sums[K * K] = add(sums[K * K], add(add(g[0][0], g[0][1]), add(g[0][2], g[0][3])));
    } else if (!kSkips) {
#pragma unroll
      for (int c = 0; c < 4; ++c)
        g[0][c] = Value();
    }
    walk.next_row();
#pragma unroll
    for (int a = 0; a < S; ++a) {
      if (static_cast<unsigned>(row) < rows) {
        Columns<kAccess, Window::kColumns> x;
        load_piece<Window::kPadding, 4 * S, Window::kRight, kAccess>(
            reinterpret_cast<const T*>(own), piece, x);
#pragma unroll
        for (int d = 0; d < Window::kRows; ++d) {
          const int p = S * d + a;
          if (p >= K) continue;
          if (kSkips && static_cast<unsigned>(t - d) >= static_cast<unsigned>(strip_rows)) continue;
#pragma unroll
          for (int q = 0; q < K; ++q) {
#pragma unroll
            for (int c = 0; c < 4; ++c)
              sums[p * K + q] = multiply_add(g[d][c], x[S * c + q], sums[p * K + q]);
          }
        }
      }
      ++row;
      own += row_bytes;
    }
  }
}

/// One step of the halving: of two lanes that are kHalf apart, the lower one keeps the sums of the
/// first kHalf numbers, the upper one those of the others.
template <int kHalf>
__device__ __forceinline__ float halve(const Floats<2 * kHalf>& v) {
  const bool upper = (threadIdx.x & static_cast<unsigned>(kHalf)) != 0;
  Floats<kHalf> half;
#pragma unroll
  for (int k = 0; k < kHalf; ++k) {
    const float given = upper ? v[k] : v[k + kHalf];
    half[k] = (upper ? v[k + kHalf] : v[k]) + __shfl_xor_sync(kFullWarp, given, kHalf);
  }
  if constexpr (kHalf == 1) {
    return half[0];
  } else {
    return halve<kHalf / 2>(half);
  }
}

/// Adds values[kFirst .. kFirst + kCount) over the lanes of the warp: the sum of number l in lane
/// l.
template <int kFirst, int kCount, int kTotal>
__device__ __forceinline__ float sum_of_lane(const Floats<kTotal>& values) {
  constexpr int kPadded = kCount <= 16 ? 16 : 32;
  Floats<kPadded> v;
#pragma unroll
  for (int k = 0; k < kPadded; ++k)
    v[k] = k < kCount ? values[kFirst + (k < kCount ? k : 0)] : 0.0f;
  const float sum = halve<kPadded / 2>(v);
  return kPadded == 32 ? sum : sum + __shfl_xor_sync(kFullWarp, sum, 16);
}

/// Adds the sums of all threads of the block, which have pieces of one plane, and stores them.
template <int kSums>
__device__ __forceinline__ void store_plane_sums(const GradWeightParameters& parameters,
                                                 const Floats<kSums>& sums) {
  constexpr int kWarps = kGradWeightMaxThreads / kWarpSize;
  CUDET_SHARED_ARRAY(float, warp_sums, static_cast<unsigned>(kWarps * kSums));
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  constexpr int kFirst = kSums < kWarpSize ? kSums : kWarpSize;
  const float low = sum_of_lane<0, kFirst, kSums>(sums);
  if (lane < kFirst) warp_sums[warp * kSums + lane] = low;
  if constexpr (kSums > kWarpSize) {
    const float high = sum_of_lane<kWarpSize, kSums - kWarpSize, kSums>(sums);
    if (lane < kSums - kWarpSize) warp_sums[warp * kSums + kWarpSize + lane] = high;
  }
  __syncthreads();
  float* partials = block_partials(parameters);
  for (int i = static_cast<int>(threadIdx.x); i < kSums; i += static_cast<int>(blockDim.x)) {
    float sum = warp_sums[i];
    for (int other = 1; other < static_cast<int>(blockDim.x) / kWarpSize; ++other)
      sum += warp_sums[other * kSums + i];
    partials[i] = sum;
  }
}

/// The same where channels lie side by side: the block's places meet, a row of taps at a time.
template <int K>
__device__ __forceinline__ void store_channel_sums(
    const GradWeightParameters& parameters, unsigned lanes, unsigned lane, unsigned place,
    const Columns<RowAccess::pairs, K * K + 1>& sums) {
  CUDET_SHARED_ARRAY(float2, place_sums, static_cast<unsigned>(kGradWeightMaxThreads * K));
  const auto places = static_cast<unsigned>(parameters.places);
  auto* partials = reinterpret_cast<float2*>(block_partials(parameters));
#pragma unroll
  for (int first = 0; first < K * K + 1; first += K) {
    const unsigned count = (first < K * K ? K : 1) * lanes;
    if (place < places) {
#pragma unroll
      for (int k = 0; k < K; ++k) {
        if (first + k > K * K) continue;
        place_sums[place * count + static_cast<unsigned>(k) * lanes + lane] = sums[first + k];
      }
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
      float2 sum = place_sums[i];
      for (unsigned other = 1; other < places; ++other)
        sum = add(sum, place_sums[other * count + i]);
      partials[i] = sum;
    }
    partials += count;
    __syncthreads();
  }
}

template <class T, int K, int S, bool kChannelsLast>
__global__ void __launch_bounds__(kGradWeightMaxThreads, 1)
    window_grad_weight_kernel(const GradWeightParameters parameters) {
  constexpr RowAccess kFast = kChannelsLast ? RowAccess::pairs : RowAccess::vectors;
  constexpr RowAccess kPlain = kChannelsLast ? RowAccess::channels : RowAccess::elements;
  const DepthwiseGeometry& geometry = parameters.geometry;
  const WeightReduction& reduction = parameters.reduction;
  const unsigned group = blockIdx.x % reduction.groups;
  const unsigned split = blockIdx.x / reduction.groups;
  // Threads that have the same piece, for other channels.
  const unsigned lanes = reduction.group_channels / kThreadChannels<kFast>;
  const unsigned place = kChannelsLast ? threadIdx.x / lanes : threadIdx.x;
  const unsigned lane = kChannelsLast ? threadIdx.x - place * lanes : 0;
  const unsigned places = kChannelsLast ? static_cast<unsigned>(parameters.places) : blockDim.x;
  const int channel = static_cast<int>((group * lanes + lane) * kThreadChannels<kFast>);
  const long long image_pieces =
      static_cast<long long>(parameters.strips) * parameters.column_groups;
  const long long pieces = image_pieces * geometry.n;
  const long long first = parameters.share * split;
  const long long last = min(pieces, first + parameters.share);
  Columns<kFast, K* K + 1> sums = {};
  if (place < places && channel < geometry.out_channels) {
    for (long long piece = first + place; piece < last; piece += places) {
      const long long image = piece / image_pieces;
      const auto rest = static_cast<unsigned>(piece - image * image_pieces);
      const auto groups = static_cast<unsigned>(parameters.column_groups);
      const auto strip = static_cast<int>(rest / groups);
      const auto column_group = static_cast<int>(rest % groups);
      if (parameters.vectors) {
        add_strip<T, K, S, kFast>(parameters, channel, image, strip, column_group, sums);
      } else {
        add_strip<T, K, S, kPlain>(parameters, channel, image, strip, column_group, sums);
      }
    }
  }
  if constexpr (kChannelsLast) {
    store_channel_sums<K>(parameters, lanes, lane, place, sums);
  } else {
    store_plane_sums<K * K + 1>(parameters, sums);
  }
  finish_weights(parameters);
}

}  // namespace cudet::device
