// Stream capture and graphs.
#include <thread>

#include "stream_fixtures.h"

namespace cudet::emulation {
namespace {

using GraphTest = EmulationTest;

// Instantiates a graph, destroys it, and launches what is left.
class Replay {
 public:
  explicit Replay(cudaGraph_t graph) {
    EXPECT_EQ(cudaGraphInstantiate(&executable_, graph), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  ~Replay() { EXPECT_EQ(cudaGraphExecDestroy(executable_), cudaSuccess); }
  cudaError_t launch(cudaStream_t stream) { return cudaGraphLaunch(executable_, stream); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

TEST_F(GraphTest, CaptureRecordsAndReplayExecutesOnTheMemoryOfThatMoment) {
  Stream stream;
  PinnedInt value;
  PinnedInt source;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(value.data(), source.data(), 4, cudaMemcpyDefault, stream),
            cudaSuccess);
  int amount = 5;
  launch_on(stream, add, value.data(), amount);
  amount = 99;  // arguments were copied at the launch
  launch_on(stream, multiply, value.data(), 2);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(value.get(), 0) << "nothing runs during capture";

  std::size_t count = 0;
  ASSERT_EQ(cudaGraphGetNodes(graph, nullptr, &count), cudaSuccess);
  ASSERT_EQ(count, 3u);
  cudaGraphNode_t nodes[3] = {};
  ASSERT_EQ(cudaGraphGetNodes(graph, nodes, &count), cudaSuccess);
  const cudaGraphNodeType types[] = {cudaGraphNodeTypeMemcpy, cudaGraphNodeTypeKernel,
                                     cudaGraphNodeTypeKernel};
  for (std::size_t i = 0; i < 3; ++i) {
    cudaGraphNodeType type{};
    ASSERT_EQ(cudaGraphNodeGetType(nodes[i], &type), cudaSuccess);
    EXPECT_EQ(type, types[i]);
  }

  Replay replay(graph);
  for (const int start : {1, 10, 10}) {
    *source.data() = start;
    ASSERT_EQ(replay.launch(stream), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(value.get(), (start + 5) * 2);
  }
  EXPECT_EQ(counters().graph_launches, 3);
  EXPECT_EQ(counters().launches, 2);
}

TEST_F(GraphTest, ReplayOfDeferredWorkWaits) {
  Stream stream;
  PinnedInt value;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  launch_on(stream, add, value.data(), 1);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  set_deferred(true);
  {
    Replay replay(graph);
    ASSERT_EQ(replay.launch(stream), cudaSuccess);
    ASSERT_EQ(replay.launch(stream), cudaSuccess);
  }  // the executable may go before its work is done
  EXPECT_EQ(value.get(), 0);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(value.get(), 2);
}

TEST_F(GraphTest, AGraphMayBeCapturedIntoAnother) {
  Stream stream;
  PinnedInt value;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  launch_on(stream, add, value.data(), 3);
  cudaGraph_t inner = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &inner), cudaSuccess);
  Replay inner_replay(inner);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(inner_replay.launch(stream), cudaSuccess);
  launch_on(stream, multiply, value.data(), 2);
  cudaGraph_t outer = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &outer), cudaSuccess);
  Replay outer_replay(outer);
  ASSERT_EQ(outer_replay.launch(stream), cudaSuccess);
  ASSERT_EQ(outer_replay.launch(stream), cudaSuccess);
  EXPECT_EQ(value.get(), 18);
}

TEST_F(GraphTest, ASecondStreamJoinsTheCaptureThroughEvents) {
  Stream first;
  Stream second;
  Event forked;
  Event joined;
  PinnedInt value;
  ASSERT_EQ(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal), cudaSuccess);
  launch_on(first, add, value.data(), 2);
  ASSERT_EQ(cudaEventRecord(forked, first), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(second, forked), cudaSuccess);
  cudaStreamCaptureStatus status{};
  ASSERT_EQ(cudaStreamIsCapturing(second, &status), cudaSuccess);
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  launch_on(second, multiply, value.data(), 10);
  ASSERT_EQ(cudaEventRecord(joined, second), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(first, joined), cudaSuccess);
  launch_on(first, add, value.data(), 1);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(first, &graph), cudaSuccess);
  ASSERT_EQ(cudaStreamIsCapturing(second, &status), cudaSuccess);
  EXPECT_EQ(status, cudaStreamCaptureStatusNone);
  Replay replay(graph);
  ASSERT_EQ(replay.launch(first), cudaSuccess);
  EXPECT_EQ(value.get(), 21);
}

