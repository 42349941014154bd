// The definition of nms() once more, and a check of a result against it. Shares no code with the
// library.
#pragma once

#include "nms_problem.h"

#include <cstdint>

namespace cudet::test {

/// A box as include/cudet/box.h reads it.
struct Corners {
  float x1, y1, x2, y2;
  bool valid;
};

/// Boxes that an image really has.
std::int64_t boxes_of_image(const NmsProblem& problem, std::int64_t image);

/// The box of element `element` of an image: a box, or a pair of box and class if dense.
Corners corners_of(const NmsProblem& problem, std::int64_t image, std::int64_t element);

/// IoU with every operation rounded to float32; 0 for invalid boxes and for 0 / 0.
float float32_iou(const Corners& a, const Corners& b);

/// The metric of two valid boxes with every operation rounded to float32; CIoU in double.
float float32_overlap(OverlapMetric metric, const Corners& a, const Corners& b);

/// True where `result`, with every output present, is what the definition asks for: kept boxes are
/// candidates in order, none of them suppressed by an earlier one; every other candidate is
/// suppressed by a kept one before it or lies beyond a limit; values are copies and slots behind
/// the count are padding; masks say the same. This determines the result uniquely but for CIoUs
/// within 2e-6 of a threshold and for activated scores, which have a tolerance.
testing::AssertionResult is_nms_of(const NmsResult& result, const NmsProblem& problem);

}  // namespace cudet::test
