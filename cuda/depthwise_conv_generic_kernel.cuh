// Depthwise convolution of any shape.
//
// Bytes      x is read through the caches: a tap is a load. y is written once.
// Arithmetic per tap a load, a multiply-add and, for four outputs together, a load of the weight.
// A thread has four outputs one above the other. Which taps lie in the image follows from two
// divisions a row and column, so that no tap asks; the kernel rows that all four have share their
// weights. Neighbouring lanes have what lies side by side in memory: columns or channels.
#pragma once

#include "depthwise_conv_parameters.cuh"

namespace cudet::device {

constexpr int kGenericRows = 4;

/// The taps first ... end - 1 of an output lie in the image.
struct TapRange {
  int first, end;
};

/// `start` is the row or column that tap 0 reads, of `size`.
__device__ __forceinline__ TapRange taps_inside(int start, int size, int kernel, int dilation) {
  const int first = start < 0 ? (dilation - 1 - start) / dilation : 0;
  const int end = start < size ? (size - start + dilation - 1) / dilation : 0;
  return {first, min(end, kernel)};
}

/// The distance in elements between neighbours.
struct GenericStrides {
  int x_row, x_column, weight_tap;
};

/// The kernel rows `rows` of one output.
template <class T>
__device__ __forceinline__ float add_taps(const DepthwiseConvParameters& p, const T* x,
                                          const T* weight, const GenericStrides& strides, int row,
                                          int column, const TapRange& rows, const TapRange& columns,
                                          float sum) {
  for (int i = rows.first; i < rows.end; ++i) {
    const T* const x_row = x + (row + i * p.dilation_h) * strides.x_row;
    const T* const weight_row = weight + i * p.kernel_w * strides.weight_tap;
    for (int j = columns.first; j < columns.end; ++j) {
      sum = fmaf(to_float(weight_row[j * strides.weight_tap]),
                 to_float(x_row[(column + j * p.dilation_w) * strides.x_column]), sum);
    }
  }
  return sum;
}

/// Blocks that a multiprocessor is to hold, 0 for as many as the compiler finds good: on sm_86 and
/// sm_89 that would let the 8-bit kernels spill.
#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890)
template <class T>
constexpr int kGenericBlocks = sizeof(T) == 1 ? 5 : 0;
#else
template <class T>
constexpr int kGenericBlocks = 0;
#endif

template <class T, ImageLayout kLayout>
__global__ void __launch_bounds__(kDepthwiseThreads, kGenericBlocks<T>)
    depthwise_conv_generic_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr bool nchw = kLayout == ImageLayout::nchw;
  const unsigned b = blockIdx.x / p.blocks_per_image;
  const unsigned item = (blockIdx.x - b * p.blocks_per_image) * kDepthwiseThreads + threadIdx.x;
  if (item >= p.items) return;
  // The innermost of channel and column changes from lane to lane.
  const unsigned inner_size = static_cast<unsigned>(nchw ? p.ow : p.out_channels);
  const unsigned middle_size = static_cast<unsigned>(nchw ? p.strips : p.ow);
  const unsigned inner = item % inner_size;
  const unsigned middle = item / inner_size % middle_size;
  const unsigned outer = item / inner_size / middle_size;
  const int channel = static_cast<int>(nchw ? outer : inner);
  const int strip = static_cast<int>(nchw ? middle : outer);
  const int out_column = static_cast<int>(nchw ? inner : middle);
  const int first_row = strip * kGenericRows;
  const int outputs = min(kGenericRows, p.oh - first_row);

  const GenericStrides strides = {nchw ? p.w : p.w * p.c, nchw ? 1 : p.c,
                                  nchw ? 1 : p.out_channels};
  const int in_channel = channel / p.multiplier;
  const T* const x =
      static_cast<const T*>(p.x) + (nchw ? nchw_offset(b, p.c, in_channel, p.h, 0, p.w, 0)
                                         : nhwc_offset(b, p.h, 0, p.w, 0, p.c, in_channel));
  const T* const weight =
      static_cast<const T*>(p.weight) + (nchw ? channel * p.kernel_h * p.kernel_w : channel);
  const int column = out_column * p.stride_w - p.pad_left;
  const TapRange columns = taps_inside(column, p.w, p.kernel_w, p.dilation_w);

  constexpr bool kIsInt8 = sizeof(T) == 1;
  const float bias = bias_of(p, channel);
  const float scale = scale_of<T>(p, channel);
  int row[kGenericRows];
  TapRange rows[kGenericRows];
  float sum[kGenericRows];
  TapRange shared = {0, p.kernel_h};
#pragma unroll
  for (int r = 0; r < kGenericRows; ++r) {
    sum[r] = kIsInt8 ? 0.0f : bias;
    // Beyond the last row the same again: it is not stored.
    row[r] = min(first_row + r, p.oh - 1) * p.stride_h - p.pad_top;
    rows[r] = taps_inside(row[r], p.h, p.kernel_h, p.dilation_h);
    shared = {max(shared.first, rows[r].first), min(shared.end, rows[r].end)};
  }
  if (shared.end < shared.first) shared = {p.kernel_h, p.kernel_h};
#pragma unroll
  for (int r = 0; r < kGenericRows; ++r) {
    sum[r] = add_taps(p, x, weight, strides, row[r], column,
                      {rows[r].first, min(rows[r].end, shared.first)}, columns, sum[r]);
  }
  for (int i = shared.first; i < shared.end; ++i) {
    const T* const weight_row = weight + i * p.kernel_w * strides.weight_tap;
    for (int j = columns.first; j < columns.end; ++j) {
      const float tap = to_float(weight_row[j * strides.weight_tap]);
      const T* const x_column = x + (column + j * p.dilation_w) * strides.x_column;
#pragma unroll
      for (int r = 0; r < kGenericRows; ++r) {
        sum[r] = fmaf(tap, to_float(x_column[(row[r] + i * p.dilation_h) * strides.x_row]), sum[r]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kGenericRows; ++r) {
    sum[r] = add_taps(p, x, weight, strides, row[r], column,
                      {max(rows[r].first, shared.end), rows[r].end}, columns, sum[r]);
  }

  const Finish<1> finish(p, {0, 1});
  float pool = 0.0f;
#pragma unroll
  for (int r = 0; r < kGenericRows; ++r) {
    if (r >= outputs) break;
    float v[1] = {kIsInt8 ? fmaf(sum[r], scale, bias) : sum[r]};
    const int out_row = first_row + r;
    const std::int64_t index =
        nchw ? nchw_offset(b, p.out_channels, channel, p.oh, out_row, p.ow, out_column)
             : nhwc_offset(b, p.oh, out_row, p.ow, out_column, p.out_channels, channel);
    finish.template store<T>(index, v);
    pool += v[0];
  }
  if (p.pool_partials != nullptr) {
    store_pool_partial(p, kLayout, b, channel, strip * p.ow + out_column, pool);
  }
}

}  // namespace cudet::device
