// What the kernels of the softmax losses share: parameters, sums over the lanes of a row, the
// staging of a tile.
#pragma once

#include "device/real_vector.cuh"
#include "device/shared_memory.cuh"
#include "focal_loss_math.cuh"
#include "focal_loss_reduction.cuh"

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

namespace cudet::device {

struct SoftmaxParameters {
  const void* logits;
  const void* targets;
  bool targets_are_64_bit;
  const float* class_weights;  ///< null: all 1
  const float* row_weights;    ///< null: all 1
  const float* grad_output;    ///< null: 1
  bool grad_output_by_row;
  void* gradient;   ///< null: not wanted
  float* row_loss;  ///< null: not wanted
  unsigned rows;
  unsigned classes;
  unsigned row_lane_bits;  ///< log2 of the lanes that share a row
  bool aligned;            ///< logits and gradient begin at multiples of 16 bytes
  bool padded;             ///< the tile has 16 bytes more after every 128
  long long ignore_index;
  float gamma;
  GammaKind gamma_kind;
  float label_smoothing;
  float grad_factor;
  const float* normaliser;  ///< null: 1
  FocalReductionParameters reduction;
};

/// The lanes that share a row of `classes` logits.
struct RowLanes {
  unsigned index;  ///< of this one among them
  unsigned count;
  unsigned classes;
  unsigned warp;  ///< mask of the warp's lanes that have a row
};
__device__ __forceinline__ RowLanes row_lanes(const SoftmaxParameters& parameters, unsigned warp) {
  const unsigned count = 1u << parameters.row_lane_bits;
  return {threadIdx.x & (count - 1), count, parameters.classes, warp};
}

/// Over the lanes that share a row, in each of them.
__device__ __forceinline__ float row_max(float value, const RowLanes& lanes) {
  for (unsigned offset = lanes.count / 2; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(lanes.warp, value, static_cast<int>(offset)));
  return value;
}
__device__ __forceinline__ float row_sum(float value, const RowLanes& lanes) {
  for (unsigned offset = lanes.count / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(lanes.warp, value, static_cast<int>(offset));
  return value;
}

/// exp(x - largest); exactly 1 for the largest.
__device__ __forceinline__ float relative_exp(float x, float largest) {
  return approximate_exp2((x - largest) * kLog2E);
}

/// log(1 + excess) for excess >= 0: as in focal_loss_math.cuh up to 1, beyond that the logarithm is
/// no longer small.
__device__ __forceinline__ float log1p_of_excess(float excess) {
  const float sum = 1.0f + excess;
  const float u = excess * approximate_reciprocal(sum);
  return excess <= 1.0f ? u * log_quotient<true>(u) : kLn2 * approximate_log2(sum);
}

/// q^gamma and the factor 1 + gamma p (-log p) / q of its derivative, for 1 - p = q. Both are
/// given, since -log p multiplies what a difference leaves of the smaller one.
struct Modulation {
  float value;
  float slope;
};
__device__ __forceinline__ Modulation modulation_of(const SoftmaxParameters& parameters, float p,
                                                    float q, float entropy) {
  const float value = power(q, parameters.gamma, parameters.gamma_kind);
  // The quotient's limit at q = 0 is 1, and below kTiny it is that already, where its reciprocal
  // could leave the range; at p = 0 its factor wins over the infinity.
  constexpr float kTiny = 1e-30f;
  const float quotient = q > kTiny ? entropy * approximate_reciprocal(q) : 1.0f;
  const float change = p > 0.0f ? parameters.gamma * p * quotient : 0.0f * p;
  return {value, value * (1.0f + change)};
}

/// A row's target as the kernels use it; an ignored row goes along as class 0, since the lanes of
/// other rows meet in the same shuffles.
struct RowTarget {
  unsigned y;
  bool ignored;
};
__device__ __forceinline__ RowTarget target_of_row(const SoftmaxParameters& parameters,
                                                   unsigned row) {
  const long long target = parameters.targets_are_64_bit
                               ? __ldg(static_cast<const long long*>(parameters.targets) + row)
                               : __ldg(static_cast<const int*>(parameters.targets) + row);
  const bool ignored = target == parameters.ignore_index || target < 0 ||
                       target >= static_cast<long long>(parameters.classes);
  return {ignored ? 0 : static_cast<unsigned>(target), ignored};
}

/// Weight of a row, 1 where there are none.
__device__ __forceinline__ float row_weight(const SoftmaxParameters& parameters, unsigned row) {
  return parameters.row_weights != nullptr ? __ldg(parameters.row_weights + row) : 1.0f;
}

/// What all gradients of a row are multiplied with, beside its weight.
__device__ __forceinline__ float row_gradient_factor(const SoftmaxParameters& parameters,
                                                     unsigned row) {
  float factor = parameters.grad_factor;
  if (parameters.normaliser != nullptr) {
    factor = __fdiv_rn(factor, normaliser_of(parameters.normaliser));
  }
  if (parameters.grad_output != nullptr) {
    factor *= parameters.grad_output[parameters.grad_output_by_row ? row : 0];
  }
  return factor;
}

/// w (1 - p_y)^gamma (-log p_y) of a row, from the sum over the classes beside y, so that 1 - p_y
/// does not cancel.
struct HardRow {
  float loss;
  float slope;    ///< the gradient is slope * p_j for j other than y, and -slope * q for y
  float q;        ///< 1 - p_y
  float inverse;  ///< 1 / the sum
};
__device__ __forceinline__ HardRow hard_row_of(const SoftmaxParameters& parameters,
                                               float target_logit, float largest, float others,
                                               unsigned y, float weight) {
  const float target_exp = relative_exp(target_logit, largest);
  const float inverse = approximate_reciprocal(others + target_exp);
  const float excess = target_logit == largest ? others : others + target_exp - 1.0f;
  const float entropy = (largest - target_logit) + log1p_of_excess(excess);
  const float q = others * inverse;
  if (parameters.class_weights != nullptr) weight *= __ldg(parameters.class_weights + y);
  const Modulation modulation = modulation_of(parameters, target_exp * inverse, q, entropy);
  return {weight * modulation.value * entropy, weight * modulation.slope, q, inverse};
}

/// Place in the tile of an element that would be number `index` without padding.
template <class T>
__device__ __forceinline__ unsigned padded_place(unsigned index) {
  return index + index / (8 * kVectorElements<T>)*kVectorElements<T>;
}

/// Copies `count` elements into shared memory, 16 bytes at a time where `aligned` says so; all
/// threads of the block take part.
template <class T, bool kPadded = false>
__device__ __forceinline__ void stage_tile(T* tile, const T* from, unsigned count, bool aligned) {
  const unsigned vectors = aligned ? count / kVectorElements<T> : 0;
  const uint4* source = reinterpret_cast<const uint4*>(from) + threadIdx.x;
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < vectors; i += kFocalBlockThreads) {
    reinterpret_cast<uint4*>(tile)[kPadded ? i + i / 8 : i] = __ldcs(source);
    source += kFocalBlockThreads;
  }
  for (unsigned i = vectors * kVectorElements<T> + threadIdx.x; i < count; i += kFocalBlockThreads)
    tile[kPadded ? padded_place<T>(i) : i] = from[i];
}

/// And back.
template <class T, bool kPadded = false>
__device__ __forceinline__ void store_tile(T* to, const T* tile, unsigned count, bool aligned) {
  const unsigned vectors = aligned ? count / kVectorElements<T> : 0;
  uint4* target = reinterpret_cast<uint4*>(to) + threadIdx.x;
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < vectors; i += kFocalBlockThreads) {
    __stcs(target, reinterpret_cast<const uint4*>(tile)[kPadded ? i + i / 8 : i]);
    target += kFocalBlockThreads;
  }
  for (unsigned i = vectors * kVectorElements<T> + threadIdx.x; i < count; i += kFocalBlockThreads)
    to[i] = tile[kPadded ? padded_place<T>(i) : i];
}

/// Rows of the tile that a block takes.
__device__ __forceinline__ unsigned rows_of_tile(const SoftmaxParameters& parameters) {
  return blockDim.x >> parameters.row_lane_bits;
}

__device__ __forceinline__ unsigned partial_of_warp() {
  return blockIdx.x * (blockDim.x / kWarpSize) + threadIdx.x / kWarpSize;
}

}  // namespace cudet::device
