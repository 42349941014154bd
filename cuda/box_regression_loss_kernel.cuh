// Losses of regressed numbers: the kernel.
//
// Floor: 12 bytes a number in float32, two read and one written; an H100 issues 100 instructions in
// that time. One launch, one thread a number, forward and backward from the same registers.
#pragma once

#include "device/real.cuh"
#include "loss_reduction.cuh"

#include <cudet/box_regression_loss.h>

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

namespace cudet::device {

struct RealArray {
  void* data;  ///< null: not wanted
  DataType type;
};

struct BoxRegressionLossParameters {
  RealArray predictions;
  RealArray targets;
  RealArray gradients;
  const float* weights;      ///< null: all 1
  const float* grad_output;  ///< null: 1
  float* losses;             ///< of each number; null: not wanted
  std::int64_t elements;
  std::int64_t row_elements;
  float beta;
  float grad_scale;
  bool squared;
  bool grad_output_by_element;
  LossReductionParameters reduction;
};

struct LossAndSlope {
  float loss, slope;
};

__device__ __forceinline__ LossAndSlope element_loss(const BoxRegressionLossParameters& parameters,
                                                     float d) {
  if (parameters.squared) return {__fmul_rn(d, d), __fmul_rn(2.0f, d)};
  const float distance = fabsf(d);
  const float beta = parameters.beta;
  if (distance < beta) {
    const float slope = __fdiv_rn(d, beta);
    return {__fmul_rn(__fmul_rn(0.5f, d), slope), slope};
  }
  const float slope = d > 0.0f ? 1.0f : d < 0.0f ? -1.0f : d;
  return {__fsub_rn(distance, __fmul_rn(0.5f, beta)), slope};
}

__global__ void __launch_bounds__(kLossBlockThreads)
    box_regression_loss_kernel(const BoxRegressionLossParameters parameters) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kLossBlockThreads + threadIdx.x;
  float loss = 0.0f;
  if (i < parameters.elements) {
    float weight = 1.0f;
    if (parameters.weights != nullptr) {
      weight = __ldg(parameters.weights + i / parameters.row_elements);
    }
    LossAndSlope element = {0.0f, 0.0f};
    if (weight != 0.0f) {
      const float d =
          __fsub_rn(load_real(parameters.predictions.data, parameters.predictions.type, i),
                    load_real(parameters.targets.data, parameters.targets.type, i));
      element = element_loss(parameters, d);
    }
    loss = __fmul_rn(weight, element.loss);
    if (parameters.losses != nullptr) parameters.losses[i] = loss;
    if (parameters.gradients.data != nullptr) {
      float factor = __fdiv_rn(parameters.grad_scale, loss_divisor(parameters.reduction));
      if (parameters.grad_output != nullptr) {
        factor = __fmul_rn(
            factor, __ldg(parameters.grad_output + (parameters.grad_output_by_element ? i : 0)));
      }
      store_real(parameters.gradients.data, parameters.gradients.type, i,
                 __fmul_rn(__fmul_rn(factor, weight), element.slope));
    }
  }
  reduce_loss(parameters.reduction, loss);
}

}  // namespace cudet::device
