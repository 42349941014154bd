// Streams, events, captures and graphs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include <cudet_emulation/runtime_types.h>

namespace cudet::emulation {

struct Runtime;
struct Capture;

// Work that a stream will do. Sequence numbers grow over all streams, in the order of the calls.
struct Operation {
  std::uint64_t sequence;
  std::function<void()> action;
};

// How many operations of each stream of a capture a point in it comes after.
using CaptureClock = std::map<const CUstream_st*, std::size_t>;

// What an event last recorded.
struct EventRecord {
  CUstream_st* stream = nullptr;
  std::uint64_t sequence = 0;
  bool complete = false;
  std::chrono::steady_clock::time_point time;
  std::weak_ptr<Capture> capture;  // set if the stream was capturing
  bool captured = false;
  CaptureClock clock;
};

// Puts work into a stream: into its capture, or into its queue, where it is executed at once unless
// execution is deferred.
cudaError_t enqueue(Runtime& state, cudaStream_t stream, cudaGraphNodeType type,
                    std::function<void()> action);

// Executes a stream's work up to a sequence number, after all that this work must wait for.
void execute_until(Runtime& state, CUstream_st& stream, std::uint64_t sequence);

// The object of a handle, or null if there is none.
CUstream_st* find_stream(Runtime& state, cudaStream_t stream);

// Marks a capture as failed: its end will say so.
void invalidate(Capture& capture);

}  // namespace cudet::emulation

struct CUstream_st {
  bool blocking = true;  // orders itself with the legacy stream
  std::deque<cudet::emulation::Operation> pending;
  std::shared_ptr<cudet::emulation::Capture> capture;
  cudet::emulation::CaptureClock capture_clock;
};

struct CUevent_st {
  bool timing = true;
  std::shared_ptr<cudet::emulation::EventRecord> record;  // null: never recorded
};

struct CUgraphNode_st {
  cudaGraphNodeType type;
  std::function<void()> action;
};

// Nodes in the order of their capture, which respects all dependencies.
struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
};

struct CUgraphExec_st {
  std::vector<CUgraphNode_st> nodes;
};

namespace cudet::emulation {

struct Capture {
  CUgraph_st graph;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;  // which began it
  CUstream_st* origin = nullptr;
  CaptureClock lengths;  // of all streams that take part
  bool invalid = false;
};

}  // namespace cudet::emulation
