// Gradients of depthwise layers of well-known networks, all three in one call, and as baseline one
// thread an element of grad_x and one block a tap of grad_weight. The floor of a layer is x and
// grad_output once for both gradients, and grad_x once.
#include "baselines/depthwise_conv_backward.h"
#include "device.h"
#include "synthetic.h"
#include "workload.h"

#include <cudet/depthwise_conv.h>

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <utility>

namespace cudet::bench {
namespace {

constexpr std::uint64_t kSeed = 20240608;
constexpr int kPoison = 0xff;  // a NaN in every element

struct Row {
  const char* name;
  const char* description;
  ImageLayout layout;
  std::int64_t n, c, h, w;
  std::int64_t kernel, stride;
  bool in_quick_run;

  std::int64_t oh() const { return (h - 1) / stride + 1; }
  std::int64_t ow() const { return (w - 1) / stride + 1; }
  std::size_t inputs() const { return static_cast<std::size_t>(n * c * h * w); }
  std::size_t outputs() const { return static_cast<std::size_t>(n * c * oh() * ow()); }
  std::size_t weights() const { return static_cast<std::size_t>(c * kernel * kernel); }
  double bytes() const {
    return sizeof(float) * static_cast<double>(2 * inputs() + outputs() + 2 * weights() +
                                               static_cast<std::size_t>(c));
  }
};

constexpr ImageLayout kNchw = ImageLayout::nchw;
constexpr ImageLayout kNhwc = ImageLayout::nhwc;

constexpr Row kRows[] = {
    {"dwconv-backward/mobilenetv2-112s2", "MobileNetV2", kNchw, 32, 96, 112, 112, 3, 2, false},
    {"dwconv-backward/mobilenetv2-56", "MobileNetV2", kNchw, 32, 144, 56, 56, 3, 1, false},
    {"dwconv-backward/mobilenetv2-14", "MobileNetV2", kNchw, 32, 384, 14, 14, 3, 1, true},
    {"dwconv-backward/mobilenetv2-7", "MobileNetV2", kNchw, 32, 960, 7, 7, 3, 1, true},
    {"dwconv-backward/efficientnet-56s2", "EfficientNet-B0", kNchw, 32, 144, 56, 56, 5, 2, false},
    {"dwconv-backward/rtmdet-80", "a head like RTMDet's", kNchw, 8, 128, 80, 80, 5, 1, false},
    {"dwconv-backward/convnext-56", "ConvNeXt-T, stage 1", kNchw, 32, 96, 56, 56, 7, 1, false},
    {"dwconv-backward/mobilenetv2-56-nhwc", "MobileNetV2, channels last", kNhwc, 32, 144, 56, 56, 3,
     1, false},
};

std::vector<float> random_numbers(Random& random, std::size_t count) {
  std::vector<float> numbers(count);
  for (float& number : numbers)
    number = random.uniform(-1.0f, 1.0f);
  return numbers;
}

class DepthwiseBackwardCase final : public Case {
 public:
  DepthwiseBackwardCase(Device& device, const Row& row) : device_(device), row_(row) {
    Random random(kSeed);
    options_.layout = row.layout;
    options_.stride_h = options_.stride_w = row.stride;
    options_.pad_top = options_.pad_left = options_.pad_bottom = options_.pad_right =
        row.kernel / 2;
    grad_output_ = random_numbers(random, row.outputs());
    x_ = random_numbers(random, row.inputs());
    weight_ = random_numbers(random, row.weights());
    reference_grad_x_.resize(row.inputs());
    reference_grad_weight_.resize(row.weights());
    reference_grad_bias_.resize(static_cast<std::size_t>(row.c));
    device_grad_output_ = device.input_of(grad_output_);
    device_x_ = device.input_of(x_);
    device_weight_ = device.input_of(weight_);
    device_grad_x_ = device.allocate(row.inputs() * sizeof(float));
    device_grad_weight_ = device.allocate(row.weights() * sizeof(float));
    device_grad_bias_ = device.allocate(reference_grad_bias_.size() * sizeof(float));
    if (!device.is_cuda()) return;
    std::size_t bytes = 0;
    require_ok(
        depthwise_conv_backward_workspace_size(options_, host_input(), host_output(), &bytes));
    workspace_ = device.allocate(bytes);
  }

  void poison_outputs() override {
    device_.fill(device_grad_x_, kPoison);
    device_.fill(device_grad_weight_, kPoison);
    device_.fill(device_grad_bias_, kPoison);
  }

  Status run() override {
    return depthwise_conv_backward(
        options_,
        input_of(device_grad_output_.data_as<float>(), device_x_.data_as<float>(),
                 device_weight_.data_as<float>()),
        output_of(device_grad_x_.data_as<float>(), device_grad_weight_.data_as<float>(),
                  device_grad_bias_.data_as<float>()),
        device_.execution(workspace_));
  }
  Status run_reference() override {
    return reference::depthwise_conv_backward(options_, host_input(), host_output());
  }
  Status run_cpu() override {
    return depthwise_conv_backward(options_, host_input(), host_output(), Execution::cpu());
  }
  Status run_baseline() override {
    if (row_.layout != kNchw) return Case::run_baseline();
    BaselineDepthwiseBackward problem = {};
    problem.grad_output = device_grad_output_.data_as<float>();
    problem.x = device_x_.data_as<float>();
    problem.weight = device_weight_.data_as<float>();
    problem.n = static_cast<int>(row_.n);
    problem.channels = static_cast<int>(row_.c);
    problem.h = static_cast<int>(row_.h);
    problem.w = static_cast<int>(row_.w);
    problem.oh = static_cast<int>(row_.oh());
    problem.ow = static_cast<int>(row_.ow());
    problem.kernel = static_cast<int>(row_.kernel);
    problem.stride = static_cast<int>(row_.stride);
    problem.padding = static_cast<int>(row_.kernel / 2);
    problem.grad_x = device_grad_x_.data_as<float>();
    problem.grad_weight = device_grad_weight_.data_as<float>();
    return bench::run_baseline(problem, device_.execution(workspace_));
  }

