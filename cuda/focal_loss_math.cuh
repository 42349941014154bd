// Loss and gradient of one element, from its logit on the wrong side of the decision.
//
// With z = x for a negative and z = -x for a positive element, q = sigmoid(z) = 1 - p_t is the
// probability given to the wrong answer, and
//   -log p_t = softplus(z) = max(z, 0) - log(1 - u),  u = min(q, 1 - q) in [0, 1/2].
// Nothing cancels: q is exact to few units in the last place down to the range of float32, and
// -log(1 - u) = u Q(u) with a polynomial Q keeps its relative accuracy where u is small, which the
// logarithm of the hardware does not. docs/focal_loss.md derives the gradient.
#pragma once

#include "device/approximate_math.cuh"

#include <cudet/focal_loss.h>

#include <cuda_runtime.h>

namespace cudet::device {

constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.693147181f;

/// Q(u) = -log(1 - u) / u on [0, 1/2], minimax: relative error 1.5e-7 in 7 steps for float32
/// logits, 6.5e-6 in 5 for 16-bit ones, which is a hundredth of their own spacing.
template <bool kFull>
__device__ __forceinline__ float log_quotient(float u) {
  if constexpr (kFull) {
    float p = 1.184930962f;
    p = fmaf(p, u, -1.081539304f);
    p = fmaf(p, u, 0.7854304435f);
    p = fmaf(p, u, 0.03801825007f);
    p = fmaf(p, u, 0.272250508f);
    p = fmaf(p, u, 0.3318626221f);
    p = fmaf(p, u, 0.5000365432f);
    return fmaf(p, u, 0.9999998524f);
  } else {
    float p = 0.8463794785f;
    p = fmaf(p, u, -0.3110934381f);
    p = fmaf(p, u, 0.4033626469f);
    p = fmaf(p, u, 0.3136711208f);
    p = fmaf(p, u, 0.5008954475f);
    return fmaf(p, u, 0.9999935088f);
  }
}

/// A logit on the wrong side: q, 1 - q and softplus(z). z = -infinity gives 0, 1 and 0.
struct WrongSide {
  float q;
  float right;
  float softplus;
};
template <bool kFull>
__device__ __forceinline__ WrongSide wrong_side(float z) {
  const float q = approximate_reciprocal(1.0f + approximate_exp2(z * -kLog2E));
  const float right = 1.0f - q;
  const float u = fminf(q, right);
  return {q, right, fmaf(u, log_quotient<kFull>(u), fmaxf(z, 0.0f))};
}

/// How gamma is applied; chosen by the host.
enum class GammaKind : int { zero, one, two, any };

/// base^gamma for base in [0, 1].
__device__ __forceinline__ float power(float base, float gamma, GammaKind kind) {
  switch (kind) {
    case GammaKind::zero:
      return 1.0f;
    case GammaKind::one:
      return base;
    case GammaKind::two:
      return base * base;
    default:
      return approximate_exp2(gamma * approximate_log2(base));
  }
}

/// An element whose target is 0 or 1, of which z has taken the sign. Its loss is modulation times
/// entropy, the derivative of that with respect to z modulation times slope.
struct HardElement {
  float modulation;
  float entropy;
  float slope;
};
template <bool kFull, bool kSquare>
__device__ __forceinline__ HardElement hard_element(float z, float gamma, GammaKind kind) {
  const WrongSide side = wrong_side<kFull>(z);
  const float modulation = kSquare ? side.q * side.q : power(side.q, gamma, kind);
  const float steepness = kSquare ? side.right + side.right : gamma * side.right;
  return {modulation, side.softplus, fmaf(steepness, side.softplus, side.q)};
}

}  // namespace cudet::device
