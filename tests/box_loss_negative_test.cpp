// What iou_loss() and box_regression_loss() refuse, with the sentences that they say.
#include <cudet/box_regression_loss.h>
#include <cudet/iou_loss.h>

#include "support/host_tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

HostTensor ones(std::vector<std::int64_t> shape) {
  std::size_t count = 1;
  for (const std::int64_t size : shape)
    count *= static_cast<std::size_t>(size);
  return HostTensor::of_reals(DataType::float32, std::move(shape), std::vector<float>(count, 1.0f));
}

/// Correct calls of both operations; each row of the tables spoils one argument.
struct Call {
  HostTensor first = ones({3, 4}), second = ones({3, 4}), weights = ones({3});
  HostTensor normaliser = ones({1}), integers = HostTensor(DataType::int32, {3, 4});
  HostTensor loss = HostTensor(DataType::float32, {1});
  HostTensor gradient1 = HostTensor(DataType::float32, {3, 4});
  HostTensor gradient2 = HostTensor(DataType::float32, {3, 4});

  IouLossOptions iou_options;
  IouLossInput iou_input = {first.const_tensor(), second.const_tensor(), weights.const_tensor(),
                            Tensor(), Tensor()};
  IouLossOutput iou_output = {loss.tensor(), gradient1.tensor(), gradient2.tensor()};

  BoxRegressionLossOptions regression_options;
  BoxRegressionLossInput regression_input = {first.const_tensor(), second.const_tensor(),
                                             weights.const_tensor(), Tensor(), Tensor()};
  BoxRegressionLossOutput regression_output = {loss.tensor(), gradient1.tensor()};

  bool outputs_are_untouched() const {
    return loss.is_all_poison() && gradient1.is_all_poison() && gradient2.is_all_poison();
  }
};

struct Row {
  const char* name;
  std::string message;
  std::function<void(Call&)> spoil;
  bool seen_by_workspace_size = false;
};

const std::vector<Row>& iou_rows() {
  static const std::vector<Row> rows = {
      {"Kind", "kind must be iou, giou, diou, ciou or eiou, got 1",
       [](Call& c) { c.iou_options.kind = IouKind::iof; }, true},
      {"KindTooLarge", "kind must be iou, giou, diou, ciou or eiou, got 6",
       [](Call& c) { c.iou_options.kind = static_cast<IouKind>(6); }, true},
      {"Format", "format must be xyxy, xywh or cxcywh, got 3",
       [](Call& c) { c.iou_options.format = static_cast<BoxFormat>(3); }, true},
      {"Eps", "eps must be in [1e-12, 1e+12], got 0", [](Call& c) { c.iou_options.eps = 0.0f; },
       true},
      {"AlphaEps", "alpha_eps must be in [1e-12, 1e+12], got nan",
       [](Call& c) { c.iou_options.alpha_eps = NAN; }, true},
      {"Reduction", "reduction must be none, sum, mean or normalised, got 4",
       [](Call& c) { c.iou_options.reduction = static_cast<LossReduction>(4); }, true},
      {"GradScale", "grad_scale must be finite, got inf",
       [](Call& c) { c.iou_options.grad_scale = INFINITY; }, true},
      {"Boxes1Absent", "boxes1 must be given as [n, 4], got none",
       [](Call& c) { c.iou_input.boxes1 = Tensor(); }, true},
      {"Boxes2Shape", "boxes2 must be [n, 4] = [3, 4], got [3]",
       [](Call& c) { c.iou_input.boxes2 = c.weights.const_tensor(); }, true},
      {"Boxes2Type", "boxes2 must be of type float32 or float16 or bfloat16, got int32",
       [](Call& c) { c.iou_input.boxes2 = c.integers.const_tensor(); }, true},
      {"Weights", "weights must be [n] = [3], got [1]",
       [](Call& c) { c.iou_input.weights = c.normaliser.const_tensor(); }},
      {"NormaliserAbsent", "normaliser must be given as [1], got none",
       [](Call& c) { c.iou_options.reduction = LossReduction::normalised; }},
      {"NormaliserUnused",
       "normaliser must be absent unless reduction is normalised, got one with reduction sum",
       [](Call& c) { c.iou_input.normaliser = c.normaliser.const_tensor(); }},
      {"GradOutput", "grad_output must be [1], got [3]",
       [](Call& c) { c.iou_input.grad_output = c.weights.const_tensor(); }},
      {"GradOutputOfEach", "grad_output must be [n] = [3], got [1]",
       [](Call& c) {
         c.iou_options.reduction = LossReduction::none;
         c.iou_input.grad_output = c.normaliser.const_tensor();
       }},
      {"NoOutput", "output must have at least one tensor, got none",
       [](Call& c) { c.iou_output = {}; }},
      {"Loss", "loss must be [n] = [3], got [1]",
       [](Call& c) { c.iou_options.reduction = LossReduction::none; }},
      {"Gradient", "grad_boxes2 must be writable, got a view of const data",
       [](Call& c) { c.iou_output.grad_boxes2 = c.gradient2.const_tensor(); }},
      {"GradientsOverlap", "grad_boxes2 must not overlap grad_boxes1, got memory shared by both",
       [](Call& c) { c.iou_output.grad_boxes2 = c.gradient1.tensor(); }},
      {"GradientOverlapsInput", "grad_boxes1 must not overlap boxes2, got memory shared by both",
       [](Call& c) { c.iou_input.boxes2 = c.gradient1.const_tensor(); }},
  };
  return rows;
}

