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
  static const FocalLoops* const best = x86_64_v3_focal_loops();
  return best != nullptr ? *best : kGenericFocalLoops;
}

}  // namespace cudet::cpu
