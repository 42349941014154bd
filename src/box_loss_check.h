// Argument checks that the box losses have in common, and the plan of their sums.
#pragma once

#include <cudet/box_regression_loss.h>
#include <cudet/iou_loss.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// How the losses of a call are added: each block of the device stores the sum of its elements.
struct LossReductionPlan {
  std::int64_t blocks = 0;   ///< one for no elements too, which stores the 0
  std::size_t partials = 0;  ///< offset of float32 [blocks] in the workspace
  std::size_t arrived = 0;   ///< offset of the counter of blocks that have stored theirs
  std::size_t workspace_bytes = 0;
};

/// Elements that one block adds up, one a thread. The tree hangs on it.
inline constexpr std::int64_t kLossBlockElements = 256;

/// unsupported where `elements` need more blocks than a grid has.
Status plan_loss_reduction(const char* operation, std::int64_t elements,
                           LossReductionPlan* plan) noexcept;

/// Check everything but the execution, in the order of options, inputs and outputs; the first bad
/// argument decides. `with_data` = false looks at options and at shapes and types of the first two
/// inputs alone.
Status check_iou_loss_input(const IouLossOptions& options, const IouLossInput& input,
                            bool with_data) noexcept;
Status check_iou_loss(const IouLossOptions& options, const IouLossInput& input,
                      const IouLossOutput& output) noexcept;
Status check_box_regression_loss_input(const BoxRegressionLossOptions& options,
                                       const BoxRegressionLossInput& input,
                                       bool with_data) noexcept;
Status check_box_regression_loss(const BoxRegressionLossOptions& options,
                                 const BoxRegressionLossInput& input,
                                 const BoxRegressionLossOutput& output) noexcept;

}  // namespace cudet
