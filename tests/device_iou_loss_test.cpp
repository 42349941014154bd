// iou_loss() on a device against the reference.
#include <cudet/iou_loss.h>

#include "support/device.h"
#include "support/iou_loss_case.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

/// A problem on the device, with its outputs.
class DeviceIouLoss {
 public:
  explicit DeviceIouLoss(const IouLossProblem& problem, DataType gradient_type = DataType::float32,
                         std::size_t offset = 0)
      : options_(problem.options),
        boxes1_(problem.boxes1, offset),
        boxes2_(problem.boxes2, offset),
        weights_(problem.weights, offset),
        normaliser_(problem.normaliser, offset),
        grad_output_(problem.grad_output, offset) {
    const IouLossResult result = make_iou_loss_result(problem, gradient_type);
    loss_ = DeviceTensor(result.loss, offset);
    grad_boxes1_ = DeviceTensor(result.grad_boxes1, offset);
    grad_boxes2_ = DeviceTensor(result.grad_boxes2, offset);
    std::size_t bytes = 0;
    const Status status = iou_loss_workspace_size(options_, input(), &bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    workspace_ = std::make_unique<Workspace>(bytes);
  }

  IouLossInput input() const {
    return {boxes1_.const_tensor(), boxes2_.const_tensor(), weights_.const_tensor(),
            normaliser_.const_tensor(), grad_output_.const_tensor()};
  }
  Status enqueue(cudaStream_t stream, bool loss = true, bool grad1 = true, bool grad2 = true) {
    const IouLossOutput output = {loss ? loss_.tensor() : Tensor(),
                                  grad1 ? grad_boxes1_.tensor() : Tensor(),
                                  grad2 ? grad_boxes2_.tensor() : Tensor()};
    return iou_loss(options_, input(), output,
                    Execution::cuda(stream, workspace_->data(), workspace_->size()));
  }
  void poison() {
    for (DeviceTensor* output : {&loss_, &grad_boxes1_, &grad_boxes2_})
      output->poison();
  }
  IouLossResult download() const {
    workspace_->check_guards();
    return {loss_.download(), grad_boxes1_.download(), grad_boxes2_.download()};
  }

 private:
  IouLossOptions options_;
  DeviceTensor boxes1_, boxes2_, weights_, normaliser_, grad_output_;
  DeviceTensor loss_, grad_boxes1_, grad_boxes2_;
  std::unique_ptr<Workspace> workspace_;
};

IouLossResult device_iou_loss(const IouLossProblem& problem,
                              DataType gradient_type = DataType::float32, std::size_t offset = 0,
                              StreamMode mode = StreamMode::default_stream) {
  DeviceIouLoss on_device(problem, gradient_type, offset);
  IouLossResult result;
  run_in_mode(
      mode, [&](cudaStream_t stream) { return on_device.enqueue(stream); },
      [&] { on_device.poison(); }, [&] { result = on_device.download(); });
  return result;
}

void expect_same(const IouLossResult& got, const IouLossResult& expected) {
  EXPECT_TRUE(same_bits(got.loss, expected.loss));
  EXPECT_TRUE(same_bits(got.grad_boxes1, expected.grad_boxes1));
  EXPECT_TRUE(same_bits(got.grad_boxes2, expected.grad_boxes2));
}

class DeviceIouLossOracle : public testing::TestWithParam<std::string> {};

TEST_P(DeviceIouLossOracle, Agrees) {
  const OracleCase oracle = load_case("iou_loss", GetParam());
  IouLossProblem problem = oracle_iou_loss_problem(oracle);
  expect_oracle(oracle, device_iou_loss(problem));
  for (const LossReduction reduction : {LossReduction::sum, LossReduction::mean}) {
    problem.grad_output = HostTensor();
    problem.options.reduction = reduction;
    const std::string name = reduction == LossReduction::sum ? "loss_sum" : "loss_mean";
    const double expected = oracle.output(name).values<double>()[0];
    if (std::isnan(expected)) continue;
    const float got = device_iou_loss(problem).loss.real(0);
    EXPECT_TRUE(is_near(double{got}, expected, oracle.tolerance(name))) << got << " " << expected;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, DeviceIouLossOracle, testing::ValuesIn(list_cases("iou_loss")),
                         case_test_name);

TEST(DeviceIouLoss, AgreesWithTheReference) {
  Random random(401);
  SCOPED_TRACE(random.trace());
  int number = 0;
  for (const IouKind kind : kIouLossKinds) {
    for (const LossReduction reduction : kLossReductions) {
      for (const std::int64_t n : {0, 1, 31, 256, 257, 1000}) {
        IouLossOptions options;
        options.kind = kind;
        options.reduction = reduction;
        options.grad_scale = number % 2 == 0 ? 1.0f : 0.5f;
        const auto distribution = static_cast<BoxDistribution>(number++ % kBoxDistributions);
        const IouLossProblem problem = random_iou_loss_problem(random, n, distribution, options);
        expect_near(problem, device_iou_loss(problem), reference_iou_loss(problem));
      }
    }
  }
}

TEST(DeviceIouLoss, GradientsAreCentralDifferences) {
  Random random(402);
  SCOPED_TRACE(random.trace());
  constexpr double kStep = 1e-5;
  int checked = 0;
  while (checked < 10000) {
    IouLossOptions options;
    options.kind = kIouLossKinds[checked % 5];
    options.reduction = LossReduction::none;
    IouLossProblem problem =
        random_iou_loss_problem(random, 500, BoxDistribution::clustered, options);
    problem.weights = problem.grad_output = HostTensor();
    const IouLossResult result = device_iou_loss(problem);
    for (std::size_t i = 0; i < 500; ++i) {
      PairNumbers corners = {};
      for (std::size_t k = 0; k < 4; ++k) {
        corners[k] = double{problem.boxes1.real(4 * i + k)};
        corners[4 + k] = double{problem.boxes2.real(4 * i + k)};
      }
      if (is_near_kink(corners)) continue;
      ++checked;
      const auto eps = static_cast<double>(options.eps);
      const double alpha = ciou_alpha(corners, eps, static_cast<double>(options.alpha_eps));
      const std::array<double, 2> scale = gradient_scale(problem, i);
      for (std::size_t k = 0; k < 8; ++k) {
        PairNumbers low = corners, high = corners;
        low[k] -= kStep;
        high[k] += kStep;
        const double expected = (iou_loss_value(options.kind, high, eps, alpha) -
                                 iou_loss_value(options.kind, low, eps, alpha)) /
                                (2 * kStep);
        const HostTensor& gradients = k < 4 ? result.grad_boxes1 : result.grad_boxes2;
        const double got = double{gradients.real(4 * i + k % 4)};
        ASSERT_LE(std::fabs(got - expected),
                  1e-8 + 1e-6 * scale[k % 2] + 1e-4 * std::fabs(expected))
            << to_string(options.kind) << " " << i << " " << k;
      }
    }
  }
}

TEST(DeviceIouLoss, EveryTypeFormatAndOffset) {
  Random random(403);
  SCOPED_TRACE(random.trace());
  std::size_t number = 0;
  for (const IouKind kind : kIouLossKinds) {
    for (const BoxFormat format : {BoxFormat::xyxy, BoxFormat::xywh, BoxFormat::cxcywh}) {
      for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16}) {
        IouLossOptions options;
        options.kind = kind;
        options.format = format;
        options.legacy_offset = number % 2 == 1;
        options.reduction = kLossReductions[number++ % 4];
        const IouLossProblem problem =
            random_iou_loss_problem(random, 77, BoxDistribution::clustered, options, type);
        const IouLossResult expected = device_iou_loss(problem);
        expect_near(problem, expected, reference_iou_loss(problem));
        for (const std::size_t offset : {4u, 8u, 12u})
          expect_same(device_iou_loss(problem, DataType::float32, offset), expected);
        for (const DataType gradient_type : {DataType::float16, DataType::bfloat16}) {
          const IouLossResult rounded = device_iou_loss(problem, gradient_type);
          EXPECT_TRUE(same_bits(rounded.loss, expected.loss));
          EXPECT_TRUE(same_bits(
              rounded.grad_boxes1,
              HostTensor::of_reals(gradient_type, {77, 4}, expected.grad_boxes1.reals())));
          EXPECT_TRUE(same_bits(
              rounded.grad_boxes2,
              HostTensor::of_reals(gradient_type, {77, 4}, expected.grad_boxes2.reals())));
        }
      }
    }
  }
}

