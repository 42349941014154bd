// The sentences of the argument checks; what every operation refuses is in its own tests.

#include "../src/check.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace cudet {
namespace {

const TensorContract kBoxes = {"nms", "boxes", {{"batch"}, {"n"}, {"4", 4}}, kRealTypes};
const TensorContract kScores = {
    "nms", "scores", {{"batch", 8}, {"n", 100}}, {DataType::float32, DataType::int64}};

void expect_status(const Status& status, StatusCode code, const std::string& message) {
  EXPECT_EQ(to_string(status.code()), std::string(to_string(code)));
  EXPECT_EQ(status.message(), message);
}

TEST(CheckInput, AcceptsWhatItExpects) {
  static float data[8 * 100 * 4];
  EXPECT_TRUE(check_input(kBoxes, Tensor(data, {8, 100, 4})).ok());
  EXPECT_TRUE(check_input(kBoxes, Tensor(data, {0, 100, 4})).ok());
  EXPECT_TRUE(check_input(kBoxes, Tensor(static_cast<float*>(nullptr), {8, 0, 4})).ok());
  EXPECT_TRUE(check_input(kScores, Tensor(data, {8, 100})).ok());
  const float* const_data = data;
  EXPECT_TRUE(check_input(kScores, Tensor(const_data, {8, 100})).ok());
}

TEST(CheckInput, NamesAMissingTensor) {
  expect_status(check_input(kBoxes, Tensor()), StatusCode::invalid_argument,
                "nms: boxes must be given as [batch, n, 4], got none");
}

TEST(CheckInput, NamesTheShape) {
  float data[4] = {};
  expect_status(check_input(kBoxes, Tensor(data, {8, 100, 5})), StatusCode::invalid_argument,
                "nms: boxes must be [batch, n, 4], got [8, 100, 5]");
  expect_status(check_input(kBoxes, Tensor(data, {100, 4})), StatusCode::invalid_argument,
                "nms: boxes must be [batch, n, 4], got [100, 4]");
  expect_status(check_input(kBoxes, Tensor(data, {-1, 2, 4})), StatusCode::invalid_argument,
                "nms: boxes must be [batch, n, 4], got [-1, 2, 4]");
  expect_status(check_input(kScores, Tensor(data, {8, 99})), StatusCode::invalid_argument,
                "nms: scores must be [batch, n] = [8, 100], got [8, 99]");
  expect_status(check_input(kScores, Tensor(data, {})), StatusCode::invalid_argument,
                "nms: scores must be [batch, n] = [8, 100], got []");
}

TEST(CheckInput, NamesAnImpossibleRank) {
  float data[4] = {};
  const std::int64_t shape[16] = {};
  expect_status(check_input(kBoxes, Tensor(data, DataType::float32, 16, shape)),
                StatusCode::invalid_argument, "nms: boxes must be [batch, n, 4], got rank 16");
  expect_status(check_input(kBoxes, Tensor(data, DataType::float32, -3, shape)),
                StatusCode::invalid_argument, "nms: boxes must be [batch, n, 4], got rank -3");
}

TEST(CheckInput, NamesTheTypes) {
  std::int32_t data[4] = {};
  expect_status(check_input(kBoxes, Tensor(data, {1, 1, 4})), StatusCode::invalid_argument,
                "nms: boxes must be of type float32 or float16 or bfloat16, got int32");
  expect_status(check_input(kScores, Tensor(data, {8, 100})), StatusCode::invalid_argument,
                "nms: scores must be of type float32 or int64, got int32");
}

TEST(CheckInput, RefusesSizesThatNoMemoryHas) {
  float data[4] = {};
  expect_status(check_input(kBoxes, Tensor(data, {4294967296, 4294967296, 4})),
                StatusCode::invalid_argument,
                "nms: boxes must have a size in bytes below 2^63, got [4294967296, 4294967296, 4]");
  // The count fits, its bytes do not.
  expect_status(check_input(kBoxes, Tensor(data, {1, 1152921504606846976, 4})),
                StatusCode::invalid_argument,
                "nms: boxes must have a size in bytes below 2^63, got [1, 1152921504606846976, 4]");
}

TEST(CheckInput, NamesAMissingPointer) {
  expect_status(check_input(kBoxes, Tensor(static_cast<float*>(nullptr), {1, 2, 4})),
                StatusCode::invalid_argument,
                "nms: boxes must have data for its shape [1, 2, 4], got a null pointer");
}

TEST(CheckInput, NamesAMisalignedPointer) {
  auto* address = reinterpret_cast<float*>(std::uintptr_t{0x1002});
  expect_status(check_input(kBoxes, Tensor(address, {1, 2, 4})), StatusCode::invalid_argument,
                "nms: boxes must be aligned to 4 bytes, got address 0x1002");
  auto* half_address = reinterpret_cast<float16*>(std::uintptr_t{0x1002});
  EXPECT_TRUE(check_input(kBoxes, Tensor(half_address, {1, 2, 4})).ok());
}

TEST(CheckInput, StridesAreUnsupported) {
  float data[16] = {};
  const std::int64_t shape[] = {1, 2, 4};
  const std::int64_t strides[] = {8, 1, 2};
  expect_status(check_input(kBoxes, Tensor(data, DataType::float32, 3, shape, strides)),
                StatusCode::unsupported, "nms: boxes must be contiguous, got strides [8, 1, 2]");
}

TEST(CheckShapeAndType, LeavesTheDataOut) {
  EXPECT_TRUE(check_shape_and_type(kBoxes, Tensor(static_cast<float*>(nullptr), {1, 2, 4})).ok());
  auto* address = reinterpret_cast<float*>(std::uintptr_t{0x1001});
  EXPECT_TRUE(check_shape_and_type(kBoxes, Tensor(address, {1, 2, 4})).ok());
}

TEST(CheckOutput, RefusesConstData) {
  const float data[4] = {};
  expect_status(check_output(kBoxes, Tensor(data, {1, 1, 4})), StatusCode::invalid_argument,
                "nms: boxes must be writable, got a view of const data");
}

TEST(CheckNoOverlap, ComparesBytes) {
  float data[16] = {};
  const Tensor first(data, {4});
  const Tensor second(data + 4, {4});
  const Tensor across(data + 3, {2});
  const Tensor last_byte(reinterpret_cast<std::uint8_t*>(data) + 15, {1});
  const Tensor empty(data + 1, {0});
  const Tensor absent;

  EXPECT_TRUE(check_no_overlap("nms", {{"a", &first}}, {{"b", &second}}).ok());
  EXPECT_TRUE(check_no_overlap("nms", {{"a", &first}}, {{"b", &empty}}).ok());
  EXPECT_TRUE(check_no_overlap("nms", {{"a", &first}, {"c", &absent}}, {{"b", &absent}}).ok());
  EXPECT_TRUE(check_no_overlap("nms", {{"a", &first}, {"b", &first}}, {}).ok())
      << "inputs may share memory";

  expect_status(check_no_overlap("nms", {{"a", &second}, {"b", &first}}, {{"c", &across}}),
                StatusCode::invalid_argument,
                "nms: c must not overlap a, got memory shared by both");
  expect_status(check_no_overlap("nms", {{"a", &first}}, {{"b", &last_byte}}),
                StatusCode::invalid_argument,
                "nms: b must not overlap a, got memory shared by both");
  expect_status(check_no_overlap("nms", {}, {{"a", &first}, {"b", &second}, {"c", &across}}),
                StatusCode::invalid_argument,
                "nms: c must not overlap a, got memory shared by both");
}

TEST(CheckExecution, Workspace) {
  char memory[100];
  EXPECT_TRUE(check_execution("nms", Execution::cuda(nullptr), 0).ok());
  EXPECT_TRUE(check_execution("nms", Execution::cuda(nullptr, memory, 100), 100).ok());
  expect_status(check_execution("nms", Execution::cuda(nullptr, memory, 99), 100),
                StatusCode::invalid_argument, "nms: workspace must have 100 bytes or more, got 99");
  expect_status(check_execution("nms", Execution::cuda(nullptr, nullptr, 100), 100),
                StatusCode::invalid_argument,
                "nms: workspace must have 100 bytes or more, got a null pointer");
}

TEST(CheckExecution, Threads) {
  EXPECT_TRUE(check_execution("nms", Execution::cpu(), 100).ok()) << "a workspace is not needed";
  EXPECT_TRUE(check_execution("nms", Execution::cpu(4), 0).ok());
  expect_status(check_execution("nms", Execution::cpu(-1), 0), StatusCode::invalid_argument,
                "nms: threads must be 0 (all) or more, got -1");
}

TEST(Checks, LongMessagesAreCutAndTerminated) {
  const std::string name(400, 'a');
  const TensorContract contract = {name.c_str(), "boxes", {{"n"}}, kRealTypes};
  const Status status = check_input(contract, Tensor());
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_EQ(std::string(status.message()).find_first_not_of('a'), std::string::npos);
}

TEST(IsEnumerator, AcceptsTheRangeOnly) {
  EXPECT_TRUE(is_enumerator(DataType::float32, 6));
  EXPECT_TRUE(is_enumerator(DataType::uint8, 6));
  EXPECT_FALSE(is_enumerator(static_cast<DataType>(6), 6));
  EXPECT_FALSE(is_enumerator(static_cast<DataType>(-1), 6));
}

}  // namespace
}  // namespace cudet
