// Loss and gradient of one element of the baseline, for CPU and GPU.
#pragma once

#include "focal_loss.h"

#include <cfloat>
#include <cmath>

#if defined(__CUDACC__)
#define CUDET_BASELINE_FUNCTION __host__ __device__ inline
#else
#define CUDET_BASELINE_FUNCTION inline
#endif

namespace cudet::bench {

CUDET_BASELINE_FUNCTION float log_of_probability(float p) {
  return logf(fmaxf(p, FLT_MIN));
}

/// Gamma is an argument, as it is in a library, so that powf() stays.
CUDET_BASELINE_FUNCTION void baseline_loss(const BaselineFocalLoss& problem, std::int64_t i,
                                           float alpha, float gamma) {
  const int target = problem.targets[i / problem.classes];
  const int c = static_cast<int>(i % problem.classes);
  const float p = 1.0f / (1.0f + expf(-problem.logits[i]));
  const float positive = powf(1.0f - p, gamma) * log_of_probability(p);
  const float negative = powf(p, gamma) * log_of_probability(1.0f - p);
  float loss = 0.0f;
  if (target == c) loss -= alpha * positive;
  if (target != c && target != -2) loss -= (1.0f - alpha) * negative;
  problem.losses[i] = loss;
}

CUDET_BASELINE_FUNCTION void baseline_gradient(const BaselineFocalLoss& problem, std::int64_t i,
                                               float alpha, float gamma) {
  const int target = problem.targets[i / problem.classes];
  const int c = static_cast<int>(i % problem.classes);
  const float p = 1.0f / (1.0f + expf(-problem.logits[i]));
  const float positive = powf(1.0f - p, gamma) * (1.0f - p - gamma * p * log_of_probability(p));
  const float negative = powf(p, gamma) * (gamma * (1.0f - p) * log_of_probability(1.0f - p) - p);
  float gradient = 0.0f;
  if (target == c) gradient -= alpha * positive;
  if (target != c && target != -2) gradient -= (1.0f - alpha) * negative;
  problem.gradient[i] = gradient;
}

}  // namespace cudet::bench
