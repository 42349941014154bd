// The outputs of NMS, written from what an image keeps.
#pragma once

#include "nms_methods.h"

#include <vector>

namespace cudet::reference {

/// Writes all outputs of an image. `candidates` are those that take part, in order; they are read
/// for weighted boxes and suppressed_by only.
void write_image(const NmsCall& call, const ImageRange& image,
                 const std::vector<Candidate>& candidates, const std::vector<Kept>& kept);

}  // namespace cudet::reference
