// Allocations, guards, copies and fills.
#include <cstdint>
#include <numeric>

#include "device_array.h"

namespace cudet::emulation {
namespace {

using MemoryTest = EmulationTest;

TEST_F(MemoryTest, AllocationsAreAlignedAndFilledWithRubbish) {
  for (const std::size_t bytes : {1u, 3u, 255u, 256u, 257u, 4096u}) {
    unsigned char* data = nullptr;
    ASSERT_EQ(cudaMalloc(&data, bytes), cudaSuccess);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 256, 0u);
    std::vector<unsigned char> values(bytes);
    ASSERT_EQ(cudaMemcpy(values.data(), data, bytes, cudaMemcpyDeviceToHost), cudaSuccess);
    EXPECT_EQ(values, std::vector<unsigned char>(bytes, 0xCB));
    EXPECT_EQ(cudaFree(data), cudaSuccess);
  }
}

TEST_F(MemoryTest, NothingIsAllocatedForNoBytes) {
  void* data = &data;
  EXPECT_EQ(cudaMalloc(&data, 0), cudaSuccess);
  EXPECT_EQ(data, nullptr);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
}

TEST_F(MemoryTest, TooMuchMemoryIsRefused) {
  void* data = nullptr;
  EXPECT_EQ(cudaMalloc(&data, SIZE_MAX), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(MemoryTest, OnlyStartsOfAllocationsCanBeFreed) {
  DeviceArray<int> array(4);
  int on_the_stack = 0;
  EXPECT_EQ(cudaFree(array.data() + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(&on_the_stack), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(array.data()), cudaErrorInvalidValue);
}

TEST_F(MemoryTest, TheNthAllocationFailsOnDemand) {
  fail_allocation(2);
  void* data[3] = {};
  EXPECT_EQ(cudaMalloc(&data[0], 8), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&data[1], 8), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&data[2], 8), cudaSuccess);
  cudaFree(data[0]);
  cudaFree(data[2]);
}

TEST_F(MemoryTest, Copies) {
  std::vector<int> values(100);
  std::iota(values.begin(), values.end(), 0);
  DeviceArray<int> a(values);
  DeviceArray<int> b(100);
  EXPECT_EQ(cudaMemcpy(b.data(), a.data(), 400, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(b.get(), values);
  EXPECT_EQ(cudaMemset(b.data() + 50, 0, 200), cudaSuccess);
  for (std::size_t i = 50; i < 100; ++i)
    values[i] = 0;
  EXPECT_EQ(b.get(), values);
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, 400), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(pinned, b.data(), 400, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(std::vector<int>(pinned, pinned + 100), values);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(MemoryTest, CopiesThatCannotBeRightAreRefused) {
  DeviceArray<int> array(10);
  std::vector<int> host(20);
  EXPECT_EQ(cudaMemcpy(array.data(), host.data(), 44, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue)
      << "past the end of the target";
  EXPECT_EQ(cudaMemcpy(host.data(), array.data() + 1, 40, cudaMemcpyDeviceToHost),
            cudaErrorInvalidValue)
      << "past the end of the source";
  EXPECT_EQ(cudaMemcpy(host.data(), host.data() + 10, 40, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue)
      << "no device memory";
  EXPECT_EQ(cudaMemcpy(array.data(), array.data(), 4, cudaMemcpyDeviceToHost),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(nullptr, host.data(), 4, cudaMemcpyDefault), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host.data(), 0, 4), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(array.data(), 0, 41), cudaErrorInvalidValue);
}

TEST_F(MemoryTest, PointersTellWhereTheyPoint) {
  DeviceArray<int> array(10);
  int on_the_stack = 0;
  cudaPointerAttributes attributes{};
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, array.data() + 9), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, array.data() + 10), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, &on_the_stack), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
}

// AddressSanitizer stops these writes itself (faults.cpp); the guards are for builds without it.
#ifndef __SANITIZE_ADDRESS__

__global__ void write_byte(unsigned char* data, int offset) {
  data[offset] = 1;
}

struct Overrun {
  int offset;
  const char* report;
};

TEST_F(MemoryTest, AWriteBesideAnAllocationIsFoundAtTheNextSynchronisation) {
  for (const Overrun& overrun :
       {Overrun{13, "0 bytes past the end of an allocation of 13 bytes was overwritten"},
        Overrun{20, "7 bytes past the end of an allocation of 13 bytes was overwritten"},
        Overrun{-1, "1 bytes before the start of an allocation of 13 bytes was overwritten"}}) {
    DeviceArray<unsigned char> array(13);
    ASSERT_EQ(run(write_byte, 1, 1, array.data(), overrun.offset), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    EXPECT_NE(last_report().find(overrun.report), std::string::npos) << last_report();
    EXPECT_NE(last_report().find("write_byte"), std::string::npos) << last_report();
    EXPECT_EQ(cudaMemset(array.data(), 0, 1), cudaErrorIllegalAddress) << "the error is sticky";
    reset();
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess) << "reported once";
  }
}

TEST_F(MemoryTest, AWriteBesideAnAllocationIsFoundWhenItIsFreed) {
  unsigned char* data = nullptr;
  ASSERT_EQ(cudaMalloc(&data, 64), cudaSuccess);
  ASSERT_EQ(run(write_byte, 1, 1, data, 64), cudaSuccess);
  EXPECT_EQ(cudaFree(data), cudaErrorIllegalAddress);
  EXPECT_NE(last_report().find("allocation of 64 bytes"), std::string::npos);
}

#endif

}  // namespace
}  // namespace cudet::emulation
