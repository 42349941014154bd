// The boxes of an image among those of all images, on host pointers.
#pragma once

#include "box.h"

#include <algorithm>
#include <cstdint>

namespace cudet::reference {

struct BoxRange {
  std::int64_t begin, end;
};

/// Boxes of image `image` out of `count`, by offsets that are moved into [0, count].
inline BoxRange range_of_image(const Tensor& offsets, std::int64_t image, std::int64_t count) {
  const std::int64_t begin = std::clamp<std::int64_t>(integer_at(offsets, image), 0, count);
  return {begin, std::clamp<std::int64_t>(integer_at(offsets, image + 1), begin, count)};
}

}  // namespace cudet::reference
