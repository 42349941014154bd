#include "depthwise_loops.h"

namespace cudet::cpu {
namespace {

constexpr int kWidth = 4;
#include "floats.inc"

Floats multiply_add(Floats a, Floats b, Floats c) {
  return a * b + c;
}

#include "depthwise_loops.inc"

}  // namespace

const DepthwiseLoops kGenericDepthwiseLoops = make_depthwise_loops("generic");

const DepthwiseLoops& depthwise_loops() noexcept {
  static const DepthwiseLoops& best = []() -> const DepthwiseLoops& {
    if (const DepthwiseLoops* loops = x86_64_v4_depthwise_loops()) return *loops;
    if (const DepthwiseLoops* loops = x86_64_v3_depthwise_loops()) return *loops;
    return kGenericDepthwiseLoops;
  }();
  return best;
}

}  // namespace cudet::cpu
