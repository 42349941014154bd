// Calls of the focal losses in device memory.
#pragma once

#include "device.h"
#include "focal_problem.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace cudet::test {

/// A problem and its outputs on the device. Array number k lies `offset_steps` * (k + 1) elements
/// off a 256-byte boundary, modulo 256 bytes.
class DeviceFocal {
 public:
  explicit DeviceFocal(const SigmoidProblem& problem, std::size_t offset_steps = 0);
  explicit DeviceFocal(const RowsProblem& problem, std::size_t offset_steps = 0);

  Status enqueue(cudaStream_t stream) const { return enqueue_(stream); }
  void poison();
  FocalResult download() const;

  /// Overwrites the logits of all levels.
  void upload_logits(const std::vector<HostTensor>& logits);

 private:
  const DeviceTensor& copy(const HostTensor& tensor, std::size_t steps);
  void copy_outputs(const FocalResult& result, std::size_t steps);

  std::vector<std::unique_ptr<DeviceTensor>> inputs_;
  std::vector<std::unique_ptr<DeviceTensor>> loss_;
  std::vector<std::unique_ptr<DeviceTensor>> gradient_;
  std::vector<DeviceTensor*> logits_;
  DeviceTensor count_;
  std::unique_ptr<Workspace> workspace_;
  std::size_t arrays_ = 0;
  std::function<Status(cudaStream_t)> enqueue_;
};

/// One run on the default stream.
template <class Problem>
FocalResult device_result(const Problem& problem, std::size_t offset_steps = 0) {
  DeviceFocal device(problem, offset_steps);
  FocalResult result;
  run_in_mode(
      StreamMode::default_stream, [&](cudaStream_t stream) { return device.enqueue(stream); },
      [&] { device.poison(); }, [&] { result = device.download(); });
  return result;
}

/// Runs the problem on the device and in the CPU mode and compares both with the reference, to the
/// documented accuracy.
template <class Problem>
void expect_like_reference(const Problem& problem, DataType logit_type,
                           std::size_t offset_steps = 0) {
  const FocalResult exact = reference_result(problem, true);
  expect_near(device_result(problem, offset_steps), exact, problem.options.reduction, logit_type,
              gradient_factor(problem), problem.describe());
  expect_near(cpu_result(problem), exact, problem.options.reduction, logit_type,
              gradient_factor(problem), "CPU mode, " + problem.describe());
}
inline void expect_like_reference(const SigmoidProblem& problem, std::size_t offset_steps = 0) {
  expect_like_reference(problem, problem.type(), offset_steps);
}
inline void expect_like_reference(const RowsProblem& problem, std::size_t offset_steps = 0) {
  expect_like_reference(problem, problem.logits.type(), offset_steps);
}

}  // namespace cudet::test
