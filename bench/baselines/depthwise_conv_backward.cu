#include "depthwise_conv_backward.h"

#include "depthwise_conv_backward_element.h"

#include <cuda_runtime.h>

namespace cudet::bench {
namespace {

constexpr int kThreads = 256;

__global__ void baseline_grad_x_kernel(const BaselineDepthwiseBackward problem) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < problem.n * problem.channels * problem.h * problem.w) {
    problem.grad_x[i] = baseline_grad_x(problem, i);
  }
}

__global__ void baseline_grad_weight_kernel(const BaselineDepthwiseBackward problem) {
  __shared__ float sums[kThreads];
  const int outputs = problem.n * problem.oh * problem.ow;
  float sum = 0.0f;
  for (int output = static_cast<int>(threadIdx.x); output < outputs; output += kThreads)
    sum += baseline_grad_weight_term(problem, static_cast<int>(blockIdx.x), output);
  sums[threadIdx.x] = sum;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) problem.grad_weight[blockIdx.x] = sums[0];
}

}  // namespace

Status launch_baseline(const BaselineDepthwiseBackward& problem, cudaStream_t stream) {
  const int elements = problem.n * problem.channels * problem.h * problem.w;
  if (problem.grad_x != nullptr) {
    const auto blocks = static_cast<unsigned>((elements + kThreads - 1) / kThreads);
    baseline_grad_x_kernel<<<blocks, kThreads, 0, stream>>>(problem);
  }
  if (problem.grad_weight != nullptr) {
    const auto blocks = static_cast<unsigned>(problem.channels * problem.kernel * problem.kernel);
    baseline_grad_weight_kernel<<<blocks, kThreads, 0, stream>>>(problem);
  }
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return Status();
  return Status::error(StatusCode::cuda_error, "baseline: %s", cudaGetErrorString(error));
}

}  // namespace cudet::bench
