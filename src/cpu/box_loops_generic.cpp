#include "box_loops.h"

namespace cudet::cpu {
namespace {
#include "box_loops.inc"
}  // namespace

const BoxLoops kGenericBoxLoops = make_box_loops("generic");

const BoxLoops& box_loops() noexcept {
  static const BoxLoops* const best = x86_64_v3_box_loops();
  return best != nullptr ? *best : kGenericBoxLoops;
}

}  // namespace cudet::cpu
