// Focal losses on the outputs of detectors' heads: loss and gradient of the logits in one call, and
// as baseline the usual design, one thread an element and a kernel each way.
#include "baselines/focal_loss.h"
#include "device.h"
#include "synthetic.h"
#include "workload.h"

#include <cudet/focal_loss.h>

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

namespace cudet::bench {
namespace {

constexpr std::uint64_t kSeed = 20240603;
constexpr int kPoison = 0xff;  // a NaN in every element

enum class Kind { sigmoid, softmax };

/// One row of the table of workloads.
struct Row {
  const char* name;
  const char* description;
  Kind kind;
  DataType type;
  std::int64_t batch;
  std::int64_t rows;  ///< an image
  std::int64_t classes;
  bool in_quick_run;

  std::int64_t all_rows() const { return batch * rows; }
  bool has_baseline() const { return kind == Kind::sigmoid && type == DataType::float32; }
  std::size_t elements() const { return static_cast<std::size_t>(all_rows() * classes); }
  double bytes() const {
    return 2.0 * static_cast<double>(elements()) * size_of(type) +
           4.0 * static_cast<double>(all_rows());
  }
};

constexpr Row kRows[] = {
    {"focal/yolo", "sigmoid, a YOLO head of 8 images", Kind::sigmoid, DataType::float32, 8, 8400,
     80, true},
    {"focal/yolo-half", "the same in float16", Kind::sigmoid, DataType::float16, 8, 8400, 80, true},
    {"focal/retinanet", "sigmoid, RetinaNet's anchors of 2 images of 800 x 1344", Kind::sigmoid,
     DataType::float32, 2, 193392, 80, false},
    {"focal/retinanet-half", "the same in float16", Kind::sigmoid, DataType::float16, 2, 193392, 80,
     false},
    {"focal/rpn", "sigmoid, the finest level of 200 x 304 x 3 anchors, 90 classes", Kind::sigmoid,
     DataType::float32, 1, 182400, 90, false},
    {"focal/softmax", "softmax, proposals of a two-stage detector, 81 classes", Kind::softmax,
     DataType::float32, 1, 65536, 81, false},
};

/// Relative error of a sum that is documented, once for each side, and of an element with the
/// rounding into its type.
bool close_sum(float value, float expected, DataType type) {
  const float relative = type == DataType::float32 ? 1e-6f : 1e-5f;
  return std::fabs(value - expected) <= 2.0f * relative * std::fabs(expected);
}
bool close_element(float value, float expected, DataType type) {
  const float rounding = type == DataType::float32 ? 0.0f : 0x1p-10f;
  const float smallest = type == DataType::float32 ? 0.0f : 0x1p-24f;
  return std::fabs(value - expected) <= 1e-6f + smallest + (1e-5f + rounding) * std::fabs(expected);
}

/// Bytes of one element of either type, and back.
std::vector<unsigned char> stored(const std::vector<float>& values, DataType type) {
  const auto size = static_cast<std::size_t>(size_of(type));
  std::vector<unsigned char> bytes(values.size() * size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (type == DataType::float32) {
      reinterpret_cast<float*>(bytes.data())[i] = values[i];
    } else {
      reinterpret_cast<float16*>(bytes.data())[i] = float16(values[i]);
    }
  }
  return bytes;
}
float element(const std::vector<unsigned char>& bytes, std::size_t i, DataType type) {
  if (type == DataType::float32) return reinterpret_cast<const float*>(bytes.data())[i];
  return static_cast<float>(reinterpret_cast<const float16*>(bytes.data())[i]);
}

class FocalCase final : public Case {
 public:
  FocalCase(Device& device, const Row& row) : device_(device), row_(row) {
    Random random(kSeed);
    std::vector<float> logits(row.elements());
    // Sigmoid heads start with a bias of -log(99) and few positives; a softmax has no such bias.
    const float mean = row.kind == Kind::softmax ? 0.0f : -4.6f;
    for (float& x : logits)
      x = mean + 1.5f * random.normal();
    for (std::int64_t i = 0; i < row.all_rows(); ++i) {
      const bool positive = row.kind == Kind::softmax || random.below(1000) == 0;
      const bool ignored = !positive && random.below(200) == 0;
      targets_.push_back(positive  ? static_cast<std::int32_t>(random.below(row.classes))
                         : ignored ? -2
                                   : -1);
    }
    logits_ = stored(logits, row.type);
    reference_gradient_.resize(logits_.size());
    device_logits_ = device.input_of(logits_);
    device_targets_ = device.input_of(targets_);
    device_gradient_ = device.allocate(logits_.size());
    device_loss_ = device.allocate(sizeof(float));
    if (row.has_baseline()) device_losses_ = device.allocate(row.elements() * sizeof(float));
    if (!device.is_cuda()) return;
    std::size_t bytes = 0;
    if (row.kind == Kind::softmax) {
      require_ok(softmax_focal_loss_workspace_size(
          {}, softmax_input(logits_.data(), targets_.data()), &bytes));
    } else {
      require_ok(sigmoid_focal_loss_workspace_size(
          {}, sigmoid_input(logits_.data(), targets_.data()), &bytes));
    }
    workspace_ = device.allocate(bytes);
  }

  void poison_outputs() override {
    device_.fill(device_gradient_, kPoison);
    device_.fill(device_loss_, kPoison);
  }

  Status run() override {
    const Execution execution = device_.execution(workspace_);
    return call(device_logits_.data(), device_targets_.data_as<std::int32_t>(),
                device_loss_.data_as<float>(), device_gradient_.data(), &execution);
  }

  Status run_reference() override {
    return call(logits_.data(), targets_.data(), &reference_loss_, reference_gradient_.data(),
                nullptr);
  }

