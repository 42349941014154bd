// Numbers of about 48 bits as unevaluated sums of two floats, for what float32 cannot resolve and
// double is too dear for: a consumer GPU runs 64 float operations in the time of a double one. The
// bits are the same on every device.
//
// Dekker 1971, Knuth (The Art of Computer Programming 2, 4.2.2); products by fused multiply-add.
#pragma once

#include "pinned_math.h"

namespace cudet::pinned {

/// The number high + low, where |low| is at most half a unit in the last place of high.
struct FloatPair {
  float high;
  float low;
};

/// a + b exactly, where |a| >= |b| or a = 0.
CUDET_HOST_DEVICE FloatPair sum_of_ordered(float a, float b) {
  const float high = add(a, b);
  return {high, subtract(b, subtract(high, a))};
}

/// a + b exactly.
CUDET_HOST_DEVICE FloatPair exact_sum(float a, float b) {
  const float high = add(a, b);
  const float b_in_high = subtract(high, a);
  const float a_in_high = subtract(high, b_in_high);
  return {high, add(subtract(a, a_in_high), subtract(b, b_in_high))};
}

/// a b exactly, as long as the low part is not among the subnormal numbers.
CUDET_HOST_DEVICE FloatPair exact_product(float a, float b) {
  const float high = multiply(a, b);
  return {high, fused(a, b, -high)};
}

CUDET_HOST_DEVICE FloatPair add(FloatPair a, FloatPair b) {
  const FloatPair sum = exact_sum(a.high, b.high);
  return sum_of_ordered(sum.high, add(sum.low, add(a.low, b.low)));
}

CUDET_HOST_DEVICE FloatPair multiply(FloatPair a, FloatPair b) {
  const FloatPair product = exact_product(a.high, b.high);
  const float low = fused(a.low, b.high, fused(a.high, b.low, product.low));
  return sum_of_ordered(product.high, low);
}

CUDET_HOST_DEVICE FloatPair negative(FloatPair a) {
  return {-a.high, -a.low};
}

/// a b + c d, rounded to float32 after a sum of about 46 bits: the relative error is that of
/// float32 also where the products cancel to 2^-22 of their size.
CUDET_HOST_DEVICE float sum_of_products(FloatPair a, FloatPair b, FloatPair c, FloatPair d) {
  const FloatPair first = exact_product(a.high, b.high);
  const FloatPair second = exact_product(c.high, d.high);
  const FloatPair sum = exact_sum(first.high, second.high);
  float low = add(add(first.low, second.low), sum.low);
  low = fused(a.high, b.low, low);
  low = fused(a.low, b.high, low);
  low = fused(c.high, d.low, low);
  low = fused(c.low, d.high, low);
  return add(sum.high, low);
}

/// An angle as quarter turns, of which only the last two bits count, and a remainder of at most an
/// eighth of a turn and a little, in radians.
struct ReducedAngle {
  std::int32_t quarters;
  FloatPair remainder;
};

/// The integer nearest to |x| < 2^22.
CUDET_HOST_DEVICE float nearest_integer(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  return subtract(add(x, kRound), kRound);
}

/// Of |angle| <= 2^20 degrees. The remainder in degrees is exact: it is a multiple of the angle's
/// last place, or of 2, and below 64.
CUDET_HOST_DEVICE ReducedAngle reduce_degrees(float angle) {
  const float quarters = nearest_integer(multiply(angle, 1.0f / 90.0f));
  const float degrees = fused(quarters, -90.0f, angle);
  constexpr FloatPair kRadians = {0.0174532924f, 1.35199602e-10f};  // pi / 180
  return {static_cast<std::int32_t>(quarters), multiply(FloatPair{degrees, 0.0f}, kRadians)};
}

/// Of |angle| <= 2^20 radians. pi / 2 = kFirst + kSecond + kThird to 2^-75. angle - k kFirst is
/// exact, being a multiple of 2^-24 below 1; so a large angle loses nothing.
CUDET_HOST_DEVICE ReducedAngle reduce_radians(float angle) {
  constexpr float kFirst = 1.57079637f;
  constexpr float kSecond = -4.37113883e-8f;
  constexpr float kThird = -1.71512451e-15f;
  const float quarters = nearest_integer(multiply(angle, 0.636619747f));
  const float coarse = fused(quarters, -kFirst, angle);
  const FloatPair fine = exact_product(quarters, -kSecond);
  const FloatPair sum = exact_sum(coarse, fine.high);
  const float low = add(sum.low, fused(quarters, -kThird, fine.low));
  return {static_cast<std::int32_t>(quarters), sum_of_ordered(sum.high, low)};
}

struct SineCosine {
  FloatPair sine;
  FloatPair cosine;
};

/// Sine and cosine to 2^-42. Taylor series in r^2 <= 0.62, the first three terms in pairs and the
/// rest, below 2^-14 of the value, in float32.
CUDET_HOST_DEVICE SineCosine sine_and_cosine(const ReducedAngle& angle) {
  const FloatPair r = angle.remainder;
  const FloatPair z = multiply(r, r);

  float tail = fused(z.high, 1.60590438e-10f, -2.50521084e-8f);  // 1 / 13!, -1 / 11!
  tail = fused(z.high, tail, 2.75573192e-6f);                    // 1 / 9!
  FloatPair p = multiply(z, FloatPair{tail, 0.0f});
  p = multiply(z, add(p, FloatPair{-1.98412701e-4f, 2.72559687e-12f}));  // -1 / 7!
  p = multiply(z, add(p, FloatPair{8.33333377e-3f, -4.34617203e-10f}));  // 1 / 5!
  p = multiply(z, add(p, FloatPair{-0.166666672f, 4.96705388e-9f}));     // -1 / 3!
  FloatPair sine = add(r, multiply(r, p));

  tail = fused(z.high, -1.14707456e-11f, 2.08767570e-9f);  // -1 / 14!, 1 / 12!
  tail = fused(z.high, tail, -2.75573192e-7f);             // -1 / 10!
  tail = fused(z.high, tail, 2.48015873e-5f);              // 1 / 8!
  p = multiply(z, FloatPair{tail, 0.0f});
  p = multiply(z, add(p, FloatPair{-1.38888892e-3f, 3.36310944e-11f}));  // -1 / 6!
  p = multiply(z, add(p, FloatPair{4.16666679e-2f, -1.24176347e-9f}));   // 1 / 4!
  p = multiply(z, add(p, FloatPair{-0.5f, 0.0f}));                       // -1 / 2!
  FloatPair cosine = add(FloatPair{1.0f, 0.0f}, p);

  if (angle.quarters & 1) {
    const FloatPair turned = negative(sine);
    sine = cosine;
    cosine = turned;
  }
  if (angle.quarters & 2) {
    sine = negative(sine);
    cosine = negative(cosine);
  }
  return {sine, cosine};
}

}  // namespace cudet::pinned
