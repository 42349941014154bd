#include "focal_loss.h"

#include "focal_loss_element.h"

#include <cuda_runtime.h>

namespace cudet::bench {
namespace {

constexpr float kAlpha = 0.25f;
constexpr float kGamma = 2.0f;
constexpr int kThreads = 512;

__global__ void baseline_loss_kernel(const BaselineFocalLoss problem, float alpha, float gamma) {
  const std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
  if (i < problem.rows * problem.classes) baseline_loss(problem, i, alpha, gamma);
}

__global__ void baseline_gradient_kernel(const BaselineFocalLoss problem, float alpha,
                                         float gamma) {
  const std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
  if (i < problem.rows * problem.classes) baseline_gradient(problem, i, alpha, gamma);
}

}  // namespace

Status launch_baseline(const BaselineFocalLoss& problem, cudaStream_t stream) {
  const std::int64_t elements = problem.rows * problem.classes;
  const auto blocks = static_cast<unsigned>((elements + kThreads - 1) / kThreads);
  baseline_loss_kernel<<<blocks, kThreads, 0, stream>>>(problem, kAlpha, kGamma);
  baseline_gradient_kernel<<<blocks, kThreads, 0, stream>>>(problem, kAlpha, kGamma);
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return Status();
  return Status::error(StatusCode::cuda_error, "baseline: %s", cudaGetErrorString(error));
}

}  // namespace cudet::bench