  Status run_cpu() override {
    const Execution execution = Execution::cpu();
    return call(logits_.data(), targets_.data(), &reference_loss_, reference_gradient_.data(),
                &execution);
  }

  Status run_baseline() override {
    if (!row_.has_baseline()) return Case::run_baseline();
    return bench::run_baseline(
        {device_logits_.data_as<float>(), device_targets_.data_as<std::int32_t>(), row_.all_rows(),
         row_.classes, device_losses_.data_as<float>(), device_gradient_.data_as<float>()},
        device_.execution(workspace_));
  }

  Check check() override {
    float loss = std::numeric_limits<float>::quiet_NaN();
    device_.download(&loss, device_loss_);
    if (close_sum(loss, reference_loss_, row_.type)) return check_baseline();
    Check check;
    check.text = "!= reference";
    check.detail = fmt::format("loss {}, reference {}", loss, reference_loss_);
    return check;
  }

  /// The gradient: the baseline leaves its losses to be added up.
  Check check_baseline() override {
    std::vector<unsigned char> gradient(logits_.size());
    device_.download(gradient.data(), device_gradient_);
    Check check;
    check.text = "!= reference";
    for (std::size_t i = 0; i < row_.elements(); ++i) {
      const float measured = element(gradient, i, row_.type);
      const float expected = element(reference_gradient_, i, row_.type);
      if (close_element(measured, expected, row_.type)) continue;
      check.detail = fmt::format("gradient {}: {}, reference {}", i, measured, expected);
      return check;
    }
    check.passed = true;
    check.text = "~ reference";
    return check;
  }

  double compulsory_bytes() const override { return row_.bytes(); }

  /// A logit of a sigmoid: exp(), a sum, a quotient and a complement for q, three for the softplus,
  /// two for the loss and one to add it, six for the gradient. Of a softmax: maximum, difference,
  /// exp(), sum and product.
  double operations() const override {
    return (row_.kind == Kind::sigmoid ? 16.0 : 5.0) * static_cast<double>(row_.elements());
  }

  std::string explanation() const override {
    std::int64_t positives = 0;
    std::int64_t ignored = 0;
    for (const std::int32_t target : targets_) {
      positives += target >= 0 ? 1 : 0;
      ignored += target == -2 ? 1 : 0;
    }
    return fmt::format("{} rows, {} positive, {} ignored; {:.2f} bytes a logit{}", targets_.size(),
                       positives, ignored, row_.bytes() / static_cast<double>(row_.elements()),
                       workspace_.bytes() > 0
                           ? fmt::format("; workspace {} bytes", workspace_.bytes())
                           : std::string());
  }

 private:
  Tensor shaped(const void* data) const {
    const std::int64_t shape[2] = {row_.all_rows(), row_.classes};
    return Tensor(const_cast<void*>(data), row_.type, 2, shape);
  }
  SigmoidFocalLossInput sigmoid_input(const void* logits, const std::int32_t* targets) const {
    SigmoidFocalLossInput input;
    input.logits[0] = shaped(logits);
    input.targets[0] = Tensor(targets, {row_.all_rows()});
    return input;
  }
  SoftmaxFocalLossInput softmax_input(const void* logits, const std::int32_t* targets) const {
    SoftmaxFocalLossInput input;
    input.logits = shaped(logits);
    input.targets = Tensor(targets, {row_.all_rows()});
    return input;
  }

  /// The operation, or with `execution` null its reference.
  Status call(const void* logits, const std::int32_t* targets, float* loss, void* gradient,
              const Execution* execution) const {
    if (row_.kind == Kind::softmax) {
      const SoftmaxFocalLossInput input = softmax_input(logits, targets);
      SoftmaxFocalLossOutput output;
      output.loss = Tensor(loss, {1});
      output.grad_logits = shaped(gradient);
      return execution != nullptr ? softmax_focal_loss({}, input, output, *execution)
                                  : reference::softmax_focal_loss({}, input, output);
    }
    const SigmoidFocalLossInput input = sigmoid_input(logits, targets);
    SigmoidFocalLossOutput output;
    output.loss[0] = Tensor(loss, {1});
    output.grad_logits[0] = shaped(gradient);
    return execution != nullptr ? sigmoid_focal_loss({}, input, output, *execution)
                                : reference::sigmoid_focal_loss({}, input, output);
  }

  Device& device_;
  const Row& row_;
  std::vector<unsigned char> logits_;
  std::vector<std::int32_t> targets_;
  std::vector<unsigned char> reference_gradient_;
  float reference_loss_ = 0.0f;
  Buffer device_logits_;
  Buffer device_targets_;
  Buffer device_gradient_;
  Buffer device_loss_;
  Buffer device_losses_;  ///< of the baseline, by element
  Buffer workspace_;
};

}  // namespace

std::vector<Workload> focal_loss_workloads() {
  std::vector<Workload> workloads;
  for (const Row& row : kRows) {
    Workload workload;
    workload.name = row.name;
    workload.description = row.description;
    workload.shape = fmt::format("{} x {} x {}", row.batch, row.rows, row.classes);
    workload.type = row.type;
    workload.device_bytes = static_cast<std::size_t>(row.bytes()) +
                            (row.has_baseline() ? row.elements() * sizeof(float) : 0);
    // The logits before they are converted, the reference's gradient and the measured one.
    workload.host_bytes = 2 * workload.device_bytes + row.elements() * sizeof(float);
    workload.in_quick_run = row.in_quick_run;
    workload.build = [&row](Device& device) { return std::make_unique<FocalCase>(device, row); };
    workloads.push_back(std::move(workload));
  }
  return workloads;
}

}  // namespace cudet::bench
