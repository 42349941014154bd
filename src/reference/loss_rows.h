// Losses of some of a call's rows, from the definitions: what the references do with all of them,
// and threads of the CPU mode with a part each. Arguments have been checked.
#pragma once

#include <cudet/box_regression_loss.h>
#include <cudet/iou_loss.h>

#include <cstdint>

namespace cudet::reference {

/// Writes losses, unless they are summed up, and gradients of rows `begin` to `end` - 1; returns
/// what these rows add to a loss that sums all up.
double write_iou_losses(const IouLossOptions& options, const IouLossInput& input,
                        const IouLossOutput& output, std::int64_t begin, std::int64_t end);
double write_box_regression_losses(const BoxRegressionLossOptions& options,
                                   const BoxRegressionLossInput& input,
                                   const BoxRegressionLossOutput& output, std::int64_t begin,
                                   std::int64_t end);

}  // namespace cudet::reference
