// The tests' own device buffers: they must see what a kernel does wrong.

#include "support/device.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

TEST(DeviceArray, StartsAtTheOffset) {
  for (const std::size_t offset : {0u, 1u, 4u, 100u, 255u}) {
    const DeviceArray<std::uint8_t> array(10, offset);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.data()) % 256, offset);
  }
}

TEST(DeviceArray, ComesBackTheSame) {
  DeviceArray<float> array(std::vector<float>{1.0f, 2.0f, 3.0f}, 4);
  EXPECT_EQ(array.download(), (std::vector<float>{1.0f, 2.0f, 3.0f}));
  array.poison(7.0f);
  EXPECT_EQ(array.download(), (std::vector<float>{7.0f, 7.0f, 7.0f}));
  array.poison();
  for (const float value : array.download())
    EXPECT_NE(value, value);  // NaN
}

TEST(DeviceArray, HasTheShapeOfItsCount) {
  const DeviceArray<float> array(6);
  EXPECT_EQ(array.tensor({2, 3}).size(1), 3);
  EXPECT_THROW((void)array.tensor({2, 2}), std::logic_error);
}

TEST(DeviceTensor, ComesBackTheSame) {
  const HostTensor values = HostTensor::of_reals(DataType::float16, {2, 2}, {1, 2, 3, 4});
  const DeviceTensor tensor(values, 2);
  EXPECT_TRUE(same_bits(tensor.download(), values));
  EXPECT_FALSE(DeviceTensor().tensor().present());
}

// AddressSanitizer closes the guards of the emulated device, and then reads are seen as well.
#if defined(__SANITIZE_ADDRESS__)
TEST(DeviceArrayDeathTest, SeesReadsOutside) {
  const DeviceArray<std::int64_t> array(3);
  const volatile std::int64_t* data = array.data();
  EXPECT_DEATH((void)data[3], "AddressSanitizer");
  EXPECT_DEATH((void)data[-1], "AddressSanitizer");
}
#else
TEST(DeviceArray, SeesWritesOutside) {
  struct Place {
    std::ptrdiff_t from_start;
    const char* message;
  };
  for (const Place& place : {Place{-1, "before the device buffer"}, Place{-256, "before"},
                             Place{40, "behind the device buffer"}, Place{40 + 255, "behind"}}) {
    SCOPED_TRACE(place.from_start);
    const DeviceArray<float> array(10, 4);
    char* address = reinterpret_cast<char*>(array.data()) + place.from_start;
    check_cuda(cudaMemset(address, 0, 1), "cudaMemset");
    EXPECT_NONFATAL_FAILURE((void)array.download(), place.message);
    check_cuda(cudaMemset(address, kGuardByte, 1), "cudaMemset");
  }
}
#endif

TEST(RunInMode, RunsAndPoisonsEachTime) {
  for (const StreamMode mode : kStreamModes) {
    SCOPED_TRACE(to_string(mode));
    DeviceArray<std::uint8_t> array(16);
    int checks = 0;
    run_in_mode(
        mode,
        [&](cudaStream_t stream) {
          const cudaError_t error = cudaMemsetAsync(array.data(), 3, 16, stream);
          return error == cudaSuccess ? Status()
                                      : Status::error(StatusCode::cuda_error, "cudaMemsetAsync");
        },
        [&] { array.poison(); },
        [&] {
          ++checks;
          EXPECT_EQ(array.download(), std::vector<std::uint8_t>(16, 3));
        });
    EXPECT_EQ(checks, mode == StreamMode::captured ? 2 : 1);
  }
}

Status failing_call(cudaStream_t) {
  return Status::error(StatusCode::cuda_error, "reason of the failure");
}

TEST(RunInMode, ReportsAFailedCall) {
  EXPECT_NONFATAL_FAILURE(run_in_mode(
                              StreamMode::other_stream, failing_call, [] {}, [] {}),
                          "reason of the failure");
}

}  // namespace
}  // namespace cudet::test
