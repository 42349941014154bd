// The boxes of an image that take part in NMS, as the references read them from either form of the
// input: flat or dense, of equal images or ragged (include/cudet/nms.h).
#pragma once

#include <cudet/nms.h>

#include "../../cuda/device/rotated_box.h"
#include "../nms_plan.h"
#include "box.h"

#include <cstdint>
#include <vector>

namespace cudet::reference {

/// An image's place in the arrays.
struct ImageRange {
  std::int64_t index;
  std::int64_t first_box;
  std::int64_t boxes;
};

struct Candidate {
  std::int64_t number;       ///< in its image: of its box, or of the pair of box and class if dense
  std::int64_t index;        ///< of its box in its image
  std::int64_t class_id;     ///< 0 where there are no classes
  std::int64_t box_element;  ///< which of the boxes in memory it has
  std::int64_t score_element;  ///< which of the scores in memory
  float score;                 ///< as it is stored: not activated
  Box box;                     ///< where boxes are not rotated
  pinned::RotatedBox rotated;  ///< where they are
  bool valid;                  ///< of either
};

ImageRange image_range(const NmsInput& input, const NmsShape& shape, std::int64_t image);

/// The box or pair of an image that has this number.
Candidate element_of(const NmsOptions& options, const NmsInput& input, const NmsShape& shape,
                     const ImageRange& image, std::int64_t number);

/// All boxes or pairs of an image, whether they pass the score threshold or not, by number.
std::vector<Candidate> elements_of(const NmsOptions& options, const NmsInput& input,
                                   const NmsShape& shape, const ImageRange& image);

/// Those that take part, in the order in which they are visited.
std::vector<Candidate> candidates_by_score(const NmsOptions& options, const NmsInput& input,
                                           const NmsShape& shape, const ImageRange& image);

}  // namespace cudet::reference
