// The inner loops of the depthwise convolution, on vectors of the compiler, and compiled once for
// every set of instructions that is worth it.
//
// All of them run over places of a line that holds a whole image, row after row: what a tap reads
// lies at the same distance from every place. A place is one number (nchw) or a slab of the numbers
// of neighbouring channels (nhwc).
#pragma once

#include <cstddef>
#include <cstdint>

namespace cudet::cpu {

/// Channels of a slab.
inline constexpr int kSlab = 16;

/// Places beyond the last one that loops may read and write; what is read there is a number, what
/// becomes of it is left open.
inline constexpr std::int64_t kDepthwiseRoom = 128;

struct DepthwiseTaps {
  const std::int64_t* offsets;  ///< of what they read, in numbers
  const float* weights;         ///< [count], or of a slab [count, kSlab]
  int count;
};

struct DepthwiseLoops {
  const char* name;  ///< of the instruction set, for example "x86-64-v3"

  /// y[place] = sum over the taps of weight * x[offset + place], or with `accumulate` that more.
  void (*convolve)(const float* x, const DepthwiseTaps& taps, std::int64_t places, bool accumulate,
                   float* y);
  void (*convolve_slab)(const float* x, const DepthwiseTaps& taps, std::int64_t places,
                        bool accumulate, float* y);

  /// sums[tap] += sum over the places of g[place] * x[offset + place]; g is 0 beyond the last one.
  /// Weights are not looked at.
  void (*correlate)(const float* x, const DepthwiseTaps& taps, std::int64_t places, const float* g,
                    double* sums);
  void (*correlate_slab)(const float* x, const DepthwiseTaps& taps, std::int64_t places,
                         const float* g, double* sums);
};

/// For any machine that the library runs on.
extern const DepthwiseLoops kGenericDepthwiseLoops;

/// With AVX2 and FMA; null where the library is for another processor or this one lacks them.
const DepthwiseLoops* x86_64_v3_depthwise_loops() noexcept;

/// With AVX-512, likewise.
const DepthwiseLoops* x86_64_v4_depthwise_loops() noexcept;

/// The fastest that this machine can run.
const DepthwiseLoops& depthwise_loops() noexcept;

}  // namespace cudet::cpu
