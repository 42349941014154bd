// Depthwise layers of well-known networks with bias, and as baseline one thread an output. The
// floor of a layer is x and y once, at the memory's speed, or its multiply-adds.
#include "baselines/depthwise_conv.h"
#include "device.h"
#include "synthetic.h"
#include "workload.h"

#include <cudet/depthwise_conv.h>

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

namespace cudet::bench {
namespace {

constexpr std::uint64_t kSeed = 20240607;
constexpr int kPoison = 0xff;  // a NaN in every element

struct Row {
  const char* name;
  const char* description;
  ImageLayout layout;
  DataType type;
  std::int64_t n, c, h, w;
  std::int64_t kernel, stride;
  bool in_quick_run;

  std::int64_t padding() const { return kernel / 2; }
  std::int64_t oh() const { return (h + 2 * padding() - kernel) / stride + 1; }
  std::int64_t ow() const { return (w + 2 * padding() - kernel) / stride + 1; }
  std::size_t inputs() const { return static_cast<std::size_t>(n * c * h * w); }
  std::size_t weights() const { return static_cast<std::size_t>(c * kernel * kernel); }
  std::size_t outputs() const { return static_cast<std::size_t>(n * c * oh() * ow()); }
  bool has_baseline() const { return layout == ImageLayout::nchw && type == DataType::float32; }
  double bytes() const {
    return static_cast<double>(inputs() + weights() + outputs()) * size_of(type) +
           4.0 * static_cast<double>(c);
  }
};

constexpr ImageLayout kNchw = ImageLayout::nchw;
constexpr ImageLayout kNhwc = ImageLayout::nhwc;
constexpr DataType kFloat = DataType::float32;
constexpr DataType kHalf = DataType::float16;

constexpr Row kRows[] = {
    {"dwconv/mobilenetv2-first", "MobileNetV2's first, one image", kNchw, kFloat, 1, 32, 112, 112,
     3, 1, true},
    {"dwconv/mobilenetv2-112s2", "MobileNetV2", kNchw, kFloat, 32, 96, 112, 112, 3, 2, false},
    {"dwconv/mobilenetv2-56", "MobileNetV2", kNchw, kFloat, 32, 144, 56, 56, 3, 1, false},
    {"dwconv/mobilenetv2-14", "MobileNetV2", kNchw, kFloat, 32, 384, 14, 14, 3, 1, true},
    {"dwconv/mobilenetv2-7", "MobileNetV2", kNchw, kFloat, 32, 960, 7, 7, 3, 1, true},
    {"dwconv/mobilenetv1-14", "MobileNetV1", kNchw, kFloat, 64, 512, 14, 14, 3, 1, false},
    {"dwconv/efficientnet-56s2", "EfficientNet-B0", kNchw, kFloat, 32, 144, 56, 56, 5, 2, false},
    {"dwconv/efficientnet-14", "EfficientNet-B0", kNchw, kFloat, 32, 480, 14, 14, 5, 1, false},
    {"dwconv/efficientnet-7", "EfficientNet-B0", kNchw, kFloat, 32, 1152, 7, 7, 5, 1, false},
    {"dwconv/efficientdet-64", "EfficientDet's BiFPN, level 3", kNchw, kFloat, 8, 64, 64, 64, 3, 1,
     true},
    {"dwconv/rtmdet-80", "a head like RTMDet's", kNchw, kFloat, 8, 128, 80, 80, 5, 1, false},
    {"dwconv/convnext-56", "ConvNeXt-T, stage 1", kNchw, kFloat, 32, 96, 56, 56, 7, 1, false},
    {"dwconv/convnext-14", "ConvNeXt-T, stage 3", kNchw, kFloat, 32, 384, 14, 14, 7, 1, false},
    {"dwconv/convnext-det", "ConvNeXt-B, a detector's first stage", kNchw, kFloat, 2, 128, 200, 336,
     7, 1, false},
    {"dwconv/replknet-56", "RepLKNet", kNchw, kFloat, 32, 128, 56, 56, 31, 1, false},
    {"dwconv/mobilenetv2-56-nhwc", "MobileNetV2, channels last", kNhwc, kFloat, 32, 144, 56, 56, 3,
     1, false},
    {"dwconv/mobilenetv2-56-half", "the same in float16", kNhwc, kHalf, 32, 144, 56, 56, 3, 1,
     false},
    {"dwconv/convnext-56-half", "ConvNeXt-T, channels last, float16", kNhwc, kHalf, 32, 96, 56, 56,
     7, 1, false},
};

/// Numbers in [-1, 1) as elements of a type.
std::vector<std::byte> random_elements(Random& random, std::size_t count, DataType type) {
  const auto element_size = static_cast<std::size_t>(size_of(type));
  std::vector<std::byte> bytes(count * element_size);
  for (std::size_t i = 0; i < count; ++i) {
    const float value = random.uniform(-1.0f, 1.0f);
    const float16 half(value);
    std::memcpy(bytes.data() + i * element_size,
                type == kHalf ? static_cast<const void*>(&half) : &value, element_size);
  }
  return bytes;
}

double element_of(const std::vector<std::byte>& bytes, std::size_t i, DataType type) {
  if (type == kHalf) {
    float16 half;
    std::memcpy(&half, bytes.data() + i * sizeof(half), sizeof(half));
    return static_cast<double>(static_cast<float>(half));
  }
  float value = 0.0f;
  std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
  return static_cast<double>(value);
}

class DepthwiseCase final : public Case {
 public:
  DepthwiseCase(Device& device, const Row& row) : device_(device), row_(row) {
    Random random(kSeed);
    options_.layout = row.layout;
    options_.stride_h = options_.stride_w = row.stride;
    options_.pad_top = options_.pad_left = options_.pad_bottom = options_.pad_right = row.padding();
    x_ = random_elements(random, row.inputs(), row.type);
    weight_ = random_elements(random, row.weights(), row.type);
    bias_ = random_elements(random, static_cast<std::size_t>(row.c), kFloat);
    reference_.resize(row.outputs() * static_cast<std::size_t>(size_of(row.type)));
    device_x_ = device.input_of(x_);
    device_weight_ = device.input_of(weight_);
    device_bias_ = device.input_of(bias_);
    device_y_ = device.allocate(reference_.size());
  }

