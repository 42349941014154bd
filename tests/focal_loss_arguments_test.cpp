// What the focal losses refuse: one bad argument a row, with the code and the sentence that it
// gets, and nothing written. And how much workspace they ask for.
#include "support/focal_problem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

HostTensor reals(std::vector<std::int64_t> shape, std::size_t count) {
  return HostTensor::of_reals(DataType::float32, std::move(shape), std::vector<float>(count, 0.5f));
}
HostTensor integers(std::vector<std::int64_t> shape, std::size_t count) {
  return HostTensor::of_integers(DataType::int32, std::move(shape),
                                 std::vector<std::int64_t>(count, 0));
}

Tensor retyped(const Tensor& tensor, DataType type) {
  return Tensor(tensor.data(), type, tensor.rank(), tensor.shape(), nullptr, tensor.read_only());
}
Tensor reshaped(const Tensor& tensor, const std::vector<std::int64_t>& shape) {
  return Tensor(tensor.data(), tensor.type(), static_cast<int>(shape.size()), shape.data(), nullptr,
                tensor.read_only());
}
Tensor moved(const Tensor& tensor, std::uintptr_t address) {
  return Tensor(reinterpret_cast<void*>(address), tensor.type(), tensor.rank(), tensor.shape(),
                nullptr, tensor.read_only());
}
Tensor const_view(const Tensor& tensor) {
  return Tensor(tensor.data(), tensor.type(), tensor.rank(), tensor.shape(), nullptr, true);
}
Tensor transposed(const Tensor& tensor) {
  const std::int64_t strides[2] = {1, tensor.size(0)};
  return Tensor(tensor.data(), tensor.type(), 2, tensor.shape(), strides, tensor.read_only());
}

/// A valid call on two levels, whose arguments a row of the table spoils.
struct SigmoidCall {
  HostTensor logits0 = reals({4, 3}, 12), logits1 = reals({2, 3}, 6);
  HostTensor targets0 = integers({4}, 4), targets1 = integers({2}, 2);
  HostTensor weights0 = reals({4}, 4), weights1 = reals({2}, 2);
  HostTensor alpha = reals({3}, 3), normaliser = reals({1}, 1), upstream = reals({1}, 1);
  HostTensor dense0 = reals({4, 3}, 12), dense1 = reals({2, 3}, 6);
  HostTensor loss = HostTensor(DataType::float32, {1});
  HostTensor gradient0 = HostTensor(DataType::float32, {4, 3});
  HostTensor gradient1 = HostTensor(DataType::float32, {2, 3});
  HostTensor positives = HostTensor(DataType::int64, {1});
  SigmoidFocalLossOptions options;
  SigmoidFocalLossInput input;
  SigmoidFocalLossOutput output;

  SigmoidCall() {
    options.reduction = LossReduction::normalised;
    input.levels = 2;
    input.logits[0] = logits0.const_tensor();
    input.logits[1] = logits1.const_tensor();
    input.targets[0] = targets0.const_tensor();
    input.targets[1] = targets1.const_tensor();
    input.row_weights[0] = weights0.const_tensor();
    input.row_weights[1] = weights1.const_tensor();
    input.class_alpha = alpha.const_tensor();
    input.normaliser = normaliser.const_tensor();
    input.grad_output[0] = upstream.const_tensor();
    output.loss[0] = loss.tensor();
    output.grad_logits[0] = gradient0.tensor();
    output.grad_logits[1] = gradient1.tensor();
    output.positives = positives.tensor();
  }
  void to_single_level() {
    input.levels = 1;
    output.grad_logits[1] = Tensor();
  }
  void to_elements() {
    options.reduction = LossReduction::none;
    input.normaliser = Tensor();
    input.grad_output[0] = Tensor();
    output.loss[0] = Tensor();
  }
  bool untouched() const {
    return loss.is_all_poison() && gradient0.is_all_poison() && gradient1.is_all_poison() &&
           positives.is_all_poison();
  }
};