TEST_F(GraphTest, AStreamThatIsNotJoinedAgainFailsTheCapture) {
  Stream first;
  Stream second;
  Event forked;
  Event joined;
  PinnedInt value;
  ASSERT_EQ(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(forked, first), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(second, forked), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(joined, second), cudaSuccess);
  launch_on(second, add, value.data(), 1);  // after the event that joins
  ASSERT_EQ(cudaStreamWaitEvent(first, joined), cudaSuccess);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(first, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
}

// Each call is illegal while a stream captures: it says so, and the capture is lost.
struct IllegalCall {
  const char* name;
  cudaError_t expected;
  cudaError_t (*call)(cudaStream_t capturing, void* device);
};

const IllegalCall kIllegalCalls[] = {
    {"cudaMalloc", cudaErrorStreamCaptureUnsupported,
     [](cudaStream_t, void*) {
       void* data = nullptr;
       return cudaMalloc(&data, 8);
     }},
    {"cudaMallocHost", cudaErrorStreamCaptureUnsupported,
     [](cudaStream_t, void*) {
       void* data = nullptr;
       return cudaMallocHost(&data, 8);
     }},
    {"cudaFree", cudaErrorStreamCaptureUnsupported,
     [](cudaStream_t, void* device) { return cudaFree(device); }},
    {"cudaMemcpy", cudaErrorStreamCaptureUnsupported,
     [](cudaStream_t, void* device) {
       int value = 0;
       return cudaMemcpy(&value, device, 4, cudaMemcpyDeviceToHost);
     }},
    {"cudaMemset", cudaErrorStreamCaptureUnsupported,
     [](cudaStream_t, void* device) { return cudaMemset(device, 0, 4); }},
    {"cudaDeviceSynchronize", cudaErrorStreamCaptureUnsupported,
     [](cudaStream_t, void*) { return cudaDeviceSynchronize(); }},
    {"cudaStreamSynchronize", cudaErrorStreamCaptureUnsupported,
     [](cudaStream_t capturing, void*) { return cudaStreamSynchronize(capturing); }},
    {"cudaStreamQuery", cudaErrorStreamCaptureUnsupported,
     [](cudaStream_t capturing, void*) { return cudaStreamQuery(capturing); }},
    {"work in the legacy stream", cudaErrorStreamCaptureImplicit,
     [](cudaStream_t, void* device) { return cudaMemsetAsync(device, 0, 4, nullptr); }},
    {"an event from outside", cudaErrorStreamCaptureIsolation,
     [](cudaStream_t capturing, void*) {
       Event event;
       Stream other;
       cudaEventRecord(event, other);
       return cudaStreamWaitEvent(capturing, event);
     }},
    {"waiting for a captured event", cudaErrorCapturedEvent,
     [](cudaStream_t capturing, void*) {
       Event event;
       cudaEventRecord(event, capturing);
       return cudaEventSynchronize(event);
     }},
};

TEST_F(GraphTest, IllegalCallsInvalidateTheCapture) {
  DeviceArray<int> array(std::vector<int>{42});
  for (const IllegalCall& illegal : kIllegalCalls) {
    SCOPED_TRACE(illegal.name);
    Stream stream(cudaStreamDefault);
    PinnedInt value;
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    launch_on(stream, add, value.data(), 1);
    EXPECT_EQ(illegal.call(stream, array.data()), illegal.expected);
    cudaStreamCaptureStatus status{};
    ASSERT_EQ(cudaStreamIsCapturing(stream, &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
    const cudaLaunchConfig_t config = launch_config(1, 1, 0, stream);
    EXPECT_EQ(cudaLaunchKernelEx(&config, add, value.data(), 1), cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureInvalidated);
    launch_on(stream, add, value.data(), 1);  // the stream is as good as new
    EXPECT_EQ(value.get(), 1);
  }
  EXPECT_EQ(array.get()[0], 42);
}

TEST_F(GraphTest, ARelaxedCaptureAllowsAllocation) {
  Stream stream;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaSuccess);
  void* data = nullptr;
  EXPECT_EQ(cudaMalloc(&data, 8), cudaSuccess);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST_F(GraphTest, AThreadLocalCaptureConcernsItsThreadOnly) {
  Stream stream;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  std::thread([] {
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, 8), cudaSuccess);
    EXPECT_EQ(cudaFree(data), cudaSuccess);
  }).join();
  void* data = nullptr;
  EXPECT_EQ(cudaMalloc(&data, 8), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
}

TEST_F(GraphTest, CapturesBeginAndEndInTheirPlace) {
  Stream stream;
  Stream other;
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
            cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaErrorIllegalState);
  EXPECT_EQ(cudaStreamEndCapture(other, &graph), cudaErrorIllegalState);
  std::thread([&] {
    cudaGraph_t stolen = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &stolen), cudaErrorStreamCaptureWrongThread);
  }).join();
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
}

}  // namespace
}  // namespace cudet::emulation
