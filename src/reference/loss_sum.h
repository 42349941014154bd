// Factors and sums of losses as the references form them, in double.
#pragma once

#include <cudet/loss_reduction.h>
#include <cudet/tensor.h>

#include "box.h"

#include <cmath>
#include <cstdint>

namespace cudet::reference {

/// What the sum of `count` losses is divided by.
inline double loss_divisor(LossReduction reduction, const Tensor& normaliser, std::int64_t count) {
  if (reduction == LossReduction::mean) return static_cast<double>(count > 0 ? count : 1);
  if (reduction != LossReduction::normalised) return 1.0;
  return std::fmax(1.0, static_cast<double>(normaliser.data_as<float>()[0]));
}

/// Element `index` of an optional float32 tensor, of which a single element serves all.
inline double factor_at(const Tensor& factors, std::int64_t index, bool single = false) {
  return factors.present() ? static_cast<double>(factors.data_as<float>()[single ? 0 : index])
                           : 1.0;
}

/// Writes a loss that sums all of them up, where one is asked for.
inline void store_reduced(LossReduction reduction, const Tensor& loss, double value) {
  if (loss.present() && reduction != LossReduction::none) {
    store_real(loss, 0, static_cast<float>(value));
  }
}

}  // namespace cudet::reference