  void poison_outputs() override { device_.fill(device_y_, kPoison); }

  Status run() override {
    return depthwise_conv(options_, device_input(), output_of(device_y_.data()),
                          device_.execution(Buffer()));
  }
  Status run_reference() override {
    return reference::depthwise_conv(options_, host_input(), output_of(reference_.data()));
  }
  Status run_cpu() override {
    return depthwise_conv(options_, host_input(), output_of(reference_.data()), Execution::cpu());
  }
  Status run_baseline() override {
    if (!row_.has_baseline()) return Case::run_baseline();
    return bench::run_baseline(
        BaselineDepthwise{device_x_.data_as<float>(), device_weight_.data_as<float>(),
                          device_bias_.data_as<float>(), row_.n, row_.c, row_.h, row_.w, row_.oh(),
                          row_.ow(), row_.kernel, row_.stride, row_.padding(),
                          device_y_.data_as<float>()},
        device_.execution(Buffer()));
  }

  /// Sums of K^2 products of numbers below 1 in any order, and the rounding to the type.
  Check check() override {
    std::vector<std::byte> measured(reference_.size());
    device_.download(measured.data(), device_y_);
    const double taps = static_cast<double>(row_.kernel * row_.kernel);
    const double rounding = row_.type == kHalf ? 0x1p-11 : 0x1p-24;
    Check check;
    for (std::size_t i = 0; i < row_.outputs(); ++i) {
      const double expected = element_of(reference_, i, row_.type);
      const double got = element_of(measured, i, row_.type);
      const double allowed =
          (taps + 2.0) * (taps + 1.0) * 0x1p-24 + 2.0 * rounding * std::fabs(expected);
      if (std::fabs(got - expected) <= allowed) continue;
      check.text = "!= reference";
      check.detail = fmt::format("y[{}] is {} instead of {}", i, got, expected);
      return check;
    }
    check.passed = true;
    check.text = "~ reference";
    return check;
  }

  double compulsory_bytes() const override { return row_.bytes(); }

  /// Two for each tap.
  double operations() const override {
    return 2.0 * static_cast<double>(row_.outputs()) *
           static_cast<double>(row_.kernel * row_.kernel);
  }

  std::string explanation() const override {
    DepthwiseConvKernel kernel = DepthwiseConvKernel::automatic;
    require_ok(depthwise_conv_kernel(options_, host_input(), &kernel));
    return fmt::format("kernel {}, {:.0f} multiply-adds and {:.2f} bytes an output",
                       to_string(kernel), static_cast<double>(row_.kernel * row_.kernel),
                       row_.bytes() / static_cast<double>(row_.outputs()));
  }

 private:
  Tensor image_of(const void* data, std::int64_t h, std::int64_t w) const {
    const std::int64_t nchw[4] = {row_.n, row_.c, h, w};
    const std::int64_t nhwc[4] = {row_.n, h, w, row_.c};
    return Tensor(const_cast<void*>(data), row_.type, 4, row_.layout == kNchw ? nchw : nhwc);
  }
  DepthwiseConvInput input_of(const void* x, const void* weight, const void* bias) const {
    const std::int64_t nchw[3] = {row_.c, row_.kernel, row_.kernel};
    const std::int64_t nhwc[3] = {row_.kernel, row_.kernel, row_.c};
    DepthwiseConvInput input;
    input.x = image_of(x, row_.h, row_.w);
    input.weight =
        Tensor(const_cast<void*>(weight), row_.type, 3, row_.layout == kNchw ? nchw : nhwc);
    input.bias = Tensor(static_cast<const float*>(bias), {row_.c});
    return input;
  }
  DepthwiseConvInput host_input() const {
    return input_of(x_.data(), weight_.data(), bias_.data());
  }
  DepthwiseConvInput device_input() const {
    return input_of(device_x_.data(), device_weight_.data(), device_bias_.data());
  }
  DepthwiseConvOutput output_of(void* y) const {
    DepthwiseConvOutput output;
    output.y = image_of(y, row_.oh(), row_.ow());
    return output;
  }

  Device& device_;
  const Row& row_;
  DepthwiseConvOptions options_;
  std::vector<std::byte> x_, weight_, bias_, reference_;
  Buffer device_x_, device_weight_, device_bias_, device_y_;
};

}  // namespace

std::vector<Workload> depthwise_conv_workloads() {
  std::vector<Workload> workloads;
  for (const Row& row : kRows) {
    Workload workload;
    workload.name = row.name;
    workload.description = fmt::format("{}, {} x {} kernel, stride {}", row.description, row.kernel,
                                       row.kernel, row.stride);
    workload.shape = fmt::format("{} x {} x {} x {}", row.n, row.c, row.h, row.w);
    workload.type = row.type;
    workload.device_bytes = static_cast<std::size_t>(row.bytes());
    workload.host_bytes = 2 * workload.device_bytes;
    workload.in_quick_run = row.in_quick_run;
    workload.build = [&row](Device& device) {
      return std::make_unique<DepthwiseCase>(device, row);
    };
    workloads.push_back(std::move(workload));
  }
  return workloads;
}

}  // namespace cudet::bench
