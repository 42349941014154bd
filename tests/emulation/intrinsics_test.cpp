// Arithmetic and bit intrinsics, cached loads and stores, layouts of the vector types.
#include <cstdint>
#include <limits>
#include <type_traits>

#include "device_array.h"

namespace cudet::emulation {
namespace {

using IntrinsicsTest = EmulationTest;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST_F(IntrinsicsTest, CountingBits) {
  EXPECT_EQ(__popc(0u), 0);
  EXPECT_EQ(__popc(0xF000000Fu), 8);
  EXPECT_EQ(__popcll(0xF00000000000000Full), 8);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(0x50), 5);
  EXPECT_EQ(__ffsll(0), 0);
  EXPECT_EQ(__ffsll(1ll << 40), 41);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(-1), 0);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clzll(0), 64);
  EXPECT_EQ(__clzll(1ll << 40), 23);
}

TEST_F(IntrinsicsTest, MovingBits) {
  EXPECT_EQ(__brev(1u), 0x80000000u);
  EXPECT_EQ(__brev(0x0000F0F1u), 0x8F0F0000u);
  EXPECT_EQ(__brevll(0x1ull), 0x8000000000000000ull);
  EXPECT_EQ(__brevll(0xF1ull << 32), 0x8F000000ull);
  EXPECT_EQ(__funnelshift_l(0x89ABCDEFu, 0x01234567u, 8), 0x23456789u);
  EXPECT_EQ(__funnelshift_l(0x89ABCDEFu, 0x01234567u, 32), 0x01234567u);  // shift modulo 32
  EXPECT_EQ(__funnelshift_r(0x89ABCDEFu, 0x01234567u, 8), 0x6789ABCDu);
  EXPECT_EQ(__funnelshift_r(0x89ABCDEFu, 0x01234567u, 40), 0x6789ABCDu);
  EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x0123u), 0x00112233u);
  EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x7654u), 0x77665544u);
  EXPECT_EQ(__byte_perm(0x00008000u, 0u, 0x0009u), 0x000000FFu);  // the sign of byte 1, replicated
  EXPECT_EQ(__umulhi(0xFFFFFFFFu, 0xFFFFFFFFu), 0xFFFFFFFEu);
  EXPECT_EQ(__mulhi(-1, 1), -1);
}

TEST_F(IntrinsicsTest, BitsOfFloats) {
  EXPECT_EQ(__float_as_uint(-2.0f), 0xC0000000u);
  EXPECT_EQ(__uint_as_float(0x3F800000u), 1.0f);
  EXPECT_EQ(__float_as_int(-0.0f), std::numeric_limits<int>::min());
  EXPECT_EQ(__int_as_float(0x40400000), 3.0f);
  EXPECT_EQ(__longlong_as_double(__double_as_longlong(0.1)), 0.1);
}

// With a fused multiply-add the product's rounding error would survive the subtraction.
TEST_F(IntrinsicsTest, ProductsAndSumsAreNotFused) {
  volatile float a = 1.0f + 0x1p-12f;
  const float product = __fmul_rn(a, a);
  EXPECT_EQ(__fsub_rn(__fmul_rn(a, a), product), 0.0f);
  EXPECT_EQ(__fmaf_rn(a, a, -product), 0x1p-24f);
  volatile float b = a;
  EXPECT_EQ(b * b - product, 0.0f);
}

TEST_F(IntrinsicsTest, RoundedOnce) {
  EXPECT_EQ(__fadd_rn(1.0f, 0x1p-24f), 1.0f);
  EXPECT_EQ(__fdiv_rn(1.0f, 3.0f), 0x1.555556p-2f);
  EXPECT_EQ(__frcp_rn(3.0f), 0x1.555556p-2f);
  EXPECT_EQ(__fsqrt_rn(2.0f), 0x1.6a09e6p+0f);
  EXPECT_EQ(rsqrtf(4.0f), 0.5f);
  EXPECT_EQ(__saturatef(-1.0f), 0.0f);
  EXPECT_EQ(__saturatef(0.25f), 0.25f);
  EXPECT_EQ(__saturatef(kInfinity), 1.0f);
  EXPECT_EQ(__saturatef(kNaN), 0.0f);
}

