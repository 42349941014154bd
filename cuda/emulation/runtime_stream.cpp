// Streams: order of execution, waiting, and what may go into a capture.
#include <utility>

#include <cudet_emulation/runtime_api.h>

#include "runtime.h"

namespace cudet::emulation {
namespace {

// Work in the legacy stream would wait for every blocking stream, a capturing one included.
cudaError_t forbid_implicit_dependency(Runtime& state) {
  cudaError_t error = cudaSuccess;
  for (CUstream_st* stream : state.streams) {
    if (stream->capture == nullptr || !stream->blocking) continue;
    invalidate(*stream->capture);
    error = cudaErrorStreamCaptureImplicit;
  }
  return error;
}

cudaError_t enqueue_in_capture(CUstream_st& stream, cudaGraphNodeType type,
                               std::function<void()> action) {
  Capture& capture = *stream.capture;
  if (capture.invalid) return cudaErrorStreamCaptureInvalidated;
  capture.graph.nodes.push_back(
      std::make_unique<CUgraphNode_st>(CUgraphNode_st{type, std::move(action)}));
  stream.capture_clock[&stream] = ++capture.lengths[&stream];
  return cudaSuccess;
}

}  // namespace

CUstream_st* find_stream(Runtime& state, cudaStream_t stream) {
  if (stream == nullptr) return &state.legacy_stream;
  return state.streams.count(stream) != 0 ? stream : nullptr;
}

cudaError_t enqueue(Runtime& state, cudaStream_t handle, cudaGraphNodeType type,
                    std::function<void()> action) {
  CUstream_st* const stream = find_stream(state, handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (stream->capture != nullptr) return enqueue_in_capture(*stream, type, std::move(action));
  if (handle == nullptr) {
    const cudaError_t error = forbid_implicit_dependency(state);
    if (error != cudaSuccess) return error;
  }
  const std::uint64_t sequence = state.next_sequence++;
  stream->pending.push_back({sequence, std::move(action)});
  if (!state.deferred) execute_until(state, *stream, sequence);
  return cudaSuccess;
}

// Whatever an operation waits for was enqueued before it, so the recursion ends.
void execute_until(Runtime& state, CUstream_st& stream, std::uint64_t sequence) {
  while (!stream.pending.empty() && stream.pending.front().sequence <= sequence) {
    const Operation operation = std::move(stream.pending.front());
    stream.pending.pop_front();
    if (&stream == &state.legacy_stream) {
      for (CUstream_st* other : state.streams) {
        if (other->blocking) execute_until(state, *other, operation.sequence);
      }
    } else if (stream.blocking) {
      execute_until(state, state.legacy_stream, operation.sequence);
    }
    if (state.kernel_error == cudaSuccess) operation.action();
  }
}

}  // namespace cudet::emulation

namespace emulation = cudet::emulation;
using cudet::emulation::Runtime;
using cudet::emulation::runtime_call;

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags) {
  return runtime_call([&](Runtime& state) {
    if (stream == nullptr || (flags & ~cudaStreamNonBlocking) != 0) return cudaErrorInvalidValue;
    *stream = new CUstream_st;
    (*stream)->blocking = flags != cudaStreamNonBlocking;
    state.streams.insert(*stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return emulation::release_call([&](Runtime& state) {
    if (state.streams.count(stream) == 0) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) emulation::invalidate(*stream->capture);
    emulation::execute_until(state, *stream, state.next_sequence);
    state.streams.erase(stream);
    delete stream;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return runtime_call([&](Runtime& state) {
    ++state.counters.synchronizations;
    CUstream_st* const stream = emulation::find_stream(state, handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) {
      emulation::invalidate(*stream->capture);
      return cudaErrorStreamCaptureUnsupported;
    }
    if (handle == nullptr) {
      const cudaError_t forbidden = emulation::forbid_while_capturing(state);
      if (forbidden != cudaSuccess) return forbidden;
      // The legacy stream has caught up only when the blocking streams have.
      for (CUstream_st* other : state.streams) {
        if (other->blocking) emulation::execute_until(state, *other, state.next_sequence);
      }
    }
    emulation::execute_until(state, *stream, state.next_sequence);
    return emulation::check_guards(state);
  });
}

// Answers from before the call, then catches up, so that a loop that polls comes to an end.
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return runtime_call([&](Runtime& state) {
    CUstream_st* const stream = emulation::find_stream(state, handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) {
      emulation::invalidate(*stream->capture);
      return cudaErrorStreamCaptureUnsupported;
    }
    if (stream->pending.empty()) return cudaSuccess;
    emulation::execute_until(state, *stream, state.next_sequence);
    return state.kernel_error != cudaSuccess ? state.kernel_error : cudaErrorNotReady;
  });
}
