#include <cudet/box.h>
#include <cudet/tensor.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace cudet {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

Tensor view_of(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
  static float element = 0.0f;
  return Tensor(&element, DataType::float32, static_cast<int>(shape.size()), shape.data(),
                strides.empty() ? nullptr : strides.data());
}

TEST(Tensor, IsAbsentByDefault) {
  const Tensor tensor;
  EXPECT_FALSE(tensor.present());
  EXPECT_FALSE(tensor.read_only());
  EXPECT_EQ(tensor.data(), nullptr);
  EXPECT_EQ(tensor.rank(), 0);
}

template <class T>
void expect_type(DataType expected, int size) {
  // The 16-bit CUDA types are incomplete here: only their pointers exist, as in a caller's file
  // without the CUDA headers.
  alignas(16) char storage[16] = {};
  T* data = reinterpret_cast<T*>(storage);
  const Tensor tensor(data, {1});
  EXPECT_TRUE(tensor.present());
  EXPECT_EQ(tensor.type(), expected);
  EXPECT_EQ(size_of(tensor.type()), size);
  EXPECT_EQ(tensor.data(), static_cast<void*>(storage));
  EXPECT_EQ(tensor.data_as<T>(), data);
  EXPECT_FALSE(tensor.read_only());

  const T* const_data = data;
  const Tensor const_tensor(const_data, {1});
  EXPECT_EQ(const_tensor.type(), expected);
  EXPECT_TRUE(const_tensor.read_only());
}

TEST(Tensor, TypeFollowsThePointer) {
  expect_type<float>(DataType::float32, 4);
  expect_type<float16>(DataType::float16, 2);
  expect_type<__half>(DataType::float16, 2);
  expect_type<bfloat16>(DataType::bfloat16, 2);
  expect_type<__nv_bfloat16>(DataType::bfloat16, 2);
  expect_type<std::int32_t>(DataType::int32, 4);
  expect_type<std::int64_t>(DataType::int64, 8);
  expect_type<std::uint8_t>(DataType::uint8, 1);
  expect_type<std::int8_t>(DataType::int8, 1);
}

TEST(Tensor, NullPointerIsPresent) {
  const Tensor tensor(static_cast<float*>(nullptr), {0, 4});
  EXPECT_TRUE(tensor.present());
  EXPECT_EQ(tensor.data(), nullptr);
}

TEST(Tensor, ContiguousStrides) {
  float data[24];
  const Tensor tensor(data, {2, 3, 4});
  EXPECT_EQ(tensor.rank(), 3);
  EXPECT_EQ(tensor.size(0), 2);
  EXPECT_EQ(tensor.size(1), 3);
  EXPECT_EQ(tensor.size(2), 4);
  EXPECT_EQ(tensor.stride(0), 12);
  EXPECT_EQ(tensor.stride(1), 4);
  EXPECT_EQ(tensor.stride(2), 1);
  EXPECT_EQ(tensor.element_count(), 24);
  EXPECT_TRUE(tensor.is_contiguous());
}

TEST(Tensor, KeepsItsOwnShape) {
  std::vector<std::int64_t> shape = {2, 3};
  std::vector<std::int64_t> strides = {3, 1};
  const Tensor tensor = view_of(shape, strides);
  shape[0] = 7;
  strides[0] = 9;
  EXPECT_EQ(tensor.size(0), 2);
  EXPECT_EQ(tensor.stride(0), 3);
}

struct ContiguityCase {
  const char* what;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  bool contiguous;
};