struct SigmoidRow {
  std::string name;
  std::function<void(SigmoidCall&)> spoil;
  std::string message;
  StatusCode code = StatusCode::invalid_argument;
};

std::vector<SigmoidRow> sigmoid_rows() {
  using C = SigmoidCall;
  using S = std::vector<std::int64_t>;
  const std::string op = "sigmoid_focal_loss: ";
  const std::string kinds = "float32 or float16 or bfloat16";
  return {
      {"kind", [](C& c) { c.options.kind = static_cast<FocalKind>(3); },
       op + "kind must be focal, quality or varifocal, got 3"},
      {"target_kind", [](C& c) { c.options.targets = static_cast<FocalTargets>(-1); },
       op + "options.targets must be class_index, binary or dense, got -1"},
      {"layout", [](C& c) { c.options.layout = static_cast<FocalLayout>(2); },
       op + "layout must be rows or head, got 2"},
      {"reduction", [](C& c) { c.options.reduction = static_cast<LossReduction>(4); },
       op + "reduction must be none, sum, mean or normalised, got 4"},
      {"alpha_large", [](C& c) { c.options.alpha = 1.5f; },
       op + "alpha must be in [0, 1] or -1 (off), got 1.5"},
      {"alpha_negative", [](C& c) { c.options.alpha = -0.5f; },
       op + "alpha must be in [0, 1] or -1 (off), got -0.5"},
      {"alpha_nan", [](C& c) { c.options.alpha = std::nanf(""); },
       op + "alpha must be in [0, 1] or -1 (off), got nan"},
      {"gamma_negative", [](C& c) { c.options.gamma = -1.0f; },
       op + "gamma must be finite and 0 or more, got -1"},
      {"gamma_infinite", [](C& c) { c.options.gamma = INFINITY; },
       op + "gamma must be finite and 0 or more, got inf"},
      {"gamma_quality",
       [](C& c) {
         c.options.kind = FocalKind::quality;
         c.options.gamma = 0.5f;
       },
       op + "gamma must be 0, or 1 or more, for quality, got 0.5"},
      {"smoothing", [](C& c) { c.options.label_smoothing = 1.5f; },
       op + "label_smoothing must be in [0, 1], got 1.5"},
      {"smoothing_varifocal",
       [](C& c) {
         c.options.kind = FocalKind::varifocal;
         c.options.label_smoothing = 0.5f;
       },
       op + "label_smoothing must be 0 for varifocal, got 0.5"},
      {"grad_scale", [](C& c) { c.options.grad_scale = std::nanf(""); },
       op + "grad_scale must be finite, got nan"},
      {"levels_none", [](C& c) { c.input.levels = 0; }, op + "levels must be in [1, 8], got 0"},
      {"levels_many", [](C& c) { c.input.levels = 9; }, op + "levels must be in [1, 8], got 9"},

      {"logits_absent", [](C& c) { c.input.logits[0] = Tensor(); },
       op + "logits[0] must be given as [rows, C], got none"},
      {"logits_absent_single",
       [](C& c) {
         c.to_single_level();
         c.input.logits[0] = Tensor();
       },
       op + "logits must be given as [rows, C], got none"},
      {"logits_rank", [](C& c) { c.input.logits[0] = reshaped(c.input.logits[0], S{12}); },
       op + "logits[0] must be [rows, C], got [12]"},
      {"logits_rank_dense",
       [](C& c) {
         c.options.targets = FocalTargets::dense;
         c.input.logits[0] = reshaped(c.input.logits[0], S{2, 1, 2, 3});
       },
       op + "logits[0] must be [rows, C], got [2, 1, 2, 3]"},
      {"logits_type", [](C& c) { c.input.logits[0] = retyped(c.input.logits[0], DataType::int32); },
       op + "logits[0] must be of type " + kinds + ", got int32"},
      {"logits_other_type",
       [](C& c) { c.input.logits[1] = retyped(c.input.logits[1], DataType::float16); },
       op + "logits[1] must be of type float32, got float16"},
      {"logits_null", [](C& c) { c.input.logits[1] = moved(c.input.logits[1], 0); },
       op + "logits[1] must have data for its shape [2, 3], got a null pointer"},
      {"logits_alignment", [](C& c) { c.input.logits[0] = moved(c.input.logits[0], 0x1002); },
       op + "logits[0] must be aligned to 4 bytes, got address 0x1002"},
      {"logits_strides", [](C& c) { c.input.logits[0] = transposed(c.input.logits[0]); },
       op + "logits[0] must be contiguous, got strides [1, 4]", StatusCode::unsupported},
      {"logits_classes",
       [](C& c) {
         c.input.logits[1] = reshaped(c.input.logits[1], S{2, 2});
       },
       op + "logits[1] must have 3 classes as logits[0] has, got 2"},
      {"head_rank", [](C& c) { c.options.layout = FocalLayout::head; },
       op + "logits[0] must be [batch, A C, H, W], got [4, 3]"},
      {"head_anchors",
       [](C& c) {
         c.to_single_level();
         c.options.layout = FocalLayout::head;
         c.input.logits[0] = reshaped(c.input.logits[0], S{1, 3, 2, 2});
         c.input.targets[0] = reshaped(c.input.targets[0], S{1, 2, 2, 2});
         c.input.row_weights[0] = Tensor();
       },
       op + "the anchors of targets must divide the 3 channels of logits, got 2"},

      {"targets_absent", [](C& c) { c.input.targets[1] = Tensor(); },
       op + "targets[1] must be given as [rows] = [2], got none"},
      {"targets_shape",
       [](C& c) {
         c.input.targets[0] = reshaped(c.input.targets[0], S{2, 2});
       },
       op + "targets[0] must be [rows] = [4], got [2, 2]"},
      {"targets_type",
       [](C& c) { c.input.targets[0] = retyped(c.input.targets[0], DataType::float32); },
       op + "targets[0] must be of type int32 or int64, got float32"},
      {"targets_binary",
       [](C& c) {
         c.options.targets = FocalTargets::binary;
         c.input.targets[0] = c.dense0.const_tensor();
       },
       op + "targets[0] must be of type int32 or int64 or uint8, got float32"},
      {"targets_dense", [](C& c) { c.options.targets = FocalTargets::dense; },
       op + "targets[0] must be [rows, C] = [4, 3], got [4]"},

      {"row_weights_missing", [](C& c) { c.input.row_weights[1] = Tensor(); },
       op + "row_weights[1] must be given for all levels or none, got none"},
      {"row_weights_extra", [](C& c) { c.input.row_weights[0] = Tensor(); },
       op + "row_weights[1] must be given for all levels or none, got a tensor"},
      {"row_weights_type",
       [](C& c) { c.input.row_weights[0] = retyped(c.input.row_weights[0], DataType::float16); },
       op + "row_weights[0] must be of type float32, got float16"},
      {"class_alpha",
       [](C& c) {
         c.input.class_alpha = reshaped(c.input.class_alpha, S{1, 3});
       },
       op + "class_alpha must be [C] = [3], got [1, 3]"},
      {"normaliser_absent", [](C& c) { c.input.normaliser = Tensor(); },
       op + "normaliser must be given as [1], got none"},
      {"normaliser_unused", [](C& c) { c.options.reduction = LossReduction::mean; },
       op + "normaliser must be absent where the reduction is mean, got a tensor"},
      {"grad_output",
       [](C& c) {
         c.input.grad_output[0] = reshaped(c.input.grad_output[0], S{1, 1});
       },
       op + "grad_output must be [1], got [1, 1]"},
      {"grad_output_elements",
       [](C& c) {
         c.to_elements();
         c.input.grad_output[0] = c.dense0.const_tensor();
       },
       op + "grad_output[1] must be given for all levels or none, got none"},

      {"no_output", [](C& c) { c.output = SigmoidFocalLossOutput(); },
       op + "output must have loss, grad_logits or positives, got none"},
      {"loss_shape", [](C& c) { c.output.loss[0] = reshaped(c.output.loss[0], S{}); },
       op + "output.loss must be [1], got []"},
      {"loss_type", [](C& c) { c.output.loss[0] = retyped(c.output.loss[0], DataType::int32); },
       op + "output.loss must be of type float32, got int32"},
      {"loss_read_only", [](C& c) { c.output.loss[0] = const_view(c.output.loss[0]); },
       op + "output.loss must be writable, got a view of const data"},
      {"loss_of_elements",
       [](C& c) {
         c.to_elements();
         c.output.loss[0] = c.dense0.tensor();
       },
       op + "output.loss[1] must be given for all levels or none, got none"},
      {"gradient_missing", [](C& c) { c.output.grad_logits[1] = Tensor(); },
       op + "output.grad_logits[1] must be given for all levels or none, got none"},
      {"gradient_type",
       [](C& c) { c.output.grad_logits[0] = retyped(c.output.grad_logits[0], DataType::bfloat16); },
       op + "output.grad_logits[0] must be of type float32, got bfloat16"},
      {"gradient_shape",
       [](C& c) {
         c.output.grad_logits[0] = reshaped(c.output.grad_logits[0], S{3, 4});
       },
       op + "output.grad_logits[0] must be [rows, C] = [4, 3], got [3, 4]"},
      {"positives_type",
       [](C& c) { c.output.positives = retyped(c.output.positives, DataType::float32); },
       op + "output.positives must be of type int32 or int64, got float32"},
      {"overlap_input", [](C& c) { c.output.grad_logits[1] = c.logits1.tensor(); },
       op + "output.grad_logits[1] must not overlap logits[1], got memory shared by both"},
      {"overlap_output",
       [](C& c) {
         c.output.grad_logits[1] = reshaped(c.output.grad_logits[0], S{2, 3});
       },
       op + "output.grad_logits[1] must not overlap output.grad_logits[0], got memory shared by "
            "both"},
  };
}

