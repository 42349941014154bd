// Events: points in a stream that others wait for, and clocks.
#include <cudet_emulation/runtime_api.h>

#include "runtime.h"

namespace cudet::emulation {
namespace {

CUevent_st* find_event(Runtime& state, cudaEvent_t event) {
  return state.events.count(event) != 0 ? event : nullptr;
}

// Executes what the event was recorded after, if its stream still exists; a stream that is
// destroyed executes all its work before.
void reach(Runtime& state, const EventRecord& record) {
  const bool is_legacy = record.stream == &state.legacy_stream;
  if (is_legacy || state.streams.count(record.stream) != 0) {
    execute_until(state, *record.stream, record.sequence);
  }
}

cudaError_t record_in_capture(CUstream_st& stream, CUevent_st& event) {
  Capture& capture = *stream.capture;
  if (capture.invalid) return cudaErrorStreamCaptureInvalidated;
  event.record = std::make_shared<EventRecord>();
  event.record->captured = true;
  event.record->capture = stream.capture;
  event.record->clock = stream.capture_clock;
  return cudaSuccess;
}

// Waiting for a captured event is what brings a stream into the capture, or joins it to another.
cudaError_t wait_in_capture(CUstream_st& stream, const EventRecord& record) {
  const std::shared_ptr<Capture> capture = record.capture.lock();
  if (capture == nullptr) return cudaErrorInvalidValue;  // the capture has ended
  if (stream.capture == nullptr) {
    stream.capture = capture;
    stream.capture_clock.clear();
    // Counts as one operation, so that a stream with no work of its own must be joined too.
    stream.capture_clock[&stream] = capture->lengths[&stream] = 1;
  } else if (stream.capture != capture) {
    invalidate(*stream.capture);
    invalidate(*capture);
    return cudaErrorStreamCaptureMerge;
  }
  for (const auto& [other, length] : record.clock) {
    std::size_t& known = stream.capture_clock[other];
    if (known < length) known = length;
  }
  return capture->invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}

// The events' common reasons to refuse a question about them.
cudaError_t check_event(Runtime& state, cudaEvent_t handle) {
  const CUevent_st* const event = find_event(state, handle);
  if (event == nullptr) return cudaErrorInvalidResourceHandle;
  if (event->record == nullptr || !event->record->captured) return cudaSuccess;
  const std::shared_ptr<Capture> capture = event->record->capture.lock();
  if (capture != nullptr) invalidate(*capture);
  return cudaErrorCapturedEvent;
}

}  // namespace
}  // namespace cudet::emulation

namespace emulation = cudet::emulation;
using cudet::emulation::EventRecord;
using cudet::emulation::Runtime;
using cudet::emulation::runtime_call;

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
  return runtime_call([&](Runtime& state) {
    constexpr unsigned int kKnown = cudaEventBlockingSync | cudaEventDisableTiming;
    if (event == nullptr || (flags & ~kKnown) != 0) return cudaErrorInvalidValue;
    *event = new CUevent_st;
    (*event)->timing = (flags & cudaEventDisableTiming) == 0;
    state.events.insert(*event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return emulation::release_call([&](Runtime& state) {
    if (state.events.erase(event) == 0) return cudaErrorInvalidResourceHandle;
    delete event;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  return runtime_call([&](Runtime& state) {
    CUevent_st* const event = emulation::find_event(state, handle);
    CUstream_st* const stream = emulation::find_stream(state, stream_handle);
    if (event == nullptr || stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) return emulation::record_in_capture(*stream, *event);
    const auto record = std::make_shared<EventRecord>();
    record->stream = stream;
    record->sequence = state.next_sequence;
    event->record = record;
    return emulation::enqueue(state, stream_handle, cudaGraphNodeTypeEventRecord, [record] {
      record->time = std::chrono::steady_clock::now();
      record->complete = true;
    });
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream_handle, cudaEvent_t handle,
                                unsigned int flags) {
  return runtime_call([&](Runtime& state) {
    CUstream_st* const stream = emulation::find_stream(state, stream_handle);
    const CUevent_st* const event = emulation::find_event(state, handle);
    if (event == nullptr || stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (flags != cudaEventWaitDefault) return cudaErrorInvalidValue;
    const std::shared_ptr<EventRecord> record = event->record;
    if (record != nullptr && record->captured) {
      if (stream_handle == nullptr) return cudaErrorStreamCaptureImplicit;
      return emulation::wait_in_capture(*stream, *record);
    }
    if (stream->capture != nullptr) {
      emulation::invalidate(*stream->capture);
      return cudaErrorStreamCaptureIsolation;
    }
    if (record == nullptr) return cudaSuccess;
    return emulation::enqueue(state, stream_handle, cudaGraphNodeTypeWaitEvent,
                              [&state, record] { emulation::reach(state, *record); });
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return runtime_call([&](Runtime& state) {
    ++state.counters.synchronizations;
    const cudaError_t error = emulation::check_event(state, event);
    if (error != cudaSuccess || event->record == nullptr) return error;
    emulation::reach(state, *event->record);
    return emulation::check_guards(state);
  });
}

// Answers from before the call, then catches up, so that a loop that polls comes to an end.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return runtime_call([&](Runtime& state) {
    const cudaError_t error = emulation::check_event(state, event);
    if (error != cudaSuccess || event->record == nullptr) return error;
    const bool complete = event->record->complete;
    emulation::reach(state, *event->record);
    if (state.kernel_error != cudaSuccess) return state.kernel_error;
    return complete ? cudaSuccess : cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return runtime_call([&](Runtime& state) {
    for (const cudaEvent_t event : {start, end}) {
      const cudaError_t error = emulation::check_event(state, event);
      if (error != cudaSuccess) return error;
      if (event->record == nullptr || !event->timing) return cudaErrorInvalidResourceHandle;
      if (!event->record->complete) return cudaErrorNotReady;
    }
    if (milliseconds == nullptr) return cudaErrorInvalidValue;
    using Milliseconds = std::chrono::duration<float, std::milli>;
    *milliseconds = Milliseconds(end->record->time - start->record->time).count();
    return cudaSuccess;
  });
}
