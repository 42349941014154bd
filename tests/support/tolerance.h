// Comparison of floating-point results. No comparison here lets a NaN pass where a number is
// expected: every one has the form !(difference <= allowed).
#pragma once

#include <cudet/tensor.h>

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

namespace cudet::test {

/// |got - expected| <= absolute + relative * |expected|
struct Tolerance {
  double absolute = 0.0;
  double relative = 0.0;
  double half_ulp = 0.0;        ///< plus this share of |expected|, the rounding into a 16-bit type,
  double half_ulp_floor = 0.0;  ///< which is at least this: half the spacing of its subnormals

  double allowed(double expected) const {
    const double magnitude = std::fabs(expected);
    return absolute + relative * magnitude + std::fmax(half_ulp * magnitude, half_ulp_floor);
  }
};

/// The tolerances of results computed in float32 and stored as `type`. Half a unit in the last
/// place is at most 2^-p of the number, with p = 11 significant bits of float16 and 8 of bfloat16.
inline Tolerance tolerance_of(DataType type) {
  switch (type) {
    case DataType::float32:
      return {1e-6, 1e-5, 0.0, 0.0};
    case DataType::float16:
      return {1e-6, 1e-5, 0x1p-11, 0x1p-25};
    case DataType::bfloat16:
      return {1e-6, 1e-5, 0x1p-8, 0.0};
    default:
      return {};  // integers are exact
  }
}

/// Infinities and NaN are equal to their like alone.
inline bool is_near(double got, double expected, const Tolerance& tolerance) {
  if (std::isnan(expected)) return std::isnan(got);
  if (std::isinf(expected)) return got == expected;
  return std::fabs(got - expected) <= tolerance.allowed(expected);
}

/// Compares element by element and lists the first differences.
template <class Got, class Expected>
testing::AssertionResult all_near(const std::vector<Got>& got,
                                  const std::vector<Expected>& expected,
                                  const Tolerance& tolerance) {
  if (got.size() != expected.size()) {
    return testing::AssertionFailure() << got.size() << " values, expected " << expected.size();
  }
  constexpr int kShown = 5;
  int differences = 0;
  std::ostringstream text;
  text.precision(9);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double value = static_cast<double>(got[i]);
    const double wanted = static_cast<double>(expected[i]);
    if (is_near(value, wanted, tolerance)) continue;
    if (++differences <= kShown) {
      text << "\n  [" << i << "] got " << value << ", expected " << wanted << ", difference "
           << value - wanted << ", allowed " << tolerance.allowed(wanted);
    }
  }
  if (differences == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << differences << " of " << got.size() << " values differ" << text.str();
}

}  // namespace cudet::test
