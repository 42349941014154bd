// Stream capture and graphs.
#include <algorithm>
#include <memory>
#include <utility>

#include <cudet_emulation/runtime_api.h>

#include "runtime.h"

namespace cudet::emulation {
namespace {

// Takes all streams out of a capture.
void disband(Runtime& state, const std::shared_ptr<Capture>& capture) {
  for (CUstream_st* stream : state.streams) {
    if (stream->capture != capture) continue;
    stream->capture.reset();
    stream->capture_clock.clear();
  }
}

// Whether the first stream comes after all that the others put into the capture.
bool all_joined(const Capture& capture) {
  const CaptureClock& known = capture.origin->capture_clock;
  return std::all_of(capture.lengths.begin(), capture.lengths.end(), [&](const auto& entry) {
    const auto found = known.find(entry.first);
    return found != known.end() && found->second >= entry.second;
  });
}

}  // namespace

void invalidate(Capture& capture) {
  capture.invalid = true;
}

}  // namespace cudet::emulation

namespace emulation = cudet::emulation;
using cudet::emulation::Capture;
using cudet::emulation::Runtime;
using cudet::emulation::runtime_call;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return runtime_call([&](Runtime& state) {
    if (stream == nullptr) return cudaErrorStreamCaptureUnsupported;
    if (state.streams.count(stream) == 0) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) return cudaErrorIllegalState;
    stream->capture = std::make_shared<Capture>();
    stream->capture->mode = mode;
    stream->capture->thread = std::this_thread::get_id();
    stream->capture->origin = stream;
    stream->capture_clock = {{stream, 0}};
    stream->capture->lengths = stream->capture_clock;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return runtime_call([&](Runtime& state) {
    if (graph == nullptr) return cudaErrorInvalidValue;
    *graph = nullptr;
    if (state.streams.count(stream) == 0) return cudaErrorInvalidResourceHandle;
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture == nullptr) return cudaErrorIllegalState;
    if (capture->origin != stream) {
      emulation::invalidate(*capture);
      return cudaErrorStreamCaptureUnmatched;
    }
    if (capture->mode != cudaStreamCaptureModeRelaxed &&
        capture->thread != std::this_thread::get_id()) {
      emulation::invalidate(*capture);
      return cudaErrorStreamCaptureWrongThread;
    }
    const bool joined = emulation::all_joined(*capture);
    emulation::disband(state, capture);
    if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
    if (!joined) return cudaErrorStreamCaptureUnjoined;
    *graph = new CUgraph_st(std::move(capture->graph));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return runtime_call([&](Runtime& state) {
    const CUstream_st* const stream = emulation::find_stream(state, handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (status == nullptr) return cudaErrorInvalidValue;
    *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return runtime_call([&](Runtime&) {
    if (graph == nullptr || count == nullptr) return cudaErrorInvalidValue;
    const std::size_t available = graph->nodes.size();
    if (nodes == nullptr) {
      *count = available;
      return cudaSuccess;
    }
    for (std::size_t i = 0; i < *count; ++i) {
      nodes[i] = i < available ? graph->nodes[i].get() : nullptr;
    }
    *count = std::min(*count, available);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return runtime_call([&](Runtime&) {
    if (node == nullptr || type == nullptr) return cudaErrorInvalidValue;
    *type = node->type;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags) {
  return runtime_call([&](Runtime&) {
    if (executable == nullptr || graph == nullptr || flags != 0) return cudaErrorInvalidValue;
    *executable = new CUgraphExec_st;
    for (const auto& node : graph->nodes)
      (*executable)->nodes.push_back(*node);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return runtime_call([&](Runtime& state) {
    if (executable == nullptr) return cudaErrorInvalidValue;
    ++state.counters.graph_launches;
    // A copy, since the executable may be destroyed before deferred work runs.
    return emulation::enqueue(state, stream, cudaGraphNodeTypeGraph,
                              [&state, nodes = executable->nodes] {
                                for (const CUgraphNode_st& node : nodes) {
                                  if (state.kernel_error == cudaSuccess) node.action();
                                }
                              });
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return emulation::release_call([&](Runtime&) {
    if (executable == nullptr) return cudaErrorInvalidValue;
    delete executable;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return emulation::release_call([&](Runtime&) {
    if (graph == nullptr) return cudaErrorInvalidValue;
    delete graph;
    return cudaSuccess;
  });
}
