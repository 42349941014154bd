// Where a call runs: on a CUDA stream with a workspace, or on the CPU.
#pragma once

#include <cudet/export.h>

#include <cstddef>

// As <cuda_runtime_api.h> declares it, so that this header needs no CUDA toolkit.
struct CUstream_st;
typedef struct CUstream_st* cudaStream_t;

namespace cudet {

class Execution {
 public:
  /// Device pointers, work enqueued on `stream` and nothing else: no allocation, no
  /// synchronisation. The call may be captured in a CUDA graph. `workspace` is device memory of at
  /// least the size that the operation's _workspace_size function gives, of any alignment; it is in
  /// use until the stream has passed the call. It may be null where that size is 0.
  static Execution cuda(cudaStream_t stream, void* workspace = nullptr,
                        std::size_t workspace_bytes = 0) noexcept {
    Execution execution;
    execution.is_cuda_ = true;
    execution.stream_ = stream;
    execution.workspace_ = workspace;
    execution.workspace_bytes_ = workspace_bytes;
    return execution;
  }

  /// Host pointers; the call returns when the result is there. `threads` = 0 takes what the machine
  /// has; the result does not depend on it.
  static Execution cpu(int threads = 0) noexcept {
    Execution execution;
    execution.threads_ = threads;
    return execution;
  }

  bool is_cuda() const noexcept { return is_cuda_; }
  cudaStream_t stream() const noexcept { return stream_; }
  void* workspace() const noexcept { return workspace_; }
  std::size_t workspace_bytes() const noexcept { return workspace_bytes_; }
  int threads() const noexcept { return threads_; }

 private:
  Execution() noexcept = default;

  bool is_cuda_ = false;
  int threads_ = 0;
  cudaStream_t stream_ = nullptr;
  void* workspace_ = nullptr;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace cudet
