// What becomes of the losses of single elements; shared by all losses.
#pragma once

#include <cudet/export.h>

#include <cstdint>

namespace cudet {

enum class LossReduction : std::int32_t {
  none,       ///< each is stored
  sum,        ///< their sum
  mean,       ///< their sum divided by how many there are, ignored ones included; 0 of nothing
  normalised  ///< their sum divided by max(1, normaliser), a number that is read on the device
};

/// Name of the reduction as it is spelled in the enumeration, for example "mean".
CUDET_API const char* to_string(LossReduction reduction) noexcept;

}  // namespace cudet
