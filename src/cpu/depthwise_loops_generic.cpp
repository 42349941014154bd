#include "depthwise_loops.h"

namespace cudet::cpu {
namespace {

constexpr int kWidth = 4;
#include "floats.inc"

Floats multiply_add(Floats a, Floats b, Floats c) {
  return a * b + c;
}

using Mask = int;
Mask mask_of(int lanes) {
  return lanes;
}

Floats load_masked(const float* from, Mask lanes) {
  if (lanes == kWidth) return load(from);
  Floats values = {};
  for (int lane = 0; lane < lanes; ++lane)
    values[lane] = from[lane];
  return values;
}

void store_first(float* to, Floats values, int lanes) {
  if (lanes == kWidth) return store(to, values);
  for (int lane = 0; lane < lanes; ++lane)
    to[lane] = values[lane];
}

Floats even_lanes(Floats a, Floats b) {
  return Floats{a[0], a[2], b[0], b[2]};
}

Floats load_fours(const float* from, std::int64_t) {
  return load(from);
}

void store_fours(float* to, std::int64_t, Floats values) {
  store(to, values);
}

void transpose_fours(Floats& a, Floats& b, Floats& c, Floats& d) {
  const Floats rows[4] = {a, b, c, d};
  Floats* const columns[4] = {&a, &b, &c, &d};
  for (int column = 0; column < 4; ++column)
    *columns[column] = Floats{rows[0][column], rows[1][column], rows[2][column], rows[3][column]};
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
