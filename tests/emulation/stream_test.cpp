// Streams and events, at once and deferred.
#include "stream_fixtures.h"

namespace cudet::emulation {
namespace {

using StreamTest = EmulationTest;

TEST_F(StreamTest, WorkRunsAtOnceUnlessDeferred) {
  Stream stream;
  PinnedInt value;
  launch_on(stream, add, value.data(), 5);
  EXPECT_EQ(value.get(), 5);
  EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);
}

TEST_F(StreamTest, DeferredWorkWaitsForASynchronisation) {
  Stream stream;
  PinnedInt value;
  set_deferred(true);
  launch_on(stream, add, value.data(), 5);
  launch_on(stream, multiply, value.data(), 3);
  EXPECT_EQ(value.get(), 0);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(value.get(), 15);
}

TEST_F(StreamTest, OneStreamsSynchronisationIsNotTheOthers) {
  Stream first;
  Stream second;
  PinnedInt a;
  PinnedInt b;
  set_deferred(true);
  launch_on(first, add, a.data(), 1);
  launch_on(second, add, b.data(), 1);
  EXPECT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  EXPECT_EQ(a.get(), 1);
  EXPECT_EQ(b.get(), 0);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(b.get(), 1);
}

TEST_F(StreamTest, QueriesSayNotReadyOnceAndEnd) {
  Stream stream;
  Event event;
  PinnedInt value;
  set_deferred(true);
  launch_on(stream, add, value.data(), 1);
  EXPECT_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);
  launch_on(stream, add, value.data(), 1);
  ASSERT_EQ(cudaEventRecord(event, stream), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  EXPECT_EQ(value.get(), 2);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "not ready is no error";
}

TEST_F(StreamTest, AStreamWaitsForAnothersEvent) {
  Stream producer;
  Stream consumer;
  Event event;
  PinnedInt value;
  set_deferred(true);
  launch_on(producer, add, value.data(), 7);
  ASSERT_EQ(cudaEventRecord(event, producer), cudaSuccess);
  launch_on(producer, add, value.data(), 1000);  // after the event: not waited for
  ASSERT_EQ(cudaStreamWaitEvent(consumer, event), cudaSuccess);
  launch_on(consumer, multiply, value.data(), 2);
  EXPECT_EQ(cudaStreamSynchronize(consumer), cudaSuccess);
  EXPECT_EQ(value.get(), 14);
  EXPECT_EQ(cudaStreamSynchronize(producer), cudaSuccess);
  EXPECT_EQ(value.get(), 1014);
}

// Without the event the consumer runs first, which is what a missing dependency looks like.
TEST_F(StreamTest, WithoutAnEventStreamsAreNotOrdered) {
  Stream producer;
  Stream consumer;
  PinnedInt value;
  set_deferred(true);
  launch_on(producer, add, value.data(), 7);
  launch_on(consumer, multiply, value.data(), 2);
  EXPECT_EQ(cudaStreamSynchronize(consumer), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(producer), cudaSuccess);
  EXPECT_EQ(value.get(), 7);
}

TEST_F(StreamTest, TheLegacyStreamOrdersBlockingStreams) {
  Stream blocking(cudaStreamDefault);
  Stream nonblocking;
  PinnedInt value;
  PinnedInt other;
  set_deferred(true);
  launch_on(blocking, add, value.data(), 3);
  launch_on(nonblocking, add, other.data(), 3);
  launch_on(nullptr, multiply, value.data(), 10);
  launch_on(blocking, add, value.data(), 1);
  EXPECT_EQ(cudaStreamSynchronize(blocking), cudaSuccess);
  EXPECT_EQ(value.get(), 31);
  EXPECT_EQ(other.get(), 0);
  EXPECT_EQ(cudaStreamSynchronize(nonblocking), cudaSuccess);
}

TEST_F(StreamTest, ACopyInTheLegacyStreamWaitsForBlockingStreamsOnly) {
  Stream blocking(cudaStreamDefault);
  Stream nonblocking;
  DeviceArray<int> values(std::vector<int>{0, 0});
  set_deferred(true);
  launch_on(blocking, add, values.data(), 1);
  launch_on(nonblocking, add, values.data() + 1, 1);
  EXPECT_EQ(values.get(), (std::vector<int>{1, 0}));
}

TEST_F(StreamTest, PageableSourcesAreReadAtTheCallPinnedOnesWhenTheCopyRuns) {
  Stream stream;
  DeviceArray<int> device(2);
  PinnedInt pinned;
  int pageable = 1;
  *pinned.data() = 1;
  set_deferred(true);
  ASSERT_EQ(cudaMemcpyAsync(device.data(), &pageable, 4, cudaMemcpyHostToDevice, stream),
            cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(device.data() + 1, pinned.data(), 4, cudaMemcpyHostToDevice, stream),
            cudaSuccess);
  pageable = 2;
  *pinned.data() = 2;
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(device.get(), (std::vector<int>{1, 2}));
}

TEST_F(StreamTest, ACopyWaitsForTheLegacyStreamAndFreeingForAll) {
  Stream stream;
  PinnedInt value;
  int* device = nullptr;
  ASSERT_EQ(cudaMalloc(&device, 4), cudaSuccess);
  set_deferred(true);
  cudaMemsetAsync(device, 1, 4, nullptr);
  launch_on(stream, add, value.data(), 1);
  int copied = 0;
  EXPECT_EQ(cudaMemcpy(&copied, device, 4, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(copied, 0x01010101);
  EXPECT_EQ(value.get(), 0);
  EXPECT_EQ(cudaFree(device), cudaSuccess);
  EXPECT_EQ(value.get(), 1);
}

TEST_F(StreamTest, EventsMeasureTime) {
  Event start;
  Event end;
  Event never;
  float milliseconds = -1.0f;
  ASSERT_EQ(cudaEventRecord(start), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(end), cudaSuccess);
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0.0f);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, never), cudaErrorInvalidResourceHandle);
  cudaEvent_t untimed = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(untimed), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, untimed), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventDestroy(untimed), cudaSuccess);
}

TEST_F(StreamTest, HandlesThatAreNoneAreRefused) {
  cudaStream_t destroyed = nullptr;
  ASSERT_EQ(cudaStreamCreate(&destroyed), cudaSuccess);
  ASSERT_EQ(cudaStreamDestroy(destroyed), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(destroyed), cudaErrorInvalidResourceHandle);
  const cudaLaunchConfig_t config = launch_config(1, 1, 0, destroyed);
  PinnedInt value;
  EXPECT_EQ(cudaLaunchKernelEx(&config, add, value.data(), 1), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(nullptr), cudaErrorInvalidResourceHandle);
}

}  // namespace
}  // namespace cudet::emulation
