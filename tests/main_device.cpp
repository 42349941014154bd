// Entry of the test programs that need a device. Without one they say why and return 77, which
// CTest reports as skipped (SKIP_RETURN_CODE).
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdio>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();

  constexpr int kSkipped = 77;
  int device_count = 0;
  const cudaError_t error = cudaGetDeviceCount(&device_count);
  if (error != cudaSuccess || device_count == 0) {
    std::printf("No device, nothing was tested: %s\n",
                error != cudaSuccess ? cudaGetErrorString(error) : "the device count is 0");
    return kSkipped;
  }
  cudaDeviceProp properties = {};
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) {
    std::printf("The properties of device 0 cannot be read\n");
    return 1;
  }
  std::printf("Device: %s, compute capability %d.%d\n", properties.name, properties.major,
              properties.minor);
  return RUN_ALL_TESTS();
}
