#include "runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "errors.h"

namespace cudet::emulation {
namespace {

constexpr std::uint64_t kDefaultSeed = 1;

std::uint64_t initial_seed() {
  const char* text = std::getenv("CUDET_EMULATION_SEED");
  return text == nullptr ? kDefaultSeed : std::strtoull(text, nullptr, 0);
}

bool initially_deferred() {
  const char* text = std::getenv("CUDET_EMULATION_DEFER");
  return text != nullptr && std::strcmp(text, "1") == 0;
}

}  // namespace

thread_local cudaError_t last_error = cudaSuccess;

Runtime::Runtime() : seed(initial_seed()), deferred(initially_deferred()) {}

Runtime& runtime() {
  static Runtime& state = *new Runtime;  // never destroyed: statics of a test may outlive it
  return state;
}

cudaError_t synchronize_device(Runtime& state) {
  const std::uint64_t end = state.next_sequence;
  execute_until(state, state.legacy_stream, end);
  for (CUstream_st* stream : state.streams)
    execute_until(state, *stream, end);
  return check_guards(state);
}

cudaError_t check_guards(Runtime& state) {
  const std::string damage = state.memory.find_damage();
  if (!damage.empty()) {
    record_kernel_error(cudaErrorIllegalAddress,
                        damage + " (the last kernel was '" + state.last_kernel + "')");
  }
  return state.kernel_error;
}

cudaError_t forbid_while_capturing(Runtime& state) {
  cudaError_t error = cudaSuccess;
  for (CUstream_st* stream : state.streams) {
    if (stream->capture == nullptr) continue;
    Capture& capture = *stream->capture;
    if (capture.mode == cudaStreamCaptureModeRelaxed) continue;
    if (capture.mode == cudaStreamCaptureModeThreadLocal &&
        capture.thread != std::this_thread::get_id()) {
      continue;
    }
    invalidate(capture);
    error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}

void record_kernel_error(cudaError_t error, const std::string& report) {
  Runtime& state = runtime();
  if (state.kernel_error != cudaSuccess) return;
  state.kernel_error = error;
  state.report = report;
  std::fprintf(stderr, "cudet emulated device: %s\n", report.c_str());
}

std::string describe(Site site) {
  return std::string(site.file) + ":" + std::to_string(site.line);
}

std::string describe(const uint3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," +
         std::to_string(index.z) + ")";
}

std::string describe_mask(unsigned int mask) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08x", mask);
  return text;
}

}  // namespace cudet::emulation
