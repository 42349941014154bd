// The gradient of the input where the kernel is 3, 5 or 7 square and the stride 1 or 2.
//
//     rows of g       window of grad_x in registers, K rows of 4 S columns
//       t  ───────►   S t + 0   complete, goes to memory
//          weights    ...
//                     S t + K - 1
//
// A thread owns 4 S columns of a strip of grad_x and goes down the rows of g. Row t of g adds to
// the padded rows S t to S t + K - 1, and no later one adds to the first S of them: they are stored
// and the window moves on by S rows, in the operands of the next row's first multiply-adds. With
// stride 2 an element gets only the taps of its parity, all of which are known when compiling.
//
// Bytes: g is read and grad_x written once; a strip of R rows reads (K - 1) / S rows of its
// neighbour's again, and the columns beside a thread's come from the first-level cache.
// Instructions: K K / (S S) multiply-adds an element of grad_x.
#pragma once

#include "depthwise_conv_backward_rows.cuh"

#include <cuda_runtime.h>

namespace cudet::device {

constexpr int kGradXThreads = 128;

struct GradXParameters {
  DepthwiseGeometry geometry;
  GradientSource gradient;
  const void* weight;
  void* grad_x;
  unsigned image_threads;  ///< threads for one image
  unsigned images;         ///< images that the grid covers; further ones follow in a loop
  int strip_rows, strips, column_groups;
  int column_shift;    ///< columns of grad_x that the first thread of a row has left of the image
  int gradient_shift;  ///< first column of g for such a thread
  bool vectors;
};

/// A thread's strip of every `parameters.images`-th image from `first_image` on.
template <class T, int K, int S, RowAccess kAccess>
__device__ __forceinline__ void convolve_strips(const GradXParameters& parameters,
                                                unsigned first_image, int channel, int column_group,
                                                int strip) {
  constexpr int P = K / 2;
  constexpr int kLeft = P / S;
  constexpr int kRight = (S - 1 + P) / S;
  constexpr int kColumns = 4 * S;
  using Value = ColumnValue<kAccess>;
  const DepthwiseGeometry& geometry = parameters.geometry;
  const int second = channel + 1 < geometry.channels ? 1 : -1;
  // Not in pairs, which may not be aligned.
  constexpr RowAccess kTapAccess = kThreadChannels<kAccess> == 2 ? RowAccess::channels : kAccess;
  Columns<kAccess, K> weight[static_cast<std::size_t>(K)];
  const T* tap = static_cast<const T*>(parameters.weight) +
                 static_cast<long long>(channel) * geometry.weight_channel;
#pragma unroll
  for (int p = 0; p < K; ++p) {
#pragma unroll
    for (int q = 0; q < K; ++q) {
      weight[p][q] = load_column<kTapAccess>(tap, second);
      tap += geometry.weight_tap;
    }
  }

  const int first_column = column_group * kColumns - parameters.column_shift;
  const int first_gradient = column_group * 4 + parameters.gradient_shift;
  const Piece piece =
      make_piece<0, kColumns, 0>(first_column, geometry.w, geometry.x.column, second);
  const Piece gradient_piece =
      make_piece<kLeft, 4, kRight>(first_gradient, geometry.ow, geometry.y.column, second);
  const int begin = strip * parameters.strip_rows;
  const auto rows = static_cast<unsigned>(min(parameters.strip_rows, geometry.h - begin));
  // Rows of g that reach the strip; above the first one there are none.
  const int first_row = max(divide_up<S>(begin + geometry.pad_top - (K - 1)), 0);
  const int last_row = divide_down<S>(begin + static_cast<int>(rows) - 1 + geometry.pad_top);
  const int end_row = keep(min(last_row + 1, geometry.oh));

  for (long long image = first_image; image < geometry.n; image += parameters.images) {
    GradientWalk<T> walk = walk_gradient<T>(
        parameters.gradient,
        image * geometry.y.image + static_cast<long long>(channel) * geometry.y.channel +
            static_cast<long long>(first_row) * geometry.y.row +
            static_cast<long long>(first_gradient) * geometry.y.column,
        geometry.y.row);
    // Of the strip: its first rows are not complete before they have met all rows of g.
    int row = S * first_row - geometry.pad_top - begin;
    T* own = static_cast<T*>(parameters.grad_x) + image * geometry.x.image +
             static_cast<long long>(channel) * geometry.x.channel +
             static_cast<long long>(begin + row) * geometry.x.row +
             static_cast<long long>(first_column) * geometry.x.column;
    const long long row_step = keep(static_cast<long long>(geometry.x.row));
    Columns<kAccess, kColumns> sums[static_cast<std::size_t>(K)] = {};
    const auto store_complete_rows = [&] {
#pragma unroll
      for (int a = 0; a < S; ++a) {
        if (static_cast<unsigned>(row) < rows) {
          store_piece<kColumns, kAccess>(own, piece, sums[a]);
        }
        ++row;
        own += row_step;
      }
    };
    int t = first_row;
#pragma unroll 1
    for (; t < end_row; ++t) {
      Columns<kAccess, kLeft + 4 + kRight> g;
      load_piece<kLeft, 4, kRight, kAccess>(walk, gradient_piece, g);
      walk.next_row();
#pragma unroll
      for (int p = 0; p < K; ++p) {
        // Rows of grad_x above and below the strip, where the question costs less than the answer.
        constexpr bool kAsks = K > 3 && kThreadChannels<kAccess> == 2;
        if (kAsks && static_cast<unsigned>(row + p) >= rows) continue;
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          Value sum = p + S < K ? sums[p + S < K ? p + S : 0][c] : Value();
#pragma unroll
          for (int q = 0; q < K; ++q) {
            // Column c is the padded one c + P, up to a multiple of S; tap q hits it from here:
            constexpr int kFar = S * K;  // keeps the division's operands from being negative
            const int from = c + P - q + kFar;
            if (from % S == 0) sum = multiply_add(weight[p][q], g[from / S - K + kLeft], sum);
          }
          sums[p][c] = sum;
        }
      }
      store_complete_rows();
    }
    // Below the last row of g there is nothing to add any more.
#pragma unroll 1
    for (; t <= last_row; ++t) {
#pragma unroll
      for (int p = 0; p < K; ++p) {
#pragma unroll
        for (int c = 0; c < kColumns; ++c)
          sums[p][c] = p + S < K ? sums[p + S < K ? p + S : 0][c] : Value();
      }
      store_complete_rows();
    }
  }
}

