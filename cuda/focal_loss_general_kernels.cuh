// Sigmoid focal loss with every option: soft and binary targets, quality and varifocal weighting,
// weights of rows and classes, label smoothing, stored losses and upstream gradients of elements.
//
// Neighbouring lanes take neighbouring elements, so that every access is without gaps; a lane reads
// four logits before it computes with the first.
#pragma once

#include "focal_loss_parameters.cuh"

namespace cudet::device {

/// What decides about an element beside its logit.
struct GeneralTarget {
  float value;
  float weight;  ///< of its row
  float alpha;   ///< of its class
  bool ignored;
};

/// Row and class of an element, where something asks for them.
struct ElementPlace {
  unsigned row;
  unsigned c;
};
__device__ __forceinline__ ElementPlace place_of(const SigmoidFocalParameters& parameters,
                                                 const FocalLevelParameters& level,
                                                 unsigned index) {
  const unsigned classes = static_cast<unsigned>(parameters.classes);
  if (!parameters.head_layout) return {index / classes, index % classes};
  const unsigned plane = index / level.positions;
  return {plane / classes * level.positions + index % level.positions, plane % classes};
}

__device__ __forceinline__ GeneralTarget general_target(const SigmoidFocalParameters& parameters,
                                                        const FocalLevelParameters& level,
                                                        unsigned index) {
  GeneralTarget target = {0.0f, 1.0f, parameters.positive_weight, false};
  ElementPlace place = {0, 0};
  if (parameters.needs_place) place = place_of(parameters, level, index);
  switch (parameters.target_kind) {
    case FocalTargets::dense:
      target.value = load_real(level.targets, parameters.target_type, index);
      break;
    case FocalTargets::binary: {
      const long long label = load_target(level.targets, parameters.target_type, index);
      target.value = label == 1 ? 1.0f : 0.0f;
      target.ignored = label == parameters.ignore_index;
      break;
    }
    default: {
      const int row_class = class_of_target(
          parameters, load_target(level.targets, parameters.target_type, place.row));
      target.value = row_class == static_cast<int>(place.c) ? 1.0f : 0.0f;
      target.ignored = row_class == kIgnored;
      break;
    }
  }
  if (level.row_weights != nullptr) target.weight = __ldg(level.row_weights + place.row);
  if (parameters.class_alpha != nullptr) target.alpha = __ldg(parameters.class_alpha + place.c);
  return target;
}

/// Weight, loss and slope of an element before the weight of its row. z has taken the sign of the
/// nearer of 0 and 1, h in [0, 1/2] is the target's distance from it.
struct SoftElement {
  float weight;
  float loss;
  float slope;
};

/// (1 - p_t)^gamma BCE, with 1 - p_t = u = q + h (1 - 2 q), du/dz = (1 - 2 h) q (1 - q).
__device__ __forceinline__ SoftElement focal_element(const SigmoidFocalParameters& parameters,
                                                     const WrongSide& side, float h, float entropy,
                                                     float entropy_slope) {
  const float u = fmaf(h, side.right - side.q, side.q);
  const float m = power(u, parameters.gamma, parameters.gamma_kind);
  // q (1 - q) / u, whose limit for a hard target is 1 - q; it is at most 2.
  const float ratio = h == 0.0f ? side.right : __fdiv_rn(side.q * side.right, u);
  const float change = parameters.gamma * fmaf(-2.0f, h, 1.0f) * ratio;
  return {1.0f, m * entropy, m * fmaf(change, entropy, entropy_slope)};
}

/// |q - h|^gamma BCE.
__device__ __forceinline__ SoftElement quality_element(const SigmoidFocalParameters& parameters,
                                                       const WrongSide& side, float h,
                                                       float entropy) {
  const float difference = side.q - h;
  const float distance = fabsf(difference);
  const float m = power(distance, parameters.gamma, parameters.gamma_kind);
  // gamma |d|^(gamma - 1) sign(d)
  float change = 0.0f;
  if (parameters.gamma_kind == GammaKind::one) {
    change = distance > 0.0f ? 1.0f : 0.0f;
  } else if (parameters.gamma_kind == GammaKind::two) {
    change = 2.0f * distance;
  } else if (parameters.gamma_kind == GammaKind::any) {
    change = parameters.gamma * power(distance, parameters.gamma - 1.0f, GammaKind::any);
  }
  change = copysignf(change, difference);
  return {1.0f, m * entropy, fmaf(change * side.q * side.right, entropy, m * difference)};
}

template <bool kFull>
__device__ __forceinline__ SoftElement soft_element(const SigmoidFocalParameters& parameters,
                                                    float z, float h, float t, float alpha) {
  const WrongSide side = wrong_side<kFull>(z);
  const float smoothed =
      fmaf(h, 1.0f - parameters.label_smoothing, 0.5f * parameters.label_smoothing);
  // A hard target has no product of 0 and infinity.
  const float entropy = smoothed == 0.0f ? side.softplus : fmaf(-smoothed, z, side.softplus);
  const float entropy_slope = side.q - smoothed;
  if (parameters.kind == FocalKind::quality) {
    return quality_element(parameters, side, h, entropy);
  }
  if (parameters.kind == FocalKind::varifocal && !(t <= 0.0f)) {
    return {t, entropy, entropy_slope};
  }
  SoftElement element = focal_element(parameters, side, h, entropy, entropy_slope);
  if (parameters.kind == FocalKind::varifocal) {
    element.weight = alpha;
  } else {
    element.weight = parameters.has_alpha ? fmaf(alpha, t, (1.0f - alpha) * (1.0f - t)) : 1.0f;
  }
  return element;
}

/// Adds the element's loss to the lane's, stores it where that is wanted, and returns the gradient.
template <class T>
__device__ __forceinline__ float general_element(const SigmoidFocalParameters& parameters,
                                                 const FocalLevelParameters& level, float x,
                                                 unsigned index, float factor, FocalLaneSum& lane) {
  const GeneralTarget target = general_target(parameters, level, index);
  const float t = target.value;
  const bool flipped = t >= 0.5f;
  const SoftElement element = soft_element<sizeof(T) == 4>(parameters, flipped ? -x : x,
                                                           flipped ? 1.0f - t : t, t, target.alpha);
  const float weight = target.weight * element.weight;
  const float loss = target.ignored ? 0.0f : weight * element.loss;
  lane.loss += loss;
  lane.positives += t > 0.0f && !target.ignored ? 1u : 0u;
  if (level.loss != nullptr) store_real(level.loss, parameters.loss_type, index, loss);
  if (level.grad_output != nullptr) {
    factor *= load_real(level.grad_output, parameters.grad_output_type, index);
  }
  const float gradient = factor * weight * element.slope;
  return target.ignored ? 0.0f : flipped ? -gradient : gradient;
}

/// One warp a chunk of kFocalChunk elements.
template <class T>
__device__ __forceinline__ FocalLaneSum general_chunk(const SigmoidFocalParameters& parameters,
                                                      unsigned chunk) {
  constexpr unsigned kChunk = static_cast<unsigned>(kFocalChunk);
  constexpr unsigned kBatch = 4;
  const FocalLevelParameters& level = parameters.levels[level_of_chunk(parameters, chunk)];
  const unsigned first = (chunk - level.first_chunk) * kChunk;
  const unsigned end = min(first + kChunk, level.elements);
  const float factor = gradient_factor(parameters);
  const T* const logits = static_cast<const T*>(level.logits);
  FocalLaneSum lane;
#pragma unroll 1
  for (unsigned i = first + threadIdx.x % kWarpSize; i < end; i += kBatch * kWarpSize) {
    float x[kBatch];
    FocalLaneSum batch;
#pragma unroll
    for (unsigned k = 0; k < kBatch; ++k) {
      const unsigned index = i + k * kWarpSize;
      x[k] = index < end ? to_float(logits[index]) : 0.0f;
    }
#pragma unroll
    for (unsigned k = 0; k < kBatch; ++k) {
      const unsigned index = i + k * kWarpSize;
      if (index >= end) break;
      const float gradient = general_element<T>(parameters, level, x[k], index, factor, batch);
      if (level.gradient != nullptr) {
        static_cast<T*>(level.gradient)[index] = from_float<T>(gradient);
      }
    }
    lane.loss += batch.loss;
    lane.positives += batch.positives;
  }
  return lane;
}

template <class T>
__global__ void __launch_bounds__(kFocalBlockThreads, kFocalBlocks)
    focal_general_kernel(const __grid_constant__ SigmoidFocalParameters parameters) {
  const unsigned chunk = blockIdx.x * (blockDim.x / kWarpSize) + threadIdx.x / kWarpSize;
  FocalLaneSum lane;
  if (chunk < parameters.chunks) lane = general_chunk<T>(parameters, chunk);
  reduce(parameters.reduction, chunk, lane.loss, lane.positives);
}

}  // namespace cudet::device
