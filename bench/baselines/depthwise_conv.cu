#include "depthwise_conv.h"

#include "depthwise_conv_element.h"

#include <cuda_runtime.h>

namespace cudet::bench {
namespace {

constexpr int kThreads = 256;

__global__ void baseline_output_kernel(const BaselineDepthwise problem) {
  const std::int64_t i = blockIdx.x * static_cast<std::int64_t>(kThreads) + threadIdx.x;
  if (i < problem.n * problem.channels * problem.oh * problem.ow) {
    problem.y[i] = baseline_output(problem, i);
  }
}

}  // namespace

Status launch_baseline(const BaselineDepthwise& problem, cudaStream_t stream) {
  const std::int64_t elements = problem.n * problem.channels * problem.oh * problem.ow;
  const auto blocks = static_cast<unsigned>((elements + kThreads - 1) / kThreads);
  baseline_output_kernel<<<blocks, kThreads, 0, stream>>>(problem);
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return Status();
  return Status::error(StatusCode::cuda_error, "baseline: %s", cudaGetErrorString(error));
}

}  // namespace cudet::bench
