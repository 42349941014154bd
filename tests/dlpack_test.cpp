#include <cudet/dlpack.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet {
namespace {

/// A DLTensor and the arrays that it points to.
struct Source {
  alignas(8) char memory[256] = {};
  std::vector<std::int64_t> shape = {2, 3};
  std::vector<std::int64_t> strides;
  DLTensor tensor = {};

  Source() {
    tensor.data = memory;
    tensor.device = {kDLCPU, 0};
    tensor.dtype = {kDLFloat, 32, 1};
    point_to_shape();
  }
  void point_to_shape() {
    tensor.ndim = static_cast<int>(shape.size());
    tensor.shape = shape.data();
    tensor.strides = strides.empty() ? nullptr : strides.data();
  }
};

TEST(FromDlpack, TakesShapeAndPointer) {
  Source source;
  Tensor tensor;
  ASSERT_TRUE(from_dlpack(source.tensor, &tensor).ok());
  EXPECT_TRUE(tensor.present());
  EXPECT_FALSE(tensor.read_only());
  EXPECT_EQ(tensor.data(), static_cast<void*>(source.memory));
  EXPECT_EQ(tensor.rank(), 2);
  EXPECT_EQ(tensor.size(0), 2);
  EXPECT_EQ(tensor.size(1), 3);
  EXPECT_TRUE(tensor.is_contiguous());
}

TEST(FromDlpack, TakesStrides) {
  Source source;
  source.strides = {1, 2};
  source.point_to_shape();
  Tensor tensor;
  ASSERT_TRUE(from_dlpack(source.tensor, &tensor).ok());
  EXPECT_EQ(tensor.stride(0), 1);
  EXPECT_EQ(tensor.stride(1), 2);
  EXPECT_FALSE(tensor.is_contiguous());
}

TEST(FromDlpack, AddsTheByteOffset) {
  Source source;
  source.tensor.byte_offset = 24;
  Tensor tensor;
  ASSERT_TRUE(from_dlpack(source.tensor, &tensor).ok());
  EXPECT_EQ(tensor.data(), static_cast<void*>(source.memory + 24));
}

TEST(FromDlpack, KeepsANullPointer) {
  Source source;
  source.shape = {0, 4};
  source.point_to_shape();
  source.tensor.data = nullptr;
  source.tensor.byte_offset = 8;
  Tensor tensor;
  ASSERT_TRUE(from_dlpack(source.tensor, &tensor).ok());
  EXPECT_TRUE(tensor.present());
  EXPECT_EQ(tensor.data(), nullptr);
  EXPECT_EQ(tensor.element_count(), 0);
}

TEST(FromDlpack, AcceptsRankZeroWithoutShape) {
  Source source;
  source.tensor.ndim = 0;
  source.tensor.shape = nullptr;
  Tensor tensor;
  ASSERT_TRUE(from_dlpack(source.tensor, &tensor).ok());
  EXPECT_EQ(tensor.rank(), 0);
  EXPECT_EQ(tensor.element_count(), 1);
}

TEST(FromDlpack, AcceptsRankEight) {
  Source source;
  source.shape = {1, 1, 1, 1, 1, 1, 1, 2};
  source.point_to_shape();
  Tensor tensor;
  ASSERT_TRUE(from_dlpack(source.tensor, &tensor).ok());
  EXPECT_EQ(tensor.rank(), 8);
  EXPECT_EQ(tensor.size(7), 2);
}

struct TypePair {
  DLDataType dlpack;
  DataType type;
};
const TypePair kTypePairs[] = {
    {{kDLFloat, 32, 1}, DataType::float32},   {{kDLFloat, 16, 1}, DataType::float16},
    {{kDLBfloat, 16, 1}, DataType::bfloat16}, {{kDLInt, 32, 1}, DataType::int32},
    {{kDLInt, 64, 1}, DataType::int64},       {{kDLUInt, 8, 1}, DataType::uint8},
    {{kDLInt, 8, 1}, DataType::int8},
};

TEST(FromDlpack, AcceptsTypes) {
  for (const TypePair& pair : kTypePairs) {
    SCOPED_TRACE(to_string(pair.type));
    Source source;
    source.tensor.dtype = pair.dlpack;
    Tensor tensor;
    ASSERT_TRUE(from_dlpack(source.tensor, &tensor).ok());
    EXPECT_EQ(tensor.type(), pair.type);
  }
}

TEST(FromDlpack, AcceptsDevices) {
  constexpr int kDlCudaManaged = 13;  // since DLPack 0.7
  for (const int device : {int{kDLCPU}, int{kDLCUDA}, int{kDLCUDAHost}, kDlCudaManaged}) {
    SCOPED_TRACE(device);
    Source source;
    source.tensor.device = {static_cast<DLDeviceType>(device), 1};
    Tensor tensor;
    EXPECT_TRUE(from_dlpack(source.tensor, &tensor).ok());
  }
}

void expect_refused(const Source& source, StatusCode code, const std::string& message) {
  float marker = 0.0f;
  Tensor tensor(&marker, {1, 1, 1});
  const Status status = from_dlpack(source.tensor, &tensor);
  EXPECT_EQ(status.code(), code);
  EXPECT_EQ(status.message(), message);
  EXPECT_EQ(tensor.data(), static_cast<void*>(&marker)) << "the result was touched";
  EXPECT_EQ(tensor.rank(), 3) << "the result was touched";
}

TEST(FromDlpack, RefusesTypes) {
  const DLDataType refused[] = {
      {kDLFloat, 64, 1}, {kDLFloat, 8, 1},    {kDLBfloat, 32, 1},       {kDLInt, 4, 1},
      {kDLInt, 16, 1},   {kDLUInt, 16, 1},    {kDLUInt, 32, 1},         {kDLUInt, 64, 1},
      {kDLUInt, 1, 1},   {kDLComplex, 64, 1}, {kDLOpaqueHandle, 64, 1}, {6, 8, 1},
  };
  for (const DLDataType& type : refused) {
    Source source;
    source.tensor.dtype = type;
    expect_refused(source, StatusCode::unsupported,
                   "from_dlpack: dtype must be float 16/32, bfloat 16, int 8/32/64 or uint 8, got "
                   "code " +
                       std::to_string(type.code) + " with " + std::to_string(type.bits) + " bits");
  }
}

TEST(FromDlpack, RefusesLanes) {
  for (const std::uint16_t lanes : {std::uint16_t{0}, std::uint16_t{4}, std::uint16_t{65535}}) {
    Source source;
    source.tensor.dtype.lanes = lanes;
    expect_refused(source, StatusCode::unsupported,
                   "from_dlpack: lanes must be 1, got " + std::to_string(lanes));
  }
}

TEST(FromDlpack, RefusesDevices) {
  for (const DLDeviceType device : {kDLOpenCL, kDLVulkan, kDLMetal, kDLVPI, kDLROCM, kDLROCMHost,
                                    kDLExtDev, static_cast<DLDeviceType>(0)}) {
    Source source;
    source.tensor.device = {device, 0};
    expect_refused(source, StatusCode::unsupported,
                   "from_dlpack: device type must be CPU or CUDA memory, got " +
                       std::to_string(static_cast<int>(device)));
  }
}

TEST(FromDlpack, RefusesRanks) {
  for (const int rank : {-1, 9, 64}) {
    Source source;
    source.shape.assign(64, 1);
    source.point_to_shape();
    source.tensor.ndim = rank;
    expect_refused(source, StatusCode::unsupported,
                   "from_dlpack: ndim must be 0 to 8, got " + std::to_string(rank));
  }
}

TEST(FromDlpack, RefusesNullPointers) {
  Source source;
  const Status status = from_dlpack(source.tensor, nullptr);
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_STREQ(status.message(), "from_dlpack: tensor must not be null");

  source.tensor.shape = nullptr;
  expect_refused(source, StatusCode::invalid_argument, "from_dlpack: shape must not be null");
}

TEST(ToDlpack, DescribesTheTensor) {
  float data[12] = {};
  const std::int64_t shape[] = {2, 3};
  const std::int64_t strides[] = {1, 4};
  const Tensor tensor(data, DataType::float32, 2, shape, strides);
  DLTensor target = {};
  target.byte_offset = 99;
  ASSERT_TRUE(to_dlpack(tensor, {kDLCUDA, 2}, &target).ok());
  EXPECT_EQ(target.data, static_cast<void*>(data));
  EXPECT_EQ(target.device.device_type, kDLCUDA);
  EXPECT_EQ(target.device.device_id, 2);
  EXPECT_EQ(target.ndim, 2);
  EXPECT_EQ(target.shape[0], 2);
  EXPECT_EQ(target.shape[1], 3);
  EXPECT_EQ(target.strides[0], 1);
  EXPECT_EQ(target.strides[1], 4);
  EXPECT_EQ(target.byte_offset, 0u);
}

TEST(ToDlpack, DescribesTypes) {
  alignas(8) char data[8] = {};
  const std::int64_t shape[] = {1};
  for (const TypePair& pair : kTypePairs) {
    SCOPED_TRACE(to_string(pair.type));
    const Tensor tensor(data, pair.type, 1, shape);
    DLTensor target = {};
    ASSERT_TRUE(to_dlpack(tensor, {kDLCPU, 0}, &target).ok());
    EXPECT_EQ(target.dtype.code, pair.dlpack.code);
    EXPECT_EQ(target.dtype.bits, pair.dlpack.bits);
    EXPECT_EQ(target.dtype.lanes, 1);
  }
}

TEST(ToDlpack, ComesBackTheSame) {
  std::int64_t data[6] = {};
  const Tensor tensor(data, {1, 2, 3});
  DLTensor between = {};
  Tensor back;
  ASSERT_TRUE(to_dlpack(tensor, {kDLCPU, 0}, &between).ok());
  ASSERT_TRUE(from_dlpack(between, &back).ok());
  EXPECT_EQ(back.data(), tensor.data());
  EXPECT_EQ(back.type(), tensor.type());
  ASSERT_EQ(back.rank(), tensor.rank());
  for (int d = 0; d < tensor.rank(); ++d) {
    EXPECT_EQ(back.size(d), tensor.size(d));
    EXPECT_EQ(back.stride(d), tensor.stride(d));
  }
}

TEST(ToDlpack, RefusesWhatItCannotDescribe) {
  float data = 0.0f;
  DLTensor target = {};
  target.ndim = 77;
  const Status none = to_dlpack(Tensor(), {kDLCPU, 0}, &target);
  EXPECT_EQ(none.code(), StatusCode::invalid_argument);
  EXPECT_STREQ(none.message(), "to_dlpack: tensor must be present");

  const float* const_data = &data;
  const Status read_only = to_dlpack(Tensor(const_data, {1}), {kDLCPU, 0}, &target);
  EXPECT_EQ(read_only.code(), StatusCode::invalid_argument);
  EXPECT_STREQ(read_only.message(), "to_dlpack: tensor must be writable");

  const Status null = to_dlpack(Tensor(&data, {1}), {kDLCPU, 0}, nullptr);
  EXPECT_EQ(null.code(), StatusCode::invalid_argument);
  EXPECT_STREQ(null.message(), "to_dlpack: target must not be null");

  EXPECT_EQ(target.ndim, 77) << "the result was touched";
}

}  // namespace
}  // namespace cudet
