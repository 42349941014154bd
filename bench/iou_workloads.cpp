// IoU matrices in the shapes that label assigners and evaluators ask for, and as baseline the usual
// design, one thread a pair.
#include "baselines/matching.h"
#include "device.h"
#include "synthetic.h"
#include "workload.h"

#include <cudet/iou.h>

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <utility>

namespace cudet::bench {
namespace {

constexpr std::uint64_t kSeed = 20240602;
constexpr int kPoison = 0xff;  // a NaN in every element

/// One row of the table of workloads.
struct Row {
  const char* name;
  const char* description;
  std::int64_t batch;
  std::int64_t n;
  std::int64_t m;
  bool in_quick_run;

  double bytes() const {
    const auto boxes = static_cast<double>(batch * (n + m));
    const auto pairs = static_cast<double>(batch * n * m);
    return 16.0 * boxes + 4.0 * pairs;
  }
};

constexpr Row kRows[] = {
    {"iou/assign-yolo", "objects of 16 images by the cells of a YOLO head", 16, 100, 8400, true},
    {"iou/square", "all pairs of two sets", 1, 4096, 4096, true},
    {"iou/assign-rpn", "objects by the anchors of an RPN's finest level, 200 x 304 x 3", 1, 300,
     182400, false},
    {"iou/assign-fpn", "objects by the anchors of all levels of an FPN", 1, 500, 242991, false},
};

/// The documented accuracy of iou_matrix(), once for each side: cudet::reference computes in
/// double, but rounds its result too.
bool close(float value, float expected) {
  return std::fabs(value - expected) <= 1e-6f + 1e-5f * std::fabs(expected);
}

class IouCase final : public Case {
 public:
  IouCase(Device& device, const Row& row) : device_(device), row_(row) {
    Random random(kSeed);
    boxes1_ = uniform_candidates(random, row.batch * row.n).boxes;
    boxes2_ = uniform_candidates(random, row.batch * row.m).boxes;
    const auto pairs = static_cast<std::size_t>(row.batch * row.n * row.m);
    reference_.resize(pairs);
    device_boxes1_ = device.input_of(boxes1_);
    device_boxes2_ = device.input_of(boxes2_);
    device_values_ = device.allocate(pairs * sizeof(float));
    const IouMatrixInput input =
        input_of(device_boxes1_.data_as<float>(), device_boxes2_.data_as<float>());
    if (!device.is_cuda()) return;
    std::size_t bytes = 0;
    require_ok(iou_matrix_workspace_size(options_, input, &bytes));
    workspace_ = device.allocate(bytes);
  }

  void poison_outputs() override { device_.fill(device_values_, kPoison); }

  Status run() override {
    return iou_matrix(options_,
                      input_of(device_boxes1_.data_as<float>(), device_boxes2_.data_as<float>()),
                      output_of(device_values_.data_as<float>()), device_.execution(workspace_));
  }

  Status run_reference() override {
    return reference::iou_matrix(options_, input_of(boxes1_.data(), boxes2_.data()),
                                 output_of(reference_.data()));
  }

  Status run_baseline() override {
    return bench::run_baseline(
        {device_boxes1_.data_as<float>(), device_boxes2_.data_as<float>(), row_.batch, row_.n,
         row_.m, true, device_values_.data_as<float>(), nullptr, nullptr, nullptr, nullptr},
        device_.execution(workspace_));
  }

  Status run_cpu() override {
    return iou_matrix(options_, input_of(boxes1_.data(), boxes2_.data()),
                      output_of(reference_.data()), Execution::cpu());
  }

  Check check() override {
    std::vector<float> measured(reference_.size());
    device_.download(measured.data(), device_values_);
    Check check;
    for (std::size_t i = 0; i < measured.size(); ++i) {
      if (close(measured[i], reference_[i])) continue;
      check.text = "!= reference";
      check.detail = fmt::format("element {}: {}, reference {}", i, measured[i], reference_[i]);
      return check;
    }
    check.passed = true;
    check.text = "~ reference";
    return check;
  }

  double compulsory_bytes() const override { return row_.bytes(); }

  /// A pair: 4 of min and max, 2 differences, 2 clamps, a product, the union's 2, a division. The
  /// areas are the boxes' own.
  double operations() const override {
    return 12.0 * static_cast<double>(row_.batch * row_.n * row_.m);
  }

 private:
  IouMatrixInput input_of(const float* boxes1, const float* boxes2) const {
    IouMatrixInput input;
    input.boxes1 = Tensor(boxes1, {row_.batch, row_.n, 4});
    input.boxes2 = Tensor(boxes2, {row_.batch, row_.m, 4});
    return input;
  }
  IouMatrixOutput output_of(float* values) const {
    IouMatrixOutput output;
    output.values = Tensor(values, {row_.batch, row_.n, row_.m});
    return output;
  }

  Device& device_;
  const Row& row_;
  const IouMatrixOptions options_ = {};
  std::vector<float> boxes1_;
  std::vector<float> boxes2_;
  std::vector<float> reference_;
  Buffer device_boxes1_;
  Buffer device_boxes2_;
  Buffer device_values_;
  Buffer workspace_;
};

}  // namespace

std::vector<Workload> iou_workloads() {
  std::vector<Workload> workloads;
  for (const Row& row : kRows) {
    Workload workload;
    workload.name = row.name;
    workload.description = row.description;
    workload.shape = fmt::format("{} x {} x {}", row.batch, row.n, row.m);
    workload.device_bytes = static_cast<std::size_t>(row.bytes());
    workload.host_bytes = 2 * workload.device_bytes;  // the reference's result, and the measured
    workload.in_quick_run = row.in_quick_run;
    workload.build = [&row](Device& device) { return std::make_unique<IouCase>(device, row); };
    workloads.push_back(std::move(workload));
  }
  return workloads;
}

}  // namespace cudet::bench
