// Argument checks of the IoU family, shared by the calls and their references.
#pragma once

#include <cudet/iou.h>

#include <cstdint>

namespace cudet {

/// What iou_matrix() derives from the shapes.
struct IouMatrixPlan {
  std::int64_t batch = 0;
  std::int64_t n = 0;       ///< rows: boxes1 of an image, or of all images where it is ragged
  std::int64_t m = 0;       ///< columns
  std::int64_t words = 0;   ///< of 32 bits in a row of bits
  std::int64_t boxes2 = 0;  ///< of an image, or of all images where it is ragged
  bool ragged1 = false;
  bool ragged2 = false;

  /// Rows of the outputs.
  std::int64_t rows() const { return ragged1 ? n : batch * n; }
};

/// Options and inputs, in this order; the first bad argument decides. `with_data` = false leaves
/// data pointers out.
Status check_iou_matrix_input(const IouMatrixOptions& options, const IouMatrixInput& input,
                              bool with_data) noexcept;

/// The same and the outputs, and then the plan.
Status check_iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                        const IouMatrixOutput& output, IouMatrixPlan* plan) noexcept;

Status check_iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                       const IouPairsOutput& output) noexcept;

}  // namespace cudet
