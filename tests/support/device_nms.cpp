#include "device_nms.h"

#if defined(CUDET_EMULATED)
#include "../../cuda/nms.h"
#endif

namespace cudet::test {
namespace {

std::size_t byte_offset(const HostTensor& values, std::size_t steps, std::size_t number) {
  const auto element_size = static_cast<std::size_t>(size_of(values.type()));
  return steps * number * element_size % 256;
}

}  // namespace

DeviceNms::DeviceNms(const NmsProblem& problem, DataType index_type, std::size_t offset_steps,
                     std::size_t workspace_offset)
    : options_(problem.options) {
  const auto on_device = [offset_steps](const HostTensor& values, std::size_t number) {
    return DeviceTensor(values, byte_offset(values, offset_steps, number));
  };
  boxes_ = on_device(problem.boxes, 1);
  scores_ = on_device(problem.scores, 2);
  classes_ = on_device(problem.classes, 3);
  counts_ = on_device(problem.counts, 4);
  offsets_ = on_device(problem.offsets, 10);
  iou_thresholds_ = on_device(problem.iou_thresholds, 11);
  max_image_boxes_ = problem.max_image_boxes;
  const NmsResult result = make_nms_result(problem, index_type);
  out_count_ = on_device(result.count, 5);
  out_indices_ = on_device(result.indices, 6);
  out_boxes_ = on_device(result.boxes, 7);
  out_scores_ = on_device(result.scores, 8);
  out_classes_ = on_device(result.classes, 9);
  out_keep_ = on_device(result.keep, 12);
  out_suppressed_by_ = on_device(result.suppressed_by, 13);

  std::size_t bytes = 0;
  const Status status = nms_workspace_size(options_, problem.input(), &bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  workspace_ = std::make_unique<Workspace>(bytes, workspace_offset);
}

NmsInput DeviceNms::input() const {
  NmsInput input;
  input.boxes = boxes_.const_tensor();
  input.scores = scores_.const_tensor();
  input.classes = classes_.const_tensor();
  input.counts = counts_.const_tensor();
  input.offsets = offsets_.const_tensor();
  input.max_image_boxes = max_image_boxes_;
  input.iou_thresholds = iou_thresholds_.const_tensor();
  return input;
}

NmsOutput DeviceNms::output() const {
  return {out_count_.tensor(),        out_indices_.tensor(), out_boxes_.tensor(),
          out_scores_.tensor(),       out_classes_.tensor(), out_keep_.tensor(),
          out_suppressed_by_.tensor()};
}

Status DeviceNms::enqueue(cudaStream_t stream) const {
  return nms(options_, input(), output(),
             Execution::cuda(stream, workspace_->data(), workspace_->size()));
}

#if defined(CUDET_EMULATED)
NmsPlan DeviceNms::plan(NmsOrdering ordering) const {
  NmsShape shape;
  NmsPlan plan;
  EXPECT_TRUE(check_nms_input(options_, input(), true, &shape).ok());
  EXPECT_TRUE(make_nms_plan(shape, &plan, ordering).ok());
  return plan;
}

Status DeviceNms::enqueue(cudaStream_t stream, NmsOrdering ordering) {
  const NmsPlan planned = plan(ordering);
  if (planned.shape.batch == 0) return Status();
  other_workspace_ = std::make_unique<Workspace>(planned.workspace_bytes, 1);
  return device::nms(planned, options_, input(), output(),
                     Execution::cuda(stream, other_workspace_->data(), other_workspace_->size()));
}
#endif

void DeviceNms::upload(const NmsProblem& problem) {
  boxes_.upload(problem.boxes);
  scores_.upload(problem.scores);
  classes_.upload(problem.classes);
  counts_.upload(problem.counts);
  offsets_.upload(problem.offsets);
  iou_thresholds_.upload(problem.iou_thresholds);
}

void DeviceNms::poison() {
  for (DeviceTensor* output : {&out_count_, &out_indices_, &out_boxes_, &out_scores_, &out_classes_,
                               &out_keep_, &out_suppressed_by_})
    output->poison();
}

NmsResult DeviceNms::download() const {
  workspace_->check_guards();
  if (other_workspace_ != nullptr) other_workspace_->check_guards();
  return {out_count_.download(),        out_indices_.download(), out_boxes_.download(),
          out_scores_.download(),       out_classes_.download(), out_keep_.download(),
          out_suppressed_by_.download()};
}

#if defined(CUDET_EMULATED)
namespace {

/// Runs the problem as nms() would not by itself, where there is another way.
void expect_with_other_ordering(const NmsProblem& problem, const NmsResult& expected) {
  DeviceNms device(problem, expected.indices.type());
  const NmsPlan usual = device.plan(NmsOrdering::automatic);
  const NmsOrdering other = usual.ranks ? NmsOrdering::sorting : NmsOrdering::ranking;
  const NmsPlan planned = device.plan(other);
  const bool is_same = planned.path == usual.path && planned.ranks == usual.ranks;
  const bool takes_long = planned.ranks && planned.shape.elements > kNmsBlockBoxes;
  if (is_same || takes_long) return;
  device.poison();
  const Stream stream;
  const Status status = device.enqueue(stream.get(), other);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(same_result(device.download(), expected))
      << (planned.ranks ? "ranked: " : "sorted: ") << problem.describe();
}

}  // namespace
#endif

void expect_on_device(const NmsProblem& problem, const NmsResult& expected, StreamMode mode,
                      std::size_t offset_steps, std::size_t workspace_offset) {
  DeviceNms device(problem, expected.indices.type(), offset_steps, workspace_offset);
  run_in_mode(
      mode, [&](cudaStream_t stream) { return device.enqueue(stream); }, [&] { device.poison(); },
      [&] { EXPECT_TRUE(same_result(device.download(), expected)) << problem.describe(); });
#if defined(CUDET_EMULATED)
  if (mode == StreamMode::other_stream) expect_with_other_ordering(problem, expected);
#endif
}

}  // namespace cudet::test
