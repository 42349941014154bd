// The boxes of an image in the order in which NMS visits them.
#pragma once

#include "../reference/nms_methods.h"

#include <cstdint>
#include <vector>

namespace cudet::cpu {

/// Numbers (reference::Candidate::number) of the boxes of an image that take part, by decreasing
/// score, equal scores by increasing number; no more than call.shape.top_k.
std::vector<std::uint32_t> visiting_order(const reference::NmsCall& call,
                                          const reference::ImageRange& image, int threads);

}  // namespace cudet::cpu