TEST(FocalLossArguments, SigmoidIsValidUnspoilt) {
  SigmoidCall call;
  const Status status = sigmoid_focal_loss(call.options, call.input, call.output, Execution::cpu());
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(FocalLossArguments, SigmoidRefuses) {
  for (const SigmoidRow& row : sigmoid_rows()) {
    SigmoidCall call;
    row.spoil(call);
    for (const Execution& execution : {Execution::cpu(), Execution::cuda(nullptr)}) {
      const Status status = sigmoid_focal_loss(call.options, call.input, call.output, execution);
      EXPECT_EQ(status.code(), row.code) << row.name;
      EXPECT_EQ(std::string(status.message()), row.message) << row.name;
    }
    const Status reference = reference::sigmoid_focal_loss(call.options, call.input, call.output);
    EXPECT_EQ(std::string(reference.message()), row.message) << row.name;
    EXPECT_TRUE(call.untouched()) << row.name;
  }
}

TEST(FocalLossArguments, Execution) {
  SigmoidCall call;
  EXPECT_STREQ(
      sigmoid_focal_loss(call.options, call.input, call.output, Execution::cpu(-1)).message(),
      "sigmoid_focal_loss: threads must be 0 (all) or more, got -1");
  std::size_t bytes = 0;
  ASSERT_TRUE(sigmoid_focal_loss_workspace_size(call.options, call.input, &bytes).ok());
  const Status small = sigmoid_focal_loss(call.options, call.input, call.output,
                                          Execution::cuda(nullptr, &bytes, bytes - 1));
  EXPECT_EQ(std::string(small.message()), "sigmoid_focal_loss: workspace must have " +
                                              std::to_string(bytes) + " bytes or more, got " +
                                              std::to_string(bytes - 1));
  EXPECT_STREQ(sigmoid_focal_loss_workspace_size(call.options, call.input, nullptr).message(),
               "sigmoid_focal_loss: bytes must point to the result, got a null pointer");
  EXPECT_TRUE(call.untouched());
}

TEST(FocalLossArguments, TooManyElementsForADevice) {
  SigmoidFocalLossInput input;
  const std::int64_t rows = std::int64_t{1} << 25;
  input.logits[0] = Tensor(static_cast<const float*>(nullptr), {rows, 64});
  input.targets[0] = Tensor(static_cast<const std::int32_t*>(nullptr), {rows});
  std::size_t bytes = 0;
  const Status status = sigmoid_focal_loss_workspace_size({}, input, &bytes);
  EXPECT_EQ(status.code(), StatusCode::unsupported);
  EXPECT_STREQ(status.message(),
               "sigmoid_focal_loss: logits of a level must have fewer than 2^31 elements on a "
               "device, got 2147483648");
}

TEST(FocalLossArguments, WorkspaceGrowsWithEverySize) {
  std::size_t last = 0;
  for (std::int64_t rows = 0; rows < 3000000; rows = 2 * rows + 1) {
    SigmoidFocalLossInput input;
    input.logits[0] = Tensor(static_cast<const float*>(nullptr), {rows, 80});
    input.targets[0] = Tensor(static_cast<const std::int32_t*>(nullptr), {rows});
    std::size_t bytes = 0;
    ASSERT_TRUE(sigmoid_focal_loss_workspace_size({}, input, &bytes).ok());
    EXPECT_GE(bytes, last);
    EXPECT_LE(bytes, static_cast<std::size_t>(rows * 80 / 1024 * 8 + 4096));
    last = bytes;
  }
  last = 0;
  for (std::int64_t rows = 0; rows < 3000000; rows = 2 * rows + 1) {
    SoftmaxFocalLossInput input;
    input.logits = Tensor(static_cast<const float*>(nullptr), {rows, 81});
    input.targets = Tensor(static_cast<const std::int32_t*>(nullptr), {rows});
    std::size_t bytes = 0;
    ASSERT_TRUE(softmax_focal_loss_workspace_size({}, input, &bytes).ok());
    EXPECT_GE(bytes, last);
    EXPECT_LE(bytes, static_cast<std::size_t>(rows * 8 + 4096));
    last = bytes;
  }
}

/// A valid call of the softmax losses.
struct RowsCall {
  HostTensor logits = reals({4, 3}, 12), targets = integers({4}, 4), places = reals({4}, 4);
  HostTensor weights = reals({4}, 4), classes = reals({3}, 3), normaliser = reals({1}, 1);
  HostTensor loss = HostTensor(DataType::float32, {1});
  HostTensor gradient = HostTensor(DataType::float32, {4, 3});
  HostTensor valid = HostTensor(DataType::int64, {1});
  SoftmaxFocalLossOptions options;
  SoftmaxFocalLossInput input;
  SoftmaxFocalLossOutput output;
  DistributionFocalLossOptions distribution_options;
  DistributionFocalLossInput distribution_input;
  DistributionFocalLossOutput distribution_output;

  RowsCall() {
    input.logits = logits.const_tensor();
    input.targets = targets.const_tensor();
    input.class_weights = classes.const_tensor();
    input.row_weights = weights.const_tensor();
    output = {loss.tensor(), gradient.tensor(), valid.tensor()};
    distribution_input.logits = logits.const_tensor();
    distribution_input.targets = places.const_tensor();
    distribution_output = {loss.tensor(), gradient.tensor()};
  }
  bool untouched() const {
    return loss.is_all_poison() && gradient.is_all_poison() && valid.is_all_poison();
  }
};

struct RowsRow {
  std::string name;
  std::function<void(RowsCall&)> spoil;
  std::string message;
};

TEST(FocalLossArguments, SoftmaxRefuses) {
  using C = RowsCall;
  using S = std::vector<std::int64_t>;
  const std::string op = "softmax_focal_loss: ";
  const std::vector<RowsRow> rows = {
      {"gamma", [](C& c) { c.options.gamma = std::nanf(""); },
       op + "gamma must be finite and 0 or more, got nan"},
      {"smoothing", [](C& c) { c.options.label_smoothing = -0.25f; },
       op + "label_smoothing must be in [0, 1], got -0.25"},
      {"reduction", [](C& c) { c.options.reduction = static_cast<LossReduction>(-1); },
       op + "reduction must be none, sum, mean or normalised, got -1"},
      {"grad_scale", [](C& c) { c.options.grad_scale = INFINITY; },
       op + "grad_scale must be finite, got inf"},
      {"logits",
       [](C& c) {
         c.input.logits = reshaped(c.input.logits, S{4, 3, 1});
       },
       op + "logits must be [rows, C], got [4, 3, 1]"},
      {"no_classes",
       [](C& c) {
         c.input.logits = reshaped(c.input.logits, S{4, 0});
       },
       op + "logits must have 1 class or more, got 0"},
      {"targets", [](C& c) { c.input.targets = retyped(c.input.targets, DataType::uint8); },
       op + "targets must be of type int32 or int64, got uint8"},
      {"class_weights", [](C& c) { c.input.class_weights = reshaped(c.input.class_weights, S{2}); },
       op + "class_weights must be [C] = [3], got [2]"},
      {"row_weights", [](C& c) { c.input.row_weights = reshaped(c.input.row_weights, S{3}); },
       op + "row_weights must be [rows] = [4], got [3]"},
      {"normaliser", [](C& c) { c.options.reduction = LossReduction::normalised; },
       op + "normaliser must be given as [1], got none"},
      {"grad_output", [](C& c) { c.input.grad_output = c.weights.const_tensor(); },
       op + "grad_output must be [1], got [4]"},
      {"loss", [](C& c) { c.options.reduction = LossReduction::none; },
       op + "output.loss must be [rows] = [4], got [1]"},
      {"gradient",
       [](C& c) { c.output.grad_logits = retyped(c.output.grad_logits, DataType::float16); },
       op + "output.grad_logits must be of type float32, got float16"},
      {"valid_rows", [](C& c) { c.output.valid_rows = const_view(c.output.valid_rows); },
       op + "output.valid_rows must be writable, got a view of const data"},
      {"nothing", [](C& c) { c.output = SoftmaxFocalLossOutput(); },
       op + "output must have loss, grad_logits or valid_rows, got none"},
      {"overlap", [](C& c) { c.output.grad_logits = c.logits.tensor(); },
       op + "output.grad_logits must not overlap logits, got memory shared by both"},
  };
  for (const RowsRow& row : rows) {
    RowsCall call;
    row.spoil(call);
    const Status status =
        softmax_focal_loss(call.options, call.input, call.output, Execution::cpu());
    EXPECT_EQ(status.code(), StatusCode::invalid_argument) << row.name;
    EXPECT_EQ(std::string(status.message()), row.message) << row.name;
    EXPECT_TRUE(call.untouched()) << row.name;
  }
}

TEST(FocalLossArguments, DistributionRefuses) {
  using C = RowsCall;
  using S = std::vector<std::int64_t>;
  const std::string op = "distribution_focal_loss: ";
  const std::vector<RowsRow> rows = {
      {"reduction", [](C& c) { c.distribution_options.reduction = static_cast<LossReduction>(4); },
       op + "reduction must be none, sum, mean or normalised, got 4"},
      {"bins",
       [](C& c) {
         c.distribution_input.logits = reshaped(c.distribution_input.logits, S{4, 1});
       },
       op + "logits must have 2 bins or more, got 1"},
      {"targets", [](C& c) { c.distribution_input.targets = c.targets.const_tensor(); },
       op + "targets must be of type float32, got int32"},
      {"nothing", [](C& c) { c.distribution_output = DistributionFocalLossOutput(); },
       op + "output must have loss or grad_logits, got none"},
  };
  for (const RowsRow& row : rows) {
    RowsCall call;
    row.spoil(call);
    const Status status =
        distribution_focal_loss(call.distribution_options, call.distribution_input,
                                call.distribution_output, Execution::cpu());
    EXPECT_EQ(status.code(), StatusCode::invalid_argument) << row.name;
    EXPECT_EQ(std::string(status.message()), row.message) << row.name;
    EXPECT_TRUE(call.untouched()) << row.name;
  }
}

}  // namespace
}  // namespace cudet::test
