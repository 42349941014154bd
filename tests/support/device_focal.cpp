#include "device_focal.h"

#include <utility>

namespace cudet::test {

const DeviceTensor& DeviceFocal::copy(const HostTensor& tensor, std::size_t steps) {
  const auto element_size = static_cast<std::size_t>(size_of(tensor.type()));
  inputs_.push_back(std::make_unique<DeviceTensor>(tensor, steps * ++arrays_ * element_size % 256));
  return *inputs_.back();
}

void DeviceFocal::copy_outputs(const FocalResult& result, std::size_t steps) {
  const auto on_device = [&](const HostTensor& tensor) {
    const auto element_size = static_cast<std::size_t>(size_of(tensor.type()));
    return std::make_unique<DeviceTensor>(tensor, steps * ++arrays_ * element_size % 256);
  };
  for (const HostTensor& tensor : result.loss)
    loss_.push_back(on_device(tensor));
  for (const HostTensor& tensor : result.gradient)
    gradient_.push_back(on_device(tensor));
  count_ = DeviceTensor(result.count);
}

DeviceFocal::DeviceFocal(const SigmoidProblem& problem, std::size_t offset_steps) {
  SigmoidFocalLossInput input;
  SigmoidFocalLossOutput output;
  input.levels = problem.levels();
  const auto all_levels = [&](const std::vector<HostTensor>& tensors, Tensor* views) {
    for (std::size_t level = 0; level < tensors.size(); ++level)
      views[level] = copy(tensors[level], offset_steps).const_tensor();
  };
  all_levels(problem.logits, input.logits);
  for (const std::unique_ptr<DeviceTensor>& logits : inputs_)
    logits_.push_back(logits.get());
  all_levels(problem.targets, input.targets);
  all_levels(problem.row_weights, input.row_weights);
  all_levels(problem.grad_output, input.grad_output);
  input.class_alpha = copy(problem.class_alpha, offset_steps).const_tensor();
  input.normaliser = copy(problem.normaliser, offset_steps).const_tensor();
  copy_outputs(make_result(problem), offset_steps);
  for (std::size_t level = 0; level < loss_.size(); ++level)
    output.loss[level] = loss_[level]->tensor();
  for (std::size_t level = 0; level < gradient_.size(); ++level)
    output.grad_logits[level] = gradient_[level]->tensor();
  output.positives = count_.tensor();

  std::size_t bytes = 0;
  const Status status = sigmoid_focal_loss_workspace_size(problem.options, input, &bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  workspace_ = std::make_unique<Workspace>(bytes);
  enqueue_ = [this, options = problem.options, input, output](cudaStream_t stream) {
    return sigmoid_focal_loss(options, input, output,
                              Execution::cuda(stream, workspace_->data(), workspace_->size()));
  };
}

DeviceFocal::DeviceFocal(const RowsProblem& problem, std::size_t offset_steps) {
  const DeviceTensor& logits = copy(problem.logits, offset_steps);
  logits_.push_back(inputs_.back().get());
  SoftmaxFocalLossInput input;
  input.logits = logits.const_tensor();
  input.targets = copy(problem.targets, offset_steps).const_tensor();
  input.class_weights = copy(problem.class_weights, offset_steps).const_tensor();
  input.row_weights = copy(problem.row_weights, offset_steps).const_tensor();
  input.normaliser = copy(problem.normaliser, offset_steps).const_tensor();
  input.grad_output = copy(problem.grad_output, offset_steps).const_tensor();
  copy_outputs(make_result(problem), offset_steps);
  SoftmaxFocalLossOutput output;
  if (!loss_.empty()) output.loss = loss_[0]->tensor();
  if (!gradient_.empty()) output.grad_logits = gradient_[0]->tensor();
  output.valid_rows = count_.tensor();

  std::size_t bytes = 0;
  if (problem.distribution) {
    const DistributionFocalLossInput distribution_input = {
        input.logits, input.targets, input.row_weights, input.normaliser, input.grad_output};
    const DistributionFocalLossOptions options = problem.distribution_options();
    const Status status =
        distribution_focal_loss_workspace_size(options, distribution_input, &bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    enqueue_ = [this, options, distribution_input, output](cudaStream_t stream) {
      return distribution_focal_loss(
          options, distribution_input, {output.loss, output.grad_logits},
          Execution::cuda(stream, workspace_->data(), workspace_->size()));
    };
  } else {
    const Status status = softmax_focal_loss_workspace_size(problem.options, input, &bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    enqueue_ = [this, options = problem.options, input, output](cudaStream_t stream) {
      return softmax_focal_loss(options, input, output,
                                Execution::cuda(stream, workspace_->data(), workspace_->size()));
    };
  }
  workspace_ = std::make_unique<Workspace>(bytes);
}

void DeviceFocal::poison() {
  for (const std::unique_ptr<DeviceTensor>& tensor : loss_)
    tensor->poison();
  for (const std::unique_ptr<DeviceTensor>& tensor : gradient_)
    tensor->poison();
  count_.poison();
}

FocalResult DeviceFocal::download() const {
  workspace_->check_guards();
  FocalResult result;
  for (const std::unique_ptr<DeviceTensor>& tensor : loss_)
    result.loss.push_back(tensor->download());
  for (const std::unique_ptr<DeviceTensor>& tensor : gradient_)
    result.gradient.push_back(tensor->download());
  result.count = count_.download();
  return result;
}

void DeviceFocal::upload_logits(const std::vector<HostTensor>& logits) {
  for (std::size_t level = 0; level < logits.size(); ++level)
    logits_[level]->upload(logits[level]);
}

}  // namespace cudet::test
