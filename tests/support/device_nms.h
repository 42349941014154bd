// An NMS problem in device memory.
#pragma once

#include "device.h"
#include "nms_problem.h"

#if defined(CUDET_EMULATED)
#include "../../src/nms_plan.h"
#endif

#include <cstddef>

namespace cudet::test {

class DeviceNms {
 public:
  /// Copies the problem; array number k lies `offset_steps` * (k + 1) elements off a 256-byte
  /// boundary, modulo 256 bytes.
  explicit DeviceNms(const NmsProblem& problem, DataType index_type = DataType::int32,
                     std::size_t offset_steps = 0, std::size_t workspace_offset = 1);

  /// Calls nms() for the device.
  Status enqueue(cudaStream_t stream) const;

#if defined(CUDET_EMULATED)
  /// What nms() plans for this problem, and the same call with an ordering of the test's choice, in
  /// a workspace of its own that lives as long as this.
  NmsPlan plan(NmsOrdering ordering) const;
  Status enqueue(cudaStream_t stream, NmsOrdering ordering);
#endif

  /// New numbers in the same arrays; types and shapes must stay.
  void upload(const NmsProblem& problem);

  void poison();
  NmsResult download() const;

  std::size_t workspace_bytes() const {
    return workspace_->size();
  }

 private:
  NmsInput input() const;
  NmsOutput output() const;

  NmsOptions options_;
  std::int64_t max_image_boxes_ = NmsOptions::kNoLimit;
  DeviceTensor boxes_, scores_, classes_, counts_, offsets_, iou_thresholds_;
  DeviceTensor out_count_, out_indices_, out_boxes_, out_scores_, out_classes_, out_keep_,
      out_suppressed_by_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<Workspace> other_workspace_;  ///< of the ordering that a test asked for
};

/// Runs the problem on the device in `mode` and compares every run with `expected`, bit for bit. On
/// the emulated device a run on another stream is repeated with the other ordering of elements.
void expect_on_device(const NmsProblem& problem, const NmsResult& expected, StreamMode mode,
                      std::size_t offset_steps = 0, std::size_t workspace_offset = 1);

}  // namespace cudet::test