  Check check() override {
    // What sums of that many numbers round to, thirty times over.
    const double terms = static_cast<double>(row_.n * row_.oh() * row_.ow());
    Check check =
        compare("grad_bias", device_grad_bias_, reference_grad_bias_, 1e-5 * std::sqrt(terms));
    return check.passed ? check_baseline() : check;
  }
  /// The baseline leaves the bias out.
  Check check_baseline() override {
    const double terms = static_cast<double>(row_.n * row_.oh() * row_.ow());
    Check check = compare("grad_x", device_grad_x_, reference_grad_x_,
                          1e-6 * static_cast<double>(row_.kernel * row_.kernel));
    if (!check.passed) return check;
    return compare("grad_weight", device_grad_weight_, reference_grad_weight_,
                   1e-5 * std::sqrt(terms));
  }

  double compulsory_bytes() const override { return row_.bytes(); }
  /// Two multiply-adds a tap and output.
  double operations() const override {
    return 4.0 * static_cast<double>(row_.outputs()) *
           static_cast<double>(row_.kernel * row_.kernel);
  }

  std::string explanation() const override {
    DepthwiseConvBackwardKernels kernels;
    require_ok(depthwise_conv_backward_kernels(options_, host_input(), host_output(), &kernels));
    return fmt::format("grad_x by {}, grad_weight and grad_bias by {}", to_string(kernels.grad_x),
                       to_string(kernels.grad_weight));
  }

 private:
  Tensor image(const float* data, std::int64_t h, std::int64_t w) const {
    float* const elements = const_cast<float*>(data);
    return row_.layout == kNchw ? Tensor(elements, {row_.n, row_.c, h, w})
                                : Tensor(elements, {row_.n, h, w, row_.c});
  }
  Tensor weight(const float* data) const {
    float* const elements = const_cast<float*>(data);
    return row_.layout == kNchw ? Tensor(elements, {row_.c, row_.kernel, row_.kernel})
                                : Tensor(elements, {row_.kernel, row_.kernel, row_.c});
  }
  DepthwiseConvBackwardInput input_of(const float* grad_output, const float* x,
                                      const float* taps) const {
    DepthwiseConvBackwardInput input;
    input.grad_output = image(grad_output, row_.oh(), row_.ow());
    input.x = image(x, row_.h, row_.w);
    input.weight = weight(taps);
    return input;
  }
  DepthwiseConvBackwardOutput output_of(const float* grad_x, const float* grad_weight,
                                        float* grad_bias) const {
    return {image(grad_x, row_.h, row_.w), weight(grad_weight), Tensor(grad_bias, {row_.c})};
  }
  DepthwiseConvBackwardInput host_input() const {
    return input_of(grad_output_.data(), x_.data(), weight_.data());
  }
  DepthwiseConvBackwardOutput host_output() const {
    return output_of(reference_grad_x_.data(), reference_grad_weight_.data(),
                     const_cast<float*>(reference_grad_bias_.data()));
  }

  Check compare(const char* name, const Buffer& buffer, const std::vector<float>& expected,
                double allowed) const {
    std::vector<float> measured(expected.size());
    device_.download(measured.data(), buffer);
    Check check;
    check.text = "!= reference";
    for (std::size_t i = 0; i < measured.size(); ++i) {
      const double difference = static_cast<double>(measured[i]) - static_cast<double>(expected[i]);
      if (std::fabs(difference) <= allowed) continue;
      check.detail = fmt::format("{}[{}]: {}, reference {}", name, i, measured[i], expected[i]);
      return check;
    }
    check.passed = true;
    check.text = "~ reference";
    return check;
  }

  Device& device_;
  const Row& row_;
  DepthwiseConvOptions options_;
  std::vector<float> grad_output_, x_, weight_;
  std::vector<float> reference_grad_x_, reference_grad_weight_, reference_grad_bias_;
  Buffer device_grad_output_, device_x_, device_weight_;
  Buffer device_grad_x_, device_grad_weight_, device_grad_bias_;
  Buffer workspace_;
};

}  // namespace

std::vector<Workload> depthwise_conv_backward_workloads() {
  std::vector<Workload> workloads;
  for (const Row& row : kRows) {
    Workload workload;
    workload.name = row.name;
    workload.description = row.description;
    workload.shape = fmt::format("{} x {} x {} x {}, {} x {} / {}", row.n, row.c, row.h, row.w,
                                 row.kernel, row.kernel, row.stride);
    workload.type = DataType::float32;
    workload.device_bytes = static_cast<std::size_t>(row.bytes() * 1.1);
    workload.host_bytes = 2 * workload.device_bytes;
    workload.in_quick_run = row.in_quick_run;
    workload.build = [&row](Device& device) {
      return std::make_unique<DepthwiseBackwardCase>(device, row);
    };
    workloads.push_back(std::move(workload));
  }
  return workloads;
}

}  // namespace cudet::bench
