// A threshold on intersection / union, prepared for a test that needs no division.
#pragma once

#include <cmath>

namespace cudet::device {

/// The question is whether round(i / u) > t, with i, u and t in float32, u > 0 and round() to
/// nearest even. It is so where i / u lies beyond the midpoint between t and the next float, or on
/// it if t is odd, for ties then round up. With h half the distance from t to the next float that
/// is i - t u > h u.
///
/// Let 2^a <= t and 2^b <= u be the powers of two next below. Then t u is a multiple of 2^(a+b-46),
/// i near t u is one too, and h u < 2^(a+b-23): near the midpoint i - t u has at most 24 bits, so
/// that one fused multiply-add gives it exactly, and a second one gives the sign of h u - (i - t
/// u):
///
///   margin = fma(h, u, fma(t, u, -i)),   round(i / u) > t  where  margin < 0.
///
/// Away from the midpoint rounding cannot change the sign, being monotone. Where t is odd, h is
/// taken one unit in the last place smaller: that shifts the bound by less than a unit of the left
/// side and lets the midpoint itself pass. Only where t u < 2^-102 could the inner product round
/// among the subnormals. There, and for t = 0, whose h is not a float32, the comparison is made in
/// double, in which both sides are exact: i > midpoint u, or >= if t is odd.
///
/// Without the union: it is round(round(a + b) - i), a and b being the areas, so that i > t u asks
/// for i > t / (1 + t) (a + b), but for four roundings. Only pairs whose intersection exceeds
/// share a + share b, share being 2^-20 smaller than that, need the margin.
struct IouThreshold {
  float value;          ///< t
  float half_step;      ///< h, or the float before it
  float share;          ///< of both areas that the intersection has to exceed
  float careful_below;  ///< a union smaller than this asks for the comparison in double
  bool odd;             ///< t has an odd last bit
  double midpoint;      ///< between t and the next float
};

inline IouThreshold make_iou_threshold(float value) {
  const float next = std::nextafter(value, 2.0f);
  const double step = static_cast<double>(next) - static_cast<double>(value);
  IouThreshold threshold = {};
  threshold.value = value;
  threshold.midpoint = static_cast<double>(value) + 0.5 * step;
  // The last bit is set where a step of twice the size does not divide the value.
  threshold.odd = std::fmod(static_cast<double>(value), 2.0 * step) != 0.0;
  threshold.half_step = static_cast<float>(0.5 * step);
  if (threshold.odd) threshold.half_step = std::nextafter(threshold.half_step, 0.0f);
  threshold.share =
      static_cast<float>(static_cast<double>(value) / (1.0 + value) * (1.0 - 0x1p-20));
  // With a factor of 2 to spare, for a union may be rounded to just below the larger area.
  threshold.careful_below = value > 0x1p-100f ? 0x1p-101f / value : HUGE_VALF;
  return threshold;
}

}  // namespace cudet::device
