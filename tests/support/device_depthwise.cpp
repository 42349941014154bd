#include "device_depthwise.h"

namespace cudet::test {
namespace {

DepthwiseConvOutput output_of(const DeviceTensor& y, const DeviceTensor& pre_activation,
                              const DeviceTensor& pool) {
  return {y.tensor(), pre_activation.tensor(), pool.tensor()};
}

template <class Device>
auto run_once(Device& device) {
  decltype(device.download()) result;
  run_in_mode(
      StreamMode::default_stream, [&](cudaStream_t stream) { return device.enqueue(stream); },
      [&] { device.poison(); }, [&] { result = device.download(); });
  return result;
}

}  // namespace

DeviceTensor& DeviceCopies::copy(const HostTensor& tensor) {
  const std::size_t elements = steps_ * (tensors_.size() + 1);
  const auto element_size = static_cast<std::size_t>(size_of(tensor.type()));
  tensors_.push_back(std::make_unique<DeviceTensor>(tensor, elements * element_size % 256));
  return *tensors_.back();
}

DeviceDepthwise::DeviceDepthwise(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs,
                                 std::size_t offset_steps)
    : options_(problem.options),
      copies_(offset_steps),
      x_(copies_.copy(problem.x)),
      input_{x_.const_tensor(), copies_.copy(problem.weight).const_tensor(),
             copies_.copy(problem.bias).const_tensor(), copies_.copy(problem.scales).const_tensor(),
             copies_.copy(problem.residual).const_tensor()},
      y_(copies_.copy(make_result(problem, outputs).y)),
      pre_activation_(copies_.copy(make_result(problem, outputs).pre_activation)),
      pool_(copies_.copy(make_result(problem, outputs).pool)) {
  std::size_t bytes = 0;
  const Status status = depthwise_conv_workspace_size(
      options_, input_, output_of(y_, pre_activation_, pool_), &bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  workspace_ = std::make_unique<Workspace>(bytes);
}

Status DeviceDepthwise::enqueue(cudaStream_t stream) const {
  return depthwise_conv(options_, input_, output_of(y_, pre_activation_, pool_),
                        Execution::cuda(stream, workspace_->data(), workspace_->size()));
}

void DeviceDepthwise::poison() {
  for (DeviceTensor* tensor : {&y_, &pre_activation_, &pool_})
    tensor->poison();
}

DepthwiseResult DeviceDepthwise::download() const {
  workspace_->check_guards();
  return {y_.download(), pre_activation_.download(), pool_.download()};
}

DeviceDepthwiseBackward::DeviceDepthwiseBackward(const DepthwiseProblem& problem,
                                                 const DepthwiseWanted& wanted,
                                                 std::size_t offset_steps)
    : options_(problem.options),
      copies_(offset_steps),
      input_{copies_.copy(problem.grad_output).const_tensor(),
             copies_.copy(problem.x).const_tensor(), copies_.copy(problem.weight).const_tensor(),
             copies_.copy(problem.bias).const_tensor(),
             copies_.copy(problem.pre_activation).const_tensor()},
      grad_x_(copies_.copy(make_gradients(problem, wanted).grad_x)),
      grad_weight_(copies_.copy(make_gradients(problem, wanted).grad_weight)),
      grad_bias_(copies_.copy(make_gradients(problem, wanted).grad_bias)) {
  std::size_t bytes = 0;
  const Status status = depthwise_conv_backward_workspace_size(
      options_, input_, {grad_x_.tensor(), grad_weight_.tensor(), grad_bias_.tensor()}, &bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  workspace_ = std::make_unique<Workspace>(bytes);
}

Status DeviceDepthwiseBackward::enqueue(cudaStream_t stream) const {
  return depthwise_conv_backward(options_, input_,
                                 {grad_x_.tensor(), grad_weight_.tensor(), grad_bias_.tensor()},
                                 Execution::cuda(stream, workspace_->data(), workspace_->size()));
}

void DeviceDepthwiseBackward::poison() {
  for (DeviceTensor* tensor : {&grad_x_, &grad_weight_, &grad_bias_})
    tensor->poison();
}

DepthwiseGradients DeviceDepthwiseBackward::download() const {
  workspace_->check_guards();
  return {grad_x_.download(), grad_weight_.download(), grad_bias_.download()};
}

DepthwiseResult device_result(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs,
                              std::size_t offset_steps) {
  DeviceDepthwise device(problem, outputs, offset_steps);
  return run_once(device);
}

DepthwiseGradients device_gradients(const DepthwiseProblem& problem, const DepthwiseWanted& wanted,
                                    std::size_t offset_steps) {
  DeviceDepthwiseBackward device(problem, wanted, offset_steps);
  return run_once(device);
}

}  // namespace cudet::test