TEST(DeviceIouLoss, OutputsAreIndependent) {
  Random random(404);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouLossKinds) {
    for (const LossReduction reduction : kLossReductions) {
      IouLossOptions options;
      options.kind = kind;
      options.reduction = reduction;
      const IouLossProblem problem =
          random_iou_loss_problem(random, 300, BoxDistribution::special, options);
      const IouLossResult expected = device_iou_loss(problem);
      for (int wanted = 1; wanted < 8; ++wanted) {
        DeviceIouLoss on_device(problem);
        const Status status =
            on_device.enqueue(nullptr, (wanted & 1) != 0, (wanted & 2) != 0, (wanted & 4) != 0);
        ASSERT_TRUE(status.ok()) << status.message();
        const IouLossResult got = on_device.download();
        const auto check = [&](bool present, const HostTensor& tensor, const HostTensor& full) {
          if (present) {
            EXPECT_TRUE(same_bits(tensor, full));
          } else {
            EXPECT_TRUE(tensor.is_all_poison());
          }
        };
        check((wanted & 1) != 0, got.loss, expected.loss);
        check((wanted & 2) != 0, got.grad_boxes1, expected.grad_boxes1);
        check((wanted & 4) != 0, got.grad_boxes2, expected.grad_boxes2);
      }
    }
  }
}

TEST(DeviceIouLoss, RepeatsItsBitsOnEveryStream) {
  Random random(405);
  SCOPED_TRACE(random.trace());
  for (const LossReduction reduction : kLossReductions) {
    IouLossOptions options;
    options.kind = IouKind::ciou;
    options.reduction = reduction;
    const IouLossProblem problem =
        random_iou_loss_problem(random, 3000, BoxDistribution::clustered, options);
    const IouLossResult expected = device_iou_loss(problem);
    for (const StreamMode mode : kStreamModes)
      expect_same(device_iou_loss(problem, DataType::float32, 0, mode), expected);
  }
}

TEST(DeviceIouLoss, IsFiniteForExtremeBoxes) {
  for (const IouKind kind : kIouLossKinds) {
    for (const float eps : {1e-12f, 1e-7f, 1.0f}) {
      IouLossProblem problem = extreme_iou_loss_problem(kind);
      problem.options.eps = problem.options.alpha_eps = eps;
      const IouLossResult result = device_iou_loss(problem);
      for (const HostTensor* values : {&result.loss, &result.grad_boxes1, &result.grad_boxes2})
        for (std::size_t k = 0; k < values->count(); ++k)
          ASSERT_TRUE(std::isfinite(values->real(k))) << to_string(kind) << " " << k;
      expect_near(problem, result, reference_iou_loss(problem));
    }
  }
}

}  // namespace
}  // namespace cudet::test