/// The ways of a kernel: with all aligned, and otherwise. The weights of two channels of a 7 x 7
/// kernel would take too many registers.
template <int K, bool kChannelsLast>
constexpr RowAccess kGradXFast = !kChannelsLast ? RowAccess::vectors
                                 : K < 7        ? RowAccess::pairs
                                                : RowAccess::channel;
template <int K, bool kChannelsLast>
constexpr RowAccess kGradXPlain = !kChannelsLast ? RowAccess::elements
                                  : K < 7        ? RowAccess::channels
                                                 : RowAccess::channel;

template <class T, int K, int S, bool kChannelsLast>
__global__ void __launch_bounds__(kGradXThreads, 1)
    window_grad_x_kernel(const GradXParameters parameters) {
  const DepthwiseGeometry& geometry = parameters.geometry;
  const unsigned index = blockIdx.x * kGradXThreads + threadIdx.x;
  const unsigned first_image = index / parameters.image_threads;
  if (first_image >= parameters.images) return;
  unsigned rest = index % parameters.image_threads;
  int channel, column_group, strip;
  if (kChannelsLast) {
    constexpr int kChannels = kThreadChannels<kGradXFast<K, true>>;
    const auto lanes = static_cast<unsigned>((geometry.channels + kChannels - 1) / kChannels);
    channel = static_cast<int>(rest % lanes) * kChannels;
    rest /= lanes;
    column_group = static_cast<int>(rest % static_cast<unsigned>(parameters.column_groups));
    strip = static_cast<int>(rest / static_cast<unsigned>(parameters.column_groups));
  } else {
    column_group = static_cast<int>(rest % static_cast<unsigned>(parameters.column_groups));
    rest /= static_cast<unsigned>(parameters.column_groups);
    strip = static_cast<int>(rest % static_cast<unsigned>(parameters.strips));
    channel = static_cast<int>(rest / static_cast<unsigned>(parameters.strips));
  }
  constexpr RowAccess kFast = kGradXFast<K, kChannelsLast>;
  constexpr RowAccess kPlain = kGradXPlain<K, kChannelsLast>;
  if (kFast != kPlain && parameters.vectors) {
    convolve_strips<T, K, S, kFast>(parameters, first_image, channel, column_group, strip);
  } else {
    convolve_strips<T, K, S, kPlain>(parameters, first_image, channel, column_group, strip);
  }
}

}  // namespace cudet::device
