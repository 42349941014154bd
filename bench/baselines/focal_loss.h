// Sigmoid focal loss as it is usually written: to compare with, not to use. One thread an element,
// its row by a division, probabilities first and their logarithms after, one pass over the logits
// for the losses and another for the gradients. The losses remain to be added up.
#pragma once

#include <cudet/execution.h>
#include <cudet/status.h>

#include <cstdint>

namespace cudet::bench {

struct BaselineFocalLoss {
  const float* logits;          ///< [rows, classes]
  const std::int32_t* targets;  ///< [rows]; -2 is ignored, what is no class is background
  std::int64_t rows;
  std::int64_t classes;
  float* losses;    ///< [rows, classes]
  float* gradient;  ///< [rows, classes]
};

/// Alpha 0.25, gamma 2. On a stream, where gpu_bench was built with CUDA, or in a loop on the CPU.
Status run_baseline(const BaselineFocalLoss& problem, const Execution& execution);

/// The former half of it, in focal_loss.cu.
Status launch_baseline(const BaselineFocalLoss& problem, cudaStream_t stream);

}  // namespace cudet::bench
