// IoU losses: the kernel.
//
// Floor: both boxes of a pair are read once and both gradients written once, 64 n bytes in float32
// (and 4 n for each of weights and losses); an H100 issues 570 instructions a pair in that time.
//
// Design: one launch, one thread a pair, forward and backward from the same registers. Without
// gradients 32 n bytes. docs/performance.md has the counts.
#pragma once

#include "box_array.h"
#include "device/real.cuh"
#include "iou_loss_math.cuh"
#include "loss_reduction.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

struct BoxGradients {
  void* data;  ///< null: not wanted
  DataType type;
  bool aligned;  ///< every box starts on a multiple of its size
};

struct IouLossParameters {
  BoxArray boxes1;
  BoxArray boxes2;
  BoxGradients gradients1;
  BoxGradients gradients2;
  const float* weights;      ///< null: all 1
  const float* grad_output;  ///< null: 1
  float* losses;             ///< of each pair; null: not wanted
  std::int64_t n;
  float eps;
  float alpha_eps;
  float grad_scale;
  bool grad_output_by_pair;
  LossReductionParameters reduction;
};

/// Gradient with respect to the four numbers of `format`, from that to the corners.
__device__ __forceinline__ Corners to_format_gradient(const Corners& gradient, BoxFormat format) {
  if (format == BoxFormat::xyxy) return gradient;
  const float x = __fadd_rn(gradient.x1, gradient.x2);
  const float y = __fadd_rn(gradient.y1, gradient.y2);
  if (format == BoxFormat::xywh) return {x, y, gradient.x2, gradient.y2};
  return {x, y, __fmul_rn(0.5f, __fsub_rn(gradient.x2, gradient.x1)),
          __fmul_rn(0.5f, __fsub_rn(gradient.y2, gradient.y1))};
}

__device__ __forceinline__ void store_gradient(const BoxGradients& gradients, std::int64_t index,
                                               const Corners& corners, BoxFormat format,
                                               float factor) {
  if (gradients.data == nullptr) return;
  const Corners to = to_format_gradient(corners, format);
  const float4 v = make_float4(__fmul_rn(factor, to.x1), __fmul_rn(factor, to.y1),
                               __fmul_rn(factor, to.x2), __fmul_rn(factor, to.y2));
  if (gradients.type == DataType::float32 && gradients.aligned) {
    static_cast<float4*>(gradients.data)[index] = v;
    return;
  }
  store_real(gradients.data, gradients.type, 4 * index, v.x);
  store_real(gradients.data, gradients.type, 4 * index + 1, v.y);
  store_real(gradients.data, gradients.type, 4 * index + 2, v.z);
  store_real(gradients.data, gradients.type, 4 * index + 3, v.w);
}

template <IouKind kKind>
__global__ void __launch_bounds__(kLossBlockThreads)
    iou_loss_kernel(const IouLossParameters parameters) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kLossBlockThreads + threadIdx.x;
  float loss = 0.0f;
  if (i < parameters.n) {
    const bool with_gradient =
        parameters.gradients1.data != nullptr || parameters.gradients2.data != nullptr;
    const float weight = parameters.weights == nullptr ? 1.0f : __ldg(parameters.weights + i);
    PairGradient gradient = {};
    loss = pair_loss<kKind>(load_corners(parameters.boxes1, i), load_corners(parameters.boxes2, i),
                            parameters.eps, parameters.alpha_eps, with_gradient, gradient);
    loss = __fmul_rn(weight, loss);
    if (parameters.losses != nullptr) parameters.losses[i] = loss;
    if (with_gradient) {
      float factor = __fdiv_rn(parameters.grad_scale, loss_divisor(parameters.reduction));
      if (parameters.grad_output != nullptr) {
        factor = __fmul_rn(
            factor, __ldg(parameters.grad_output + (parameters.grad_output_by_pair ? i : 0)));
      }
      factor = __fmul_rn(factor, weight);
      store_gradient(parameters.gradients1, i, gradient.box1, parameters.boxes1.format, factor);
      store_gradient(parameters.gradients2, i, gradient.box2, parameters.boxes2.format, factor);
    }
  }
  reduce_loss(parameters.reduction, loss);
}

}  // namespace cudet::device