TEST_F(IntrinsicsTest, MinimumAndMaximum) {
  EXPECT_EQ(min(-1, 2), -1);
  EXPECT_EQ(max(-1, 2), 2);
  EXPECT_EQ(min(-1, 2u), 2u);  // as unsigned, like CUDA
  EXPECT_EQ(max(3ull, 4ull), 4ull);
  EXPECT_EQ(min(-5ll, 4ll), -5ll);
  EXPECT_EQ(min(kNaN, 1.0f), 1.0f);
  EXPECT_EQ(max(1.0f, kNaN), 1.0f);
  EXPECT_EQ(fminf(kNaN, 1.0f), 1.0f);
  EXPECT_EQ(fmaxf(1.0f, kNaN), 1.0f);
  EXPECT_EQ(fmaxf(-kInfinity, kNaN), -kInfinity);
  EXPECT_NE(fminf(kNaN, kNaN), 0.0f);
  static_assert(std::is_same_v<decltype(min(1, 2u)), unsigned int>);
}

__global__ void cached_copy(const float4* in, float4* out) {
  const float4 value = __ldg(&in[threadIdx.x]);
  __stcs(&out[threadIdx.x], make_float4(value.w, value.z, value.y, value.x));
  const unsigned char first = __ldcs(reinterpret_cast<const unsigned char*>(&in[threadIdx.x]) + 3);
  __stcg(&out[32 + threadIdx.x], make_float4(static_cast<float>(first), 0.0f, 0.0f, 0.0f));
}

TEST_F(IntrinsicsTest, CachedLoadsAndStores) {
  std::vector<float4> values(32);
  for (std::size_t i = 0; i < 32; ++i) {
    values[i] = make_float4(static_cast<float>(i + 1), 1.0f, 2.0f, 3.0f);
  }
  DeviceArray<float4> in(values);
  DeviceArray<float4> out(64);
  ASSERT_EQ(run(cached_copy, 1, 32, in.data(), out.data()), cudaSuccess);
  const std::vector<float4> results = out.get();
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(results[i].x, 3.0f);
    EXPECT_EQ(results[i].w, static_cast<float>(i + 1));
    EXPECT_EQ(results[32 + i].x, static_cast<float>(__float_as_uint(values[i].x) >> 24));
  }
}

// The table of the CUDA C++ Programming Guide, "Built-in Vector Types".
template <typename T>
constexpr bool has_layout(std::size_t size, std::size_t alignment) {
  return sizeof(T) == size && alignof(T) == alignment && std::is_trivially_copyable_v<T>;
}
static_assert(has_layout<char1>(1, 1) && has_layout<char2>(2, 2) && has_layout<char3>(3, 1) &&
              has_layout<char4>(4, 4));
static_assert(has_layout<uchar1>(1, 1) && has_layout<uchar2>(2, 2) && has_layout<uchar3>(3, 1) &&
              has_layout<uchar4>(4, 4));
static_assert(has_layout<short1>(2, 2) && has_layout<short2>(4, 4) && has_layout<short3>(6, 2) &&
              has_layout<short4>(8, 8));
static_assert(has_layout<ushort2>(4, 4) && has_layout<ushort3>(6, 2) && has_layout<ushort4>(8, 8));
static_assert(has_layout<int1>(4, 4) && has_layout<int2>(8, 8) && has_layout<int3>(12, 4) &&
              has_layout<int4>(16, 16));
static_assert(has_layout<uint2>(8, 8) && has_layout<uint3>(12, 4) && has_layout<uint4>(16, 16));
static_assert(has_layout<float1>(4, 4) && has_layout<float2>(8, 8) && has_layout<float3>(12, 4) &&
              has_layout<float4>(16, 16));
static_assert(has_layout<longlong1>(8, 8) && has_layout<longlong2>(16, 16));
static_assert(has_layout<ulonglong2>(16, 16) && has_layout<double2>(16, 16));
static_assert(sizeof(dim3) == 12 && alignof(dim3) == 4);
static_assert(std::is_same_v<cudaStream_t, struct CUstream_st*>);
static_assert(std::is_same_v<cudaEvent_t, struct CUevent_st*>);

}  // namespace
}  // namespace cudet::emulation
