// What the kernels of the sigmoid focal loss are told, and what they all do with it.
#pragma once

#include "device/real_vector.cuh"
#include "focal_loss_math.cuh"
#include "focal_loss_reduction.cuh"

#include "../src/focal_loss_plan.h"

#include <cuda_runtime.h>

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace cudet::device {

/// Blocks that a multiprocessor is to hold: 48 warps, and 32 on sm_75, which has no room for more.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int kFocalBlocks = 4;
#else
constexpr int kFocalBlocks = 6;
#endif

struct FocalLevelParameters {
  const void* logits;
  const void* targets;
  const float* row_weights;  ///< null: all 1
  const void* grad_output;   ///< of each element; null: all 1
  void* loss;                ///< of each element; null: not wanted
  void* gradient;            ///< null: not wanted
  unsigned first_chunk;
  unsigned elements;
  unsigned positions;  ///< head: H W
  bool aligned;        ///< logits and gradient begin at multiples of 16 bytes
};

struct SigmoidFocalParameters {
  FocalLevelParameters levels[SigmoidFocalLossInput::kMaxLevels];
  int level_count;
  unsigned chunks;
  // Head layout:
  unsigned class_tiles;        ///< chunks of the same positions
  unsigned block_class_tiles;  ///< how many of them a block takes, at most
  unsigned block_groups;       ///< blocks that have the same positions
  unsigned block_tiles;        ///< tiles of positions of a block
  int classes;
  FocalKind kind;
  FocalTargets target_kind;
  bool head_layout;
  bool needs_place;  ///< something asks for an element's row or class
  bool has_alpha;
  DataType target_type;
  DataType loss_type;
  DataType grad_output_type;
  long long background_index;
  long long ignore_index;
  float gamma;
  GammaKind gamma_kind;
  float positive_weight;  ///< alpha, or 1 where that is off
  float negative_weight;
  float label_smoothing;
  const float* class_alpha;  ///< by class, in place of the weights above; null: not given
  float grad_factor;         ///< of all gradients, before the two below
  const float* normaliser;   ///< null: 1
  const float* grad_output;  ///< of the reduced loss; null: 1
  FocalReductionParameters reduction;
};

/// What a lane has added up.
struct FocalLaneSum {
  float loss = 0.0f;
  unsigned positives = 0;
};

/// The level that a chunk belongs to.
__device__ __forceinline__ int level_of_chunk(const SigmoidFocalParameters& parameters,
                                              unsigned chunk) {
  int level = 0;
  while (level + 1 < parameters.level_count && chunk >= parameters.levels[level + 1].first_chunk)
    ++level;
  return level;
}

/// What all gradients are multiplied with.
__device__ __forceinline__ float gradient_factor(const SigmoidFocalParameters& parameters) {
  float factor = parameters.grad_factor;
  if (parameters.normaliser != nullptr) {
    factor = __fdiv_rn(factor, normaliser_of(parameters.normaliser));
  }
  if (parameters.grad_output != nullptr) factor = __fmul_rn(factor, *parameters.grad_output);
  return factor;
}

/// Integer target `index`, in 64 bits so that no value takes the place of another.
__device__ __forceinline__ long long load_target(const void* targets, DataType type,
                                                 std::int64_t index) {
  switch (type) {
    case DataType::int64:
      return __ldg(static_cast<const long long*>(targets) + index);
    case DataType::uint8:
      return __ldg(static_cast<const unsigned char*>(targets) + index);
    default:
      return __ldg(static_cast<const int*>(targets) + index);
  }
}

/// An integer target as the kernels compare it: a class, or one of these.
constexpr int kBackground = -1;
constexpr int kIgnored = -2;
__device__ __forceinline__ int class_of_target(const SigmoidFocalParameters& parameters,
                                               long long target) {
  if (target == parameters.ignore_index) return kIgnored;
  if (target == parameters.background_index) return kBackground;
  return target >= 0 && target < parameters.classes ? static_cast<int>(target) : kBackground;
}

// Losses are added by vectors first: a lane's long sum then takes few steps, so that the rounding
// of many equal losses, which does not average out, stays below 1e-6.

/// Loss and gradients of negatives that have no other options. The losses are added to `sum`,
/// before their weight; x becomes the gradient, `weight` is its factor.
template <class T, bool kSquare, std::size_t kCount>
__device__ __forceinline__ float plain_negatives(const SigmoidFocalParameters& parameters,
                                                 float weight, float (&x)[kCount],
                                                 float sum = 0.0f) {
  constexpr bool kFull = sizeof(T) == 4;
#pragma unroll
  for (std::size_t k = 0; k < kCount; ++k) {
    const HardElement element =
        hard_element<kFull, kSquare>(x[k], parameters.gamma, parameters.gamma_kind);
    sum = fmaf(element.modulation, element.entropy, sum);
    x[k] = weight * element.modulation * element.slope;
  }
  return sum;
}

/// The same where an element may be positive or ignored; its weights come in.
template <class T, bool kSquare>
__device__ __forceinline__ float marked_element(const SigmoidFocalParameters& parameters, float x,
                                                bool positive, bool ignored, float factor,
                                                float& sum) {
  constexpr bool kFull = sizeof(T) == 4;
  // A logit of minus infinity on the wrong side has loss and gradient 0.
  const float z = ignored ? -INFINITY : positive ? -x : x;
  const float weight = positive ? parameters.positive_weight : parameters.negative_weight;
  const HardElement element =
      hard_element<kFull, kSquare>(z, parameters.gamma, parameters.gamma_kind);
  const float modulation = weight * element.modulation;
  sum = fmaf(modulation, element.entropy, sum);
  const float gradient = factor * modulation * element.slope;
  return positive ? -gradient : gradient;
}

}  // namespace cudet::device
