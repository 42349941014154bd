// The inner loops of the focal losses, on vectors of the compiler, and compiled once for every set
// of instructions that is worth it.
#pragma once

#include <cudet/focal_loss.h>

#include <cstdint>

namespace cudet::cpu {

/// Loops go on to the next multiple of this: so much room all arrays have, filled with numbers.
/// What becomes of them is left open.
inline constexpr std::int64_t kFocalPadding = 16;

/// What all elements of a call have in common.
struct FocalFormula {
  FocalKind kind;
  float gamma;
  float label_smoothing;
  bool has_alpha;  ///< otherwise alpha_t is 1, and varifocal's negatives weigh 1
};

/// Numbers of neighbouring elements, an array for each. The arrays do not overlap.
struct FocalElements {
  const float* logits;
  const float* targets;
  const float* alpha;
  const float* weights;   ///< of their losses
  const float* upstream;  ///< of their gradients: weight and all other factors
  float* losses;
  float* gradients;
};

/// The largest of a row's numbers, and the first place where it stands; -infinity and 0 where there
/// is none.
struct RowLargest {
  float value;
  std::int64_t place;
};

struct FocalLoops {
  const char* name;  ///< of the instruction set, for example "x86-64-v3"

  /// Fills losses and gradients of `count` elements; the sum of the losses.
  double (*elements)(const FocalFormula& formula, const FocalElements& elements,
                     std::int64_t count);

  RowLargest (*largest)(const float* row, std::int64_t count);

  /// powers[j] = exp(row[j] - largest.value); the sum of all but that of the largest.
  double (*exponentials)(const float* row, std::int64_t count, const RowLargest& largest,
                         float* powers);

  /// values[j] *= factor.
  void (*scale)(float* values, std::int64_t count, float factor);
};

/// For any machine that the library runs on.
extern const FocalLoops kGenericFocalLoops;

/// With AVX2 and FMA; null where the library is for another processor or this one lacks them.
const FocalLoops* x86_64_v3_focal_loops() noexcept;

/// With AVX-512, likewise.
const FocalLoops* x86_64_v4_focal_loops() noexcept;

/// The fastest that this machine can run.
const FocalLoops& focal_loops() noexcept;

}  // namespace cudet::cpu
