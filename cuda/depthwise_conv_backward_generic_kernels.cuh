// Gradients of any depthwise convolution: every stride, dilation, kernel size and multiplier.
//
// Taps outside the image are left out of the loops' bounds, so that no tap is tested. The gradient
// of the input walks over those taps alone that hit an output: with stride s and dilation d, they
// are s / gcd(s, d) apart, and the outputs that they hit d / gcd(s, d). The gradient of the weight
// gives every thread a tap; a block's share of the images passes by through the first-level cache.
#pragma once

#include "depthwise_conv_backward_parameters.cuh"
#include "depthwise_conv_backward_reduction.cuh"

#include <cuda_runtime.h>

namespace cudet::device {

constexpr int kGenericThreads = 256;

/// Blocks of kGenericThreads cover the elements of `images` images; further images follow in a
/// loop.
struct ElementGrid {
  unsigned elements;  ///< of one image
  unsigned images;
};

struct GradientPassParameters {
  DepthwiseGeometry geometry;
  GradientSource gradient;
  ElementGrid grid;
  const void *x, *weight, *bias;  ///< null bias: none
  DataType bias_type;
  float* result;
};

struct GenericGradXParameters {
  DepthwiseGeometry geometry;
  GradientSource gradient;
  ElementGrid grid;
  const void* weight;
  void* grad_x;
  int tap_step_h, tap_step_w;        ///< stride / gcd(stride, dilation)
  int output_step_h, output_step_w;  ///< dilation / gcd(stride, dilation)
};

/// A place in an image, whatever its layout.
struct Place {
  int channel, row, column;
};

/// Neighbouring elements of an image have neighbouring numbers.
__device__ __forceinline__ Place place_of(const ImageStrides& strides, int rows, int columns,
                                          int channels, unsigned element) {
  const auto row_size = static_cast<unsigned>(columns);
  if (strides.column == 1 && strides.channel != 1) {
    const unsigned line = element / row_size;
    return {static_cast<int>(line / static_cast<unsigned>(rows)),
            static_cast<int>(line % static_cast<unsigned>(rows)),
            static_cast<int>(element % row_size)};
  }
  const unsigned pixel = element / static_cast<unsigned>(channels);
  return {static_cast<int>(element % static_cast<unsigned>(channels)),
          static_cast<int>(pixel / row_size), static_cast<int>(pixel % row_size)};
}

/// The k with 0 <= offset + k step < size and 0 <= k < count.
struct Range {
  int begin, end;
};
__device__ __forceinline__ Range range_of(int offset, int step, int size, int count) {
  return {offset >= 0 ? 0 : (step - 1 - offset) / step,
          size <= offset ? 0 : min(count, (size - offset + step - 1) / step)};
}

/// g = grad_output act'(v) as float32, with v recomputed where it has not been saved.
template <class T>
__global__ void __launch_bounds__(kGenericThreads, 1)
    activation_gradient_kernel(const GradientPassParameters parameters) {
  const DepthwiseGeometry& geometry = parameters.geometry;
  const unsigned index = blockIdx.x * kGenericThreads + threadIdx.x;
  const unsigned element = index % parameters.grid.elements;
  const unsigned first_image = index / parameters.grid.elements;
  if (first_image >= parameters.grid.images) return;
  const GradientSource& gradient = parameters.gradient;
  const Place place =
      place_of(geometry.y, geometry.oh, geometry.ow, geometry.out_channels, element);
  const int top = place.row * geometry.stride_h - geometry.pad_top;
  const int left = place.column * geometry.stride_w - geometry.pad_left;
  const Range rows = range_of(top, geometry.dilation_h, geometry.h, geometry.kernel_h);
  const Range columns = range_of(left, geometry.dilation_w, geometry.w, geometry.kernel_w);
  const int column_step = geometry.dilation_w * geometry.x.column;
  for (long long image = first_image; image < geometry.n; image += parameters.grid.images) {
    const long long output = image * geometry.y.image + element;
    if (gradient.pre_activation != nullptr) {
      parameters.result[output] = load_gradient<T>(gradient, output);
      continue;
    }
    float v = 0.0f;
    for (int p = rows.begin; p < rows.end; ++p) {
      const T* weight =
          static_cast<const T*>(parameters.weight) +
          static_cast<long long>(place.channel) * geometry.weight_channel +
          static_cast<long long>(p * geometry.kernel_w + columns.begin) * geometry.weight_tap;
      const T* x = static_cast<const T*>(parameters.x) + image * geometry.x.image +
                   place.channel / geometry.multiplier * geometry.x.channel +
                   (top + p * geometry.dilation_h) * geometry.x.row +
                   (left + columns.begin * geometry.dilation_w) * geometry.x.column;
      for (int q = columns.begin; q < columns.end; ++q) {
        v = fmaf(to_float(*weight), to_float(*x), v);
        weight += geometry.weight_tap;
        x += column_step;
      }
    }
    if (parameters.bias != nullptr) {
      v += load_real(parameters.bias, parameters.bias_type, place.channel);
    }
    const float pre_activation[1] = {v};
    float g[1] = {to_float(static_cast<const T*>(gradient.grad_output)[output])};
    multiply_by_slopes<1>(gradient.activation, gradient.negative_slope, pre_activation, g);
    parameters.result[output] = g[0];
  }
}

/// Of one dimension: taps first, first + tap_step, ... < end read a given element, for the outputs
/// output, output - output_step, ...
struct TapWalk {
  int first, end, output;
};
__device__ __forceinline__ TapWalk walk_taps(int padded, int kernel, int stride, int dilation,
                                             int outputs) {
  const int beyond = padded - stride * (outputs - 1);
  const int end = min(kernel, padded / dilation + 1);
  int tap = beyond <= 0 ? 0 : (beyond + dilation - 1) / dilation;
  while (tap < end && (padded - tap * dilation) % stride != 0)
    ++tap;
  return {tap, end, tap < end ? (padded - tap * dilation) / stride : 0};
}

template <class T>
__global__ void __launch_bounds__(kGenericThreads, 1)
    generic_grad_x_kernel(const GenericGradXParameters parameters) {
  const DepthwiseGeometry& geometry = parameters.geometry;
  const unsigned index = blockIdx.x * kGenericThreads + threadIdx.x;
  const unsigned element = index % parameters.grid.elements;
  const unsigned first_image = index / parameters.grid.elements;
  if (first_image >= parameters.grid.images) return;
  const Place place = place_of(geometry.x, geometry.h, geometry.w, geometry.channels, element);
  const TapWalk rows = walk_taps(place.row + geometry.pad_top, geometry.kernel_h, geometry.stride_h,
                                 geometry.dilation_h, geometry.oh);
  const TapWalk columns = walk_taps(place.column + geometry.pad_left, geometry.kernel_w,
                                    geometry.stride_w, geometry.dilation_w, geometry.ow);
  const int first_channel = place.channel * geometry.multiplier;
  const long long tap_step = static_cast<long long>(parameters.tap_step_w) * geometry.weight_tap;
  const int output_step = parameters.output_step_w * geometry.y.column;
  for (long long image = first_image; image < geometry.n; image += parameters.grid.images) {
    float sum = 0.0f;
    for (int channel = first_channel; channel < first_channel + geometry.multiplier; ++channel) {
      int row = rows.output;
      for (int p = rows.first; p < rows.end; p += parameters.tap_step_h) {
        const T* weight =
            static_cast<const T*>(parameters.weight) +
            static_cast<long long>(channel) * geometry.weight_channel +
            static_cast<long long>(p * geometry.kernel_w + columns.first) * geometry.weight_tap;
        long long output = image * geometry.y.image + channel * geometry.y.channel +
                           row * geometry.y.row + columns.output * geometry.y.column;
        for (int q = columns.first; q < columns.end; q += parameters.tap_step_w) {
          sum = fmaf(to_float(*weight), load_gradient<T>(parameters.gradient, output), sum);
          weight += tap_step;
          output -= output_step;
        }
        row -= parameters.output_step_h;
      }
    }
    static_cast<T*>(parameters.grad_x)[image * geometry.x.image + element] = from_float<T>(sum);
  }
}

/// Sum of g x, or of g for the bias, over every `slices`-th row of outputs [first, last).
template <class T>
__device__ __forceinline__ float sum_of_tap(const GradWeightParameters& parameters, int channel,
                                            int tap, long long first, long long last, int slices) {
  const DepthwiseGeometry& geometry = parameters.geometry;
  const bool is_bias = tap == geometry.kernel_h * geometry.kernel_w;
  const int top = tap / geometry.kernel_w * geometry.dilation_h - geometry.pad_top;
  const int left = tap % geometry.kernel_w * geometry.dilation_w - geometry.pad_left;
  const Range columns =
      is_bias ? Range{0, geometry.ow} : range_of(left, geometry.stride_w, geometry.w, geometry.ow);
  const int column_step = geometry.stride_w * geometry.x.column;
  float sum = 0.0f;
  for (long long line = first; line < last; line += slices) {
    const long long image = line / geometry.oh;
    const int i = static_cast<int>(line - image * geometry.oh);
    const int row = i * geometry.stride_h + top;
    long long output = image * geometry.y.image + channel * geometry.y.channel +
                       i * geometry.y.row + columns.begin * geometry.y.column;
    float row_sum = 0.0f;
    if (is_bias) {
      for (int j = 0; j < geometry.ow; ++j) {
        row_sum += load_gradient<T>(parameters.gradient, output);
        output += geometry.y.column;
      }
    } else if (row >= 0 && row < geometry.h) {
      const T* x = static_cast<const T*>(parameters.x) + image * geometry.x.image +
                   channel / geometry.multiplier * geometry.x.channel + row * geometry.x.row +
                   (columns.begin * geometry.stride_w + left) * geometry.x.column;
      for (int j = columns.begin; j < columns.end; ++j) {
        row_sum = fmaf(load_gradient<T>(parameters.gradient, output), to_float(*x), row_sum);
        output += geometry.y.column;
        x += column_step;
      }
    }
    sum += row_sum;
  }
  return sum;
}

template <class T, bool kChannelsLast>
__global__ void __launch_bounds__(kGenericThreads, 1)
    generic_grad_weight_kernel(const GradWeightParameters parameters) {
  // Lanes are channels where these are the neighbours in memory.
  constexpr int kChannels = kChannelsLast ? kWarpSize : 1;
  constexpr int kWorkers = kGenericThreads / kChannels;
  CUDET_SHARED_ARRAY(float, slice_sums, kGenericThreads);
  const DepthwiseGeometry& geometry = parameters.geometry;
  const WeightReduction& reduction = parameters.reduction;
  const int taps = geometry.kernel_h * geometry.kernel_w + 1;
  const int slices = max(kWorkers / taps, 1);
  const int lane = static_cast<int>(threadIdx.x) % kChannels;
  const int worker = static_cast<int>(threadIdx.x) / kChannels;
  const int channel = static_cast<int>(blockIdx.x % reduction.groups) * kChannels + lane;
  const bool has_channel = channel < geometry.out_channels;
  const unsigned split = blockIdx.x / reduction.groups;
  const long long lines = static_cast<long long>(geometry.n) * geometry.oh;
  const long long first = min(lines, parameters.share * split);
  const long long last = min(lines, first + parameters.share);
  float* partials = block_partials(parameters);
  if (slices > 1) {
    const int tap = worker % taps;
    const int slice = worker / taps;
    float sum = 0.0f;
    if (has_channel && slice < slices) {
      sum = sum_of_tap<T>(parameters, channel, tap, first + slice, last, slices);
    }
    slice_sums[threadIdx.x] = sum;
    __syncthreads();
    if (slice == 0) {
      for (int other = 1; other < slices; ++other)
        sum += slice_sums[(other * taps + tap) * kChannels + lane];
      partials[tap * kChannels + lane] = sum;
    }
  } else {
    for (int tap = worker; tap < taps; tap += kWorkers) {
      partials[tap * kChannels + lane] =
          has_channel ? sum_of_tap<T>(parameters, channel, tap, first, last, 1) : 0.0f;
    }
  }
  finish_weights(parameters);
}

}  // namespace cudet::device
