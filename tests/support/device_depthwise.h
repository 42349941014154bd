// Calls of the depthwise convolution and its gradients in device memory.
#pragma once

#include "depthwise_problem.h"
#include "device.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace cudet::test {

/// Device copies of tensors. Number k lies `offset_steps` (k + 1) elements off a 256-byte boundary,
/// modulo 256 bytes.
class DeviceCopies {
 public:
  explicit DeviceCopies(std::size_t offset_steps) : steps_(offset_steps) {}
  DeviceTensor& copy(const HostTensor& tensor);

 private:
  std::size_t steps_;
  std::vector<std::unique_ptr<DeviceTensor>> tensors_;
};

/// A forward call and its outputs on the device.
class DeviceDepthwise {
 public:
  explicit DeviceDepthwise(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs = {},
                           std::size_t offset_steps = 0);
  Status enqueue(cudaStream_t stream) const;
  void poison();
  DepthwiseResult download() const;
  void upload_x(const HostTensor& x) { x_.upload(x); }

 private:
  DepthwiseConvOptions options_;
  DeviceCopies copies_;
  DeviceTensor& x_;
  DepthwiseConvInput input_;
  DeviceTensor &y_, &pre_activation_, &pool_;
  std::unique_ptr<Workspace> workspace_;
};

/// A backward call and its outputs on the device.
class DeviceDepthwiseBackward {
 public:
  explicit DeviceDepthwiseBackward(const DepthwiseProblem& problem,
                                   const DepthwiseWanted& wanted = {},
                                   std::size_t offset_steps = 0);
  Status enqueue(cudaStream_t stream) const;
  void poison();
  DepthwiseGradients download() const;

 private:
  DepthwiseConvOptions options_;
  DeviceCopies copies_;
  DepthwiseConvBackwardInput input_;
  DeviceTensor &grad_x_, &grad_weight_, &grad_bias_;
  std::unique_ptr<Workspace> workspace_;
};

/// One run on the default stream.
DepthwiseResult device_result(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs = {},
                              std::size_t offset_steps = 0);
DepthwiseGradients device_gradients(const DepthwiseProblem& problem,
                                    const DepthwiseWanted& wanted = {},
                                    std::size_t offset_steps = 0);

}  // namespace cudet::test
