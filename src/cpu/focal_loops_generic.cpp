#include "focal_loops.h"

#include <cmath>

namespace cudet::cpu {
namespace {

constexpr int kWidth = 4;
#include "floats.inc"

Floats multiply_add(Floats a, Floats b, Floats c) {
  return a * b + c;
}

#include "focal_loops.inc"

}  // namespace

const FocalLoops kGenericFocalLoops = make_focal_loops("generic");

const FocalLoops& focal_loops() noexcept {
  static const FocalLoops& best = []() -> const FocalLoops& {
    if (const FocalLoops* loops = x86_64_v4_focal_loops()) return *loops;
    if (const FocalLoops* loops = x86_64_v3_focal_loops()) return *loops;
    return kGenericFocalLoops;
  }();
  return best;
}

}  // namespace cudet::cpu