const std::vector<Row>& regression_rows() {
  static const std::vector<Row> rows = {
      {"Kind", "kind must be l2 or smooth_l1, got 2",
       [](Call& c) { c.regression_options.kind = static_cast<BoxRegressionKind>(2); }, true},
      {"Beta", "beta must be finite and 0 or more, got -1",
       [](Call& c) { c.regression_options.beta = -1.0f; }, true},
      {"Reduction", "reduction must be none, sum, mean or normalised, got -1",
       [](Call& c) { c.regression_options.reduction = static_cast<LossReduction>(-1); }, true},
      {"GradScale", "grad_scale must be finite, got nan",
       [](Call& c) { c.regression_options.grad_scale = NAN; }, true},
      {"Predictions", "predictions must be [n, k], got [3]",
       [](Call& c) { c.regression_input.predictions = c.weights.const_tensor(); }, true},
      {"Targets", "targets must be given as [n, k] = [3, 4], got none",
       [](Call& c) { c.regression_input.targets = Tensor(); }, true},
      {"Weights", "weights must be [n] = [3], got [1]",
       [](Call& c) { c.regression_input.weights = c.normaliser.const_tensor(); }},
      {"NormaliserAbsent", "normaliser must be given as [1], got none",
       [](Call& c) { c.regression_options.reduction = LossReduction::normalised; }},
      {"GradOutput", "grad_output must be [1], got [3]",
       [](Call& c) { c.regression_input.grad_output = c.weights.const_tensor(); }},
      {"NoOutput", "output must have at least one tensor, got none",
       [](Call& c) { c.regression_output = {}; }},
      {"Loss", "loss must be [n, k] = [3, 4], got [1]",
       [](Call& c) { c.regression_options.reduction = LossReduction::none; }},
      {"Gradient", "grad_predictions must be of type float32 or float16 or bfloat16, got int32",
       [](Call& c) { c.regression_output.grad_predictions = c.integers.tensor(); }},
      {"Overlap", "grad_predictions must not overlap targets, got memory shared by both",
       [](Call& c) { c.regression_input.targets = c.gradient1.const_tensor(); }},
  };
  return rows;
}

void expect_refused(const Status& status, const std::string& message) {
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_EQ(status.message(), message);
}

TEST(IouLossArguments, AreRefused) {
  for (const Row& row : iou_rows()) {
    SCOPED_TRACE(row.name);
    Call call;
    row.spoil(call);
    const std::string message = "iou_loss: " + row.message;
    for (const Execution& execution : {Execution::cpu(), Execution::cuda(nullptr)})
      expect_refused(iou_loss(call.iou_options, call.iou_input, call.iou_output, execution),
                     message);
    expect_refused(reference::iou_loss(call.iou_options, call.iou_input, call.iou_output), message);
    EXPECT_TRUE(call.outputs_are_untouched());
    if (!row.seen_by_workspace_size) continue;
    std::size_t bytes = 77;
    expect_refused(iou_loss_workspace_size(call.iou_options, call.iou_input, &bytes), message);
    EXPECT_EQ(bytes, 77u);
  }
}

TEST(BoxRegressionLossArguments, AreRefused) {
  for (const Row& row : regression_rows()) {
    SCOPED_TRACE(row.name);
    Call call;
    row.spoil(call);
    const BoxRegressionLossOptions& options = call.regression_options;
    const std::string message = "box_regression_loss: " + row.message;
    for (const Execution& execution : {Execution::cpu(), Execution::cuda(nullptr)})
      expect_refused(
          box_regression_loss(options, call.regression_input, call.regression_output, execution),
          message);
    expect_refused(
        reference::box_regression_loss(options, call.regression_input, call.regression_output),
        message);
    EXPECT_TRUE(call.outputs_are_untouched());
    if (!row.seen_by_workspace_size) continue;
    std::size_t bytes = 77;
    expect_refused(box_regression_loss_workspace_size(options, call.regression_input, &bytes),
                   message);
    EXPECT_EQ(bytes, 77u);
  }
}

TEST(IouLossWorkspace, GrowsWithTheNumberOfLosses) {
  std::size_t last = 0;
  for (const std::int64_t n : {0, 1, 256, 257, 100000, 10000000}) {
    const Tensor boxes(static_cast<float*>(nullptr), {n, 4});
    std::size_t bytes = 0;
    ASSERT_TRUE(iou_loss_workspace_size({}, {boxes, boxes, {}, {}, {}}, &bytes).ok());
    EXPECT_GE(bytes, last);
    EXPECT_LE(bytes, static_cast<std::size_t>(n / 64 + 1024));
    last = bytes;
    ASSERT_TRUE(box_regression_loss_workspace_size({}, {boxes, boxes, {}, {}, {}}, &bytes).ok());
    EXPECT_LE(bytes, static_cast<std::size_t>(n / 16 + 1024));
  }
  const Tensor boxes(static_cast<float*>(nullptr), {1, 4});
  expect_refused(iou_loss_workspace_size({}, {boxes, boxes, {}, {}, {}}, nullptr),
                 "iou_loss: bytes must not be null, got a null pointer");
  expect_refused(box_regression_loss_workspace_size({}, {boxes, boxes, {}, {}, {}}, nullptr),
                 "box_regression_loss: bytes must not be null, got a null pointer");
}

TEST(LossNames, AreSpelledAsInTheEnumerations) {
  EXPECT_STREQ(to_string(LossReduction::normalised), "normalised");
  EXPECT_STREQ(to_string(static_cast<LossReduction>(9)), "unknown");
  EXPECT_STREQ(to_string(BoxRegressionKind::l2), "l2");
  EXPECT_STREQ(to_string(BoxRegressionKind::smooth_l1), "smooth_l1");
  EXPECT_STREQ(to_string(static_cast<BoxRegressionKind>(9)), "unknown");
}

}  // namespace
}  // namespace cudet::test
