// What iou_matrix() refuses, with the sentences that it says.
#include <cudet/iou.h>

#include "support/host_tensor.h"

#include <gtest/gtest.h>

#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

/// A correct call; each row of the table spoils one argument.
struct Call {
  HostTensor boxes1 =
      HostTensor::of_reals(DataType::float32, {2, 3, 4}, std::vector<float>(24, 1.0f));
  HostTensor boxes2 =
      HostTensor::of_reals(DataType::float32, {2, 5, 4}, std::vector<float>(40, 1.0f));
  HostTensor offsets = HostTensor::of_integers(DataType::int32, {3}, {0, 1, 2});
  HostTensor crowds =
      HostTensor::of_integers(DataType::uint8, {2, 5}, {0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
  HostTensor values = HostTensor(DataType::float32, {2, 3, 5});
  HostTensor bits = HostTensor(DataType::int32, {2, 3, 1});

  IouMatrixOptions options;
  IouMatrixInput input = {boxes1.const_tensor(), boxes2.const_tensor()};
  IouMatrixOutput output = {values.tensor()};

  /// Both sets ragged, of two images.
  void make_ragged() {
    input.boxes1 = Tensor(boxes1.data(), boxes1.type(), 2, kRaggedShape1);
    input.boxes2 = Tensor(boxes2.data(), boxes2.type(), 2, kRaggedShape2);
    input.offsets1 = offsets.const_tensor();
    input.offsets2 = offsets.const_tensor();
    output.values = Tensor(values.data(), values.type(), 2, kRaggedShape3);
  }
  static constexpr std::int64_t kRaggedShape1[] = {6, 4};
  static constexpr std::int64_t kRaggedShape2[] = {10, 4};
  static constexpr std::int64_t kRaggedShape3[] = {6, 5};
};

struct Row {
  const char* name;
  StatusCode code;
  std::string message;  ///< after "iou_matrix: "
  std::function<void(Call&)> spoil;
};

void PrintTo(const Row& row, std::ostream* stream) {
  *stream << row.name;
}

constexpr StatusCode kInvalid = StatusCode::invalid_argument;

Tensor reshaped(const Tensor& tensor, const std::vector<std::int64_t>& shape,
                const std::vector<std::int64_t>& strides = {}) {
  return Tensor(tensor.data(), tensor.type(), static_cast<int>(shape.size()), shape.data(),
                strides.empty() ? nullptr : strides.data());
}

Tensor retyped(const Tensor& tensor, DataType type) {
  return Tensor(tensor.data(), type, tensor.rank(), tensor.shape());
}

Tensor moved(const Tensor& tensor, void* data) {
  return Tensor(data, tensor.type(), tensor.rank(), tensor.shape());
}

void* misaligned() {
  alignas(8) static char memory[1024];
  return memory + 2;
}

std::string misaligned_address() {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%" PRIxPTR, reinterpret_cast<std::uintptr_t>(misaligned()));
  return text;
}

std::vector<Row> option_rows() {
  const std::string kind = "kind must be iou, iof, giou, diou, ciou or eiou, got ";
  const std::string format = "format must be xyxy, xywh, cxcywh or rotated, got ";
  const std::string eps = "eps must be finite and 0 or more, got ";
  return {
      {"KindTooLarge", kInvalid, kind + "6",
       [](Call& call) { call.options.kind = static_cast<IouKind>(6); }},
      {"KindNegative", kInvalid, kind + "-1",
       [](Call& call) { call.options.kind = static_cast<IouKind>(-1); }},
      {"FormatTooLarge", kInvalid, format + "4",
       [](Call& call) { call.options.format = static_cast<BoxFormat>(4); }},
      {"FormatNegative", kInvalid, format + "-2",
       [](Call& call) { call.options.format = static_cast<BoxFormat>(-2); }},
      {"AngleUnit", kInvalid, "angle_unit must be degrees or radians, got 2",
       [](Call& call) { call.options.angle_unit = static_cast<AngleUnit>(2); }},
      {"AngleDirection", kInvalid, "angle_direction must be counter_clockwise or clockwise, got -1",
       [](Call& call) { call.options.angle_direction = static_cast<AngleDirection>(-1); }},
      {"KindOfRotatedBoxes", kInvalid, "kind must be iou or iof for rotated boxes, got giou",
       [](Call& call) {
         call.options.format = BoxFormat::rotated;
         call.options.kind = IouKind::giou;
       }},
      {"OffsetOfRotatedBoxes", kInvalid, "legacy_offset must be false for rotated boxes, got true",
       [](Call& call) {
         call.options.format = BoxFormat::rotated;
         call.options.legacy_offset = true;
       }},
      {"ThresholdNan", kInvalid, "threshold must be a number, got nan",
       [](Call& call) { call.options.threshold = NAN; }},
      {"EpsNegative", kInvalid, eps + "-1e-07", [](Call& call) { call.options.eps = -1e-7f; }},
      {"EpsInfinite", kInvalid, eps + "inf", [](Call& call) { call.options.eps = INFINITY; }},
      {"EpsNan", kInvalid, eps + "nan", [](Call& call) { call.options.eps = NAN; }},
  };
}

/// What the workspace query sees of the inputs.
std::vector<Row> shape_rows() {
  const std::string types = "float32 or float16 or bfloat16";
  return {
      {"Boxes1Absent", kInvalid, "boxes1 must be given as [batch, n, 4], got none",
       [](Call& call) { call.input.boxes1 = Tensor(); }},
      {"Boxes1OfRank2", kInvalid, "boxes1 must be [batch, n, 4], got [6, 4]",
       [](Call& call) {
         call.input.boxes1 = reshaped(call.input.boxes1, {6, 4});
       }},
      {"Boxes1OfFiveNumbers", kInvalid, "boxes1 must be [batch, n, 4], got [2, 3, 5]",
       [](Call& call) {
         call.input.boxes1 = reshaped(call.input.boxes1, {2, 3, 5});
       }},
      {"Boxes1NegativeSize", kInvalid, "boxes1 must be [batch, n, 4], got [2, -3, 4]",
       [](Call& call) {
         call.input.boxes1 = reshaped(call.input.boxes1, {2, -3, 4});
       }},
      {"Boxes1TooLarge", kInvalid,
       "boxes1 must have a size in bytes below 2^63, got [2, 576460752303423488, 4]",
       [](Call& call) {
         call.input.boxes1 = reshaped(call.input.boxes1, {2, std::int64_t{1} << 59, 4});
       }},
      {"Boxes1OfIntegers", kInvalid, "boxes1 must be of type " + types + ", got int32",
       [](Call& call) { call.input.boxes1 = retyped(call.input.boxes1, DataType::int32); }},
      {"Boxes2Absent", kInvalid, "boxes2 must be given as [batch, m, 4] = [2, m, 4], got none",
       [](Call& call) { call.input.boxes2 = Tensor(); }},
      {"Boxes2OfAnotherBatch", kInvalid, "boxes2 must be [batch, m, 4] = [2, m, 4], got [1, 5, 4]",
       [](Call& call) {
         call.input.boxes2 = reshaped(call.input.boxes2, {1, 5, 4});
       }},
      {"RotatedBoxesOfFourNumbers", kInvalid, "boxes1 must be [batch, n, 5], got [2, 3, 4]",
       [](Call& call) { call.options.format = BoxFormat::rotated; }},
      {"RaggedBoxes1OfRank3", kInvalid, "boxes1 must be [n, 4], got [2, 3, 4]",
       [](Call& call) { call.input.offsets1 = call.offsets.const_tensor(); }},
      {"Offsets1OfReals", kInvalid, "offsets1 must be of type int32 or int64, got float32",
       [](Call& call) {
         call.make_ragged();
         call.input.offsets1 = retyped(call.input.offsets1, DataType::float32);
       }},
      {"Offsets1Empty", kInvalid, "offsets1 must have at least one element, got none",
       [](Call& call) {
         call.make_ragged();
         call.input.offsets1 = reshaped(call.input.offsets1, {0});
       }},
      {"Offsets2OfAnotherBatch", kInvalid, "offsets2 must be [batch + 1] = [3], got [2]",
       [](Call& call) {
         call.make_ragged();
         call.input.offsets2 = reshaped(call.input.offsets2, {2});
       }},
      {"CrowdsOfAnotherKind", kInvalid,
       "crowds must be absent unless kind is iou and boxes are upright, got them with kind giou "
       "and "
       "format xyxy",
       [](Call& call) {
         call.input.crowds = call.crowds.const_tensor();
         call.options.kind = IouKind::giou;
       }},
      {"CrowdsOfAnotherShape", kInvalid, "crowds must be [batch, m] = [2, 5], got [2, 3]",
       [](Call& call) {
         call.input.crowds = reshaped(call.crowds.tensor(), {2, 3});
       }},
      {"RaggedCrowds", kInvalid, "crowds must be [boxes] = [10], got [2, 5]",
       [](Call& call) {
         call.make_ragged();
         call.input.crowds = call.crowds.const_tensor();
       }},
      {"Boxes2OfBytes", kInvalid, "boxes2 must be of type " + types + ", got uint8",
       [](Call& call) { call.input.boxes2 = retyped(call.input.boxes2, DataType::uint8); }},
  };
}

std::vector<Row> data_rows() {
  const std::string types = "float32 or float16 or bfloat16";
  const std::string address = misaligned_address();
  return {
      {"Boxes1Null", kInvalid, "boxes1 must have data for its shape [2, 3, 4], got a null pointer",
       [](Call& call) { call.input.boxes1 = moved(call.input.boxes1, nullptr); }},
      {"Boxes1Misaligned", kInvalid, "boxes1 must be aligned to 4 bytes, got address " + address,
       [](Call& call) { call.input.boxes1 = moved(call.input.boxes1, misaligned()); }},
      {"Boxes1Strided", StatusCode::unsupported,
       "boxes1 must be contiguous, got strides [24, 8, 1]",
       [](Call& call) {
         call.input.boxes1 = reshaped(call.input.boxes1, {2, 3, 4}, {24, 8, 1});
       }},
      {"Boxes2Null", kInvalid, "boxes2 must have data for its shape [2, 5, 4], got a null pointer",
       [](Call& call) { call.input.boxes2 = moved(call.input.boxes2, nullptr); }},
      {"Boxes2Misaligned", kInvalid, "boxes2 must be aligned to 4 bytes, got address " + address,
       [](Call& call) { call.input.boxes2 = moved(call.input.boxes2, misaligned()); }},
      {"Boxes2Strided", StatusCode::unsupported,
       "boxes2 must be contiguous, got strides [20, 1, 5]",
       [](Call& call) {
         call.input.boxes2 = reshaped(call.input.boxes2, {2, 5, 4}, {20, 1, 5});
       }},
      {"NoOutput", kInvalid, "output must have at least one tensor, got none",
       [](Call& call) { call.output.values = Tensor(); }},
      {"RaggedValues", kInvalid, "values must be [n, m] = [6, m], got [2, 3, 5]",
       [](Call& call) {
         call.make_ragged();
         call.output.values = call.values.tensor();
       }},
      {"BitsOfTooManyWords", kInvalid, "bits must be [batch, n, words] = [2, 3, 1], got [2, 3, 2]",
       [](Call& call) {
         call.output.bits = reshaped(call.bits.tensor(), {2, 3, 2});
       }},
      {"BitsOfReals", kInvalid, "bits must be of type int32, got float32",
       [](Call& call) { call.output.bits = retyped(call.bits.tensor(), DataType::float32); }},
      {"BitsOverlapCrowds", kInvalid, "bits must not overlap crowds, got memory shared by both",
       [](Call& call) {
         call.output.bits = call.bits.tensor();
         call.input.crowds = moved(call.crowds.tensor(), call.bits.data());
       }},
      {"ValuesTransposed", kInvalid, "values must be [batch, n, m] = [2, 3, 5], got [2, 5, 3]",
       [](Call& call) {
         call.output.values = reshaped(call.output.values, {2, 5, 3});
       }},
      {"ValuesOfIntegers", kInvalid, "values must be of type " + types + ", got int64",
       [](Call& call) { call.output.values = retyped(call.output.values, DataType::int64); }},
      {"ValuesNull", kInvalid, "values must have data for its shape [2, 3, 5], got a null pointer",
       [](Call& call) { call.output.values = moved(call.output.values, nullptr); }},
      {"ValuesMisaligned", kInvalid, "values must be aligned to 4 bytes, got address " + address,
       [](Call& call) { call.output.values = moved(call.output.values, misaligned()); }},
      {"ValuesStrided", StatusCode::unsupported,
       "values must be contiguous, got strides [15, 1, 3]",
       [](Call& call) {
         call.output.values = reshaped(call.output.values, {2, 3, 5}, {15, 1, 3});
       }},
      {"ValuesReadOnly", kInvalid, "values must be writable, got a view of const data",
       [](Call& call) { call.output.values = call.values.const_tensor(); }},
      {"ValuesOverlapBoxes1", kInvalid, "values must not overlap boxes1, got memory shared by both",
       [](Call& call) { call.input.boxes1 = moved(call.input.boxes1, call.values.data() + 116); }},
      {"ValuesOverlapBoxes2", kInvalid, "values must not overlap boxes2, got memory shared by both",
       [](Call& call) { call.input.boxes2 = moved(call.input.boxes2, call.values.data()); }},
      // The first bad argument decides.
      {"OptionsBeforeInputs", kInvalid, "kind must be iou, iof, giou, diou, ciou or eiou, got 9",
       [](Call& call) {
         call.options.kind = static_cast<IouKind>(9);
         call.options.eps = -1.0f;
         call.input = {};
         call.output = {};
       }},
      {"Boxes1BeforeBoxes2", kInvalid, "boxes1 must be given as [batch, n, 4], got none",
       [](Call& call) {
         call.input = {};
         call.output = {};
       }},
      {"Boxes2BeforeValues", kInvalid,
       "boxes2 must be given as [batch, m, 4] = [2, m, 4], got none",
       [](Call& call) {
         call.input.boxes2 = Tensor();
         call.output = {};
       }},
  };
}

std::vector<Row> all_rows() {
  std::vector<Row> rows = option_rows();
  for (const std::vector<Row>& more : {shape_rows(), data_rows()})
    rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

void expect_refused(const Status& status, const Row& row, const std::string& operation) {
  EXPECT_STREQ(to_string(status.code()), to_string(row.code));
  EXPECT_EQ(status.message(), operation + ": " + row.message);
}

class IouArguments : public testing::TestWithParam<Row> {};

TEST_P(IouArguments, AreRefused) {
  const Row& row = GetParam();
  Call call;
  row.spoil(call);
  // A bad argument is found before the execution is looked at.
  for (const Execution& execution :
       {Execution::cpu(), Execution::cpu(-1), Execution::cuda(nullptr)}) {
    expect_refused(iou_matrix(call.options, call.input, call.output, execution), row, "iou_matrix");
    EXPECT_TRUE(call.values.is_all_poison());
  }
  expect_refused(reference::iou_matrix(call.options, call.input, call.output), row, "iou_matrix");
  EXPECT_TRUE(call.values.is_all_poison());
}

std::string row_name(const testing::TestParamInfo<Row>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Rows, IouArguments, testing::ValuesIn(all_rows()), row_name);

class IouWorkspaceArguments : public testing::TestWithParam<Row> {};

TEST_P(IouWorkspaceArguments, AreRefused) {
  const Row& row = GetParam();
  Call call;
  row.spoil(call);
  std::size_t bytes = 12345;
  expect_refused(iou_matrix_workspace_size(call.options, call.input, &bytes), row, "iou_matrix");
  EXPECT_EQ(bytes, 12345u);
}

INSTANTIATE_TEST_SUITE_P(Options, IouWorkspaceArguments, testing::ValuesIn(option_rows()),
                         row_name);
INSTANTIATE_TEST_SUITE_P(Shapes, IouWorkspaceArguments, testing::ValuesIn(shape_rows()), row_name);

TEST(IouWorkspace, IsEmpty) {
  Call call;
  std::size_t bytes = 12345;
  ASSERT_TRUE(iou_matrix_workspace_size(call.options, call.input, &bytes).ok());
  EXPECT_EQ(bytes, 0u);

  // Pointers are not looked at.
  bytes = 12345;
  call.input = {moved(call.input.boxes1, nullptr), moved(call.input.boxes2, misaligned())};
  ASSERT_TRUE(iou_matrix_workspace_size(call.options, call.input, &bytes).ok());
  EXPECT_EQ(bytes, 0u);
}

TEST(IouWorkspace, NeedsAPlaceForTheSize) {
  const Call call;
  const Status status = iou_matrix_workspace_size(call.options, call.input, nullptr);
  EXPECT_EQ(status.code(), kInvalid);
  EXPECT_STREQ(status.message(), "iou_matrix: bytes must not be null, got a null pointer");
}

TEST(IouExecution, RefusesANegativeThreadCount) {
  Call call;
  const Status status = iou_matrix(call.options, call.input, call.output, Execution::cpu(-1));
  EXPECT_EQ(status.code(), kInvalid);
  EXPECT_STREQ(status.message(), "iou_matrix: threads must be 0 (all) or more, got -1");
  EXPECT_TRUE(call.values.is_all_poison());
}

TEST(IouExecution, OnTheCpuAsManyThreadsAsAskedFor) {
  Call call;
  call.boxes2 = HostTensor::of_reals(DataType::float32, {2, 5, 4}, std::vector<float>(40, 2.0f));
  for (std::size_t k = 0; k < call.boxes1.count(); ++k)
    call.boxes1.set_real(k, static_cast<float>(k % 4 < 2 ? k % 3 : k % 5 + 1));
  call.input = {call.boxes1.const_tensor(), call.boxes2.const_tensor()};
  call.options.kind = IouKind::diou;
  HostTensor expected(DataType::float32, {2, 3, 5});
  ASSERT_TRUE(reference::iou_matrix(call.options, call.input, {expected.tensor()}).ok());
  EXPECT_FALSE(expected.is_all_poison());
  for (const int threads : {0, 1, 7}) {
    call.values.poison();
    ASSERT_TRUE(iou_matrix(call.options, call.input, call.output, Execution::cpu(threads)).ok());
    for (std::size_t i = 0; i < expected.count(); ++i)
      EXPECT_NEAR(call.values.real(i), expected.real(i), 1e-6) << i;
  }
}

TEST(IouExecution, EmptyMatricesSucceedWithNullPointers) {
  const auto empty = [](std::initializer_list<std::int64_t> shape) {
    return Tensor(static_cast<float*>(nullptr), shape);
  };
  Call call;
  struct Shapes {
    Tensor boxes1, boxes2, values;
  };
  const Shapes shapes[] = {
      {empty({0, 3, 4}), empty({0, 5, 4}), empty({0, 3, 5})},
      {empty({2, 0, 4}), call.input.boxes2, empty({2, 0, 5})},
      {call.input.boxes1, empty({2, 0, 4}), empty({2, 3, 0})},
      {empty({2, 0, 4}), empty({2, 0, 4}), empty({2, 0, 0})},
  };
  for (const Shapes& shape : shapes) {
    const IouMatrixInput input = {shape.boxes1, shape.boxes2};
    for (const Execution& execution : {Execution::cpu(), Execution::cuda(nullptr)}) {
      const Status status = iou_matrix(call.options, input, {shape.values}, execution);
      EXPECT_TRUE(status.ok()) << status.message();
    }
    EXPECT_TRUE(reference::iou_matrix(call.options, input, {shape.values}).ok());
  }
}

TEST(IouKindNames, AreSpelledAsInTheEnumeration) {
  EXPECT_STREQ(to_string(IouKind::iou), "iou");
  EXPECT_STREQ(to_string(IouKind::iof), "iof");
  EXPECT_STREQ(to_string(IouKind::giou), "giou");
  EXPECT_STREQ(to_string(IouKind::diou), "diou");
  EXPECT_STREQ(to_string(IouKind::ciou), "ciou");
  EXPECT_STREQ(to_string(IouKind::eiou), "eiou");
  EXPECT_STREQ(to_string(static_cast<IouKind>(99)), "unknown");
}

}  // namespace
}  // namespace cudet::test