TEST(Tensor, Contiguity) {
  const ContiguityCase cases[] = {
      {"row-major", {2, 3}, {3, 1}, true},
      {"column-major", {2, 3}, {1, 2}, false},
      {"gap between rows", {2, 3}, {4, 1}, false},
      {"gap between elements", {2, 3}, {6, 2}, false},
      {"broadcast", {2, 3}, {0, 1}, false},
      {"reversed", {2, 3}, {-3, 1}, false},
      {"stride of a size 1 does not count", {1, 3}, {100, 1}, true},
      {"the same for an inner size 1", {3, 1}, {1, -5}, true},
      {"no elements", {0, 3}, {17, 5}, true},
      {"rank 0", {}, {}, true},
      {"rank 8", {2, 1, 2, 1, 2, 1, 2, 1}, {8, 0, 4, 0, 2, 0, 1, 0}, true},
      {"negative size", {-1, 3}, {3, 1}, false},
      {"size overflow", {kLargest, 3}, {3, 1}, false},
  };
  for (const ContiguityCase& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(view_of(c.shape, c.strides).is_contiguous(), c.contiguous);
  }
}

TEST(Tensor, ElementCount) {
  EXPECT_EQ(view_of({}, {}).element_count(), 1);
  EXPECT_EQ(view_of({5}, {}).element_count(), 5);
  EXPECT_EQ(view_of({5, 0}, {}).element_count(), 0);
  EXPECT_EQ(view_of({1, kLargest}, {}).element_count(), kLargest);
  EXPECT_EQ(view_of({3037000499, 3037000499}, {}).element_count(), 9223372030926249001);
}

TEST(Tensor, ElementCountRefusesWhatDoesNotFit) {
  EXPECT_EQ(view_of({2, kLargest}, {}).element_count(), -1);
  EXPECT_EQ(view_of({3037000500, 3037000500}, {}).element_count(), -1);
  EXPECT_EQ(view_of({std::int64_t{1} << 32, std::int64_t{1} << 32}, {}).element_count(), -1);
  EXPECT_EQ(view_of({-1}, {}).element_count(), -1);
  EXPECT_EQ(view_of({-2, -3}, {}).element_count(), -1);
  EXPECT_EQ(view_of({0, -3}, {}).element_count(), -1);
}

TEST(Tensor, EmptyStaysEmptyBesideHugeSizes) {
  EXPECT_EQ(view_of({kLargest, kLargest, 0}, {}).element_count(), 0);
  EXPECT_EQ(view_of({0, kLargest, kLargest}, {}).element_count(), 0);
}

TEST(Tensor, RankOutOfRange) {
  const std::int64_t shape[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  float data = 0.0f;
  for (const int rank : {-1, 9, 1000000}) {
    SCOPED_TRACE(rank);
    const Tensor tensor(&data, DataType::float32, rank, shape);
    EXPECT_TRUE(tensor.present());
    EXPECT_EQ(tensor.rank(), rank);
    EXPECT_EQ(tensor.element_count(), -1);
    EXPECT_FALSE(tensor.is_contiguous());
  }
}

TEST(DataType, HasNamesAndSizes) {
  EXPECT_STREQ(to_string(DataType::float32), "float32");
  EXPECT_STREQ(to_string(DataType::float16), "float16");
  EXPECT_STREQ(to_string(DataType::bfloat16), "bfloat16");
  EXPECT_STREQ(to_string(DataType::int32), "int32");
  EXPECT_STREQ(to_string(DataType::int64), "int64");
  EXPECT_STREQ(to_string(DataType::uint8), "uint8");
  EXPECT_STREQ(to_string(DataType::int8), "int8");
  EXPECT_STREQ(to_string(static_cast<DataType>(99)), "unknown");
  EXPECT_EQ(size_of(static_cast<DataType>(99)), 0);
}

TEST(BoxFormat, HasNames) {
  EXPECT_STREQ(to_string(BoxFormat::xyxy), "xyxy");
  EXPECT_STREQ(to_string(BoxFormat::xywh), "xywh");
  EXPECT_STREQ(to_string(BoxFormat::cxcywh), "cxcywh");
  EXPECT_STREQ(to_string(static_cast<BoxFormat>(99)), "unknown");
}

}  // namespace
}  // namespace cudet
