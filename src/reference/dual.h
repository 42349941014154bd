// Numbers that carry their derivatives (forward-mode differentiation), so that a reference states a
// formula once and has its gradient.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>

namespace cudet::reference {

/// A value and its partial derivatives with respect to kCount variables.
template <std::size_t kCount>
struct Dual {
  double value = 0.0;
  std::array<double, kCount> slope = {};

  Dual() = default;
  Dual(double constant) : value(constant) {}  // NOLINT: constants take part in formulas

  /// Variable number `index` at `value`.
  static Dual variable(double value, std::size_t index) {
    Dual x(value);
    x.slope[index] = 1.0;
    return x;
  }

  /// `result`, with a da + b db for slopes.
  static Dual chain(double result, const Dual& x, double a, const Dual& y = {}, double b = 0.0) {
    Dual z(result);
    for (std::size_t k = 0; k < kCount; ++k)
      z.slope[k] = a * x.slope[k] + b * y.slope[k];
    return z;
  }

  friend Dual operator+(const Dual& x, const Dual& y) {
    return chain(x.value + y.value, x, 1.0, y, 1.0);
  }
  friend Dual operator-(const Dual& x, const Dual& y) {
    return chain(x.value - y.value, x, 1.0, y, -1.0);
  }
  friend Dual operator*(const Dual& x, const Dual& y) {
    return chain(x.value * y.value, x, y.value, y, x.value);
  }
  friend Dual operator/(const Dual& x, const Dual& y) {
    const double quotient = x.value / y.value;
    return chain(quotient, x, 1.0 / y.value, y, -quotient / y.value);
  }
};

/// Where both are equal, each has half of the gradient.
template <std::size_t kCount>
Dual<kCount> max(const Dual<kCount>& x, const Dual<kCount>& y) {
  const double share = x.value > y.value ? 1.0 : x.value == y.value ? 0.5 : 0.0;
  return Dual<kCount>::chain(std::fmax(x.value, y.value), x, share, y, 1.0 - share);
}
template <std::size_t kCount>
Dual<kCount> min(const Dual<kCount>& x, const Dual<kCount>& y) {
  const double share = x.value < y.value ? 1.0 : x.value == y.value ? 0.5 : 0.0;
  return Dual<kCount>::chain(std::fmin(x.value, y.value), x, share, y, 1.0 - share);
}

template <std::size_t kCount>
Dual<kCount> square(const Dual<kCount>& x) {
  return x * x;
}

/// atan(x / y), and 0 with gradient 0 where both are 0.
template <std::size_t kCount>
Dual<kCount> angle(const Dual<kCount>& x, const Dual<kCount>& y) {
  const double square_sum = x.value * x.value + y.value * y.value;
  if (square_sum == 0.0) return {};
  const double sign = y.value < 0.0 ? -1.0 : 1.0;
  return Dual<kCount>::chain(std::atan2(sign * x.value, sign * y.value), x, y.value / square_sum, y,
                             -x.value / square_sum);
}

}  // namespace cudet::reference
