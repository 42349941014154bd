#include "box_losses.h"

#include "../reference/loss_rows.h"
#include "../reference/loss_sum.h"
#include "parallel.h"

#include <cstdint>
#include <numeric>
#include <vector>

namespace cudet::cpu {
namespace {

/// Sum of what write(begin, end) returns for blocks of rows, in their order.
template <class Write>
double sum_of_blocks(int threads, std::int64_t rows, const Write& write) {
  constexpr std::int64_t kBlock = 1024;
  std::vector<double> sums(static_cast<std::size_t>((rows + kBlock - 1) / kBlock));
  parallel_for(threads, rows, kBlock, [&](std::int64_t begin, std::int64_t end) {
    sums[static_cast<std::size_t>(begin / kBlock)] = write(begin, end);
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

Status iou_loss(const IouLossOptions& options, const IouLossInput& input,
                const IouLossOutput& output, int threads) {
  const auto write = [&](std::int64_t begin, std::int64_t end) {
    return reference::write_iou_losses(options, input, output, begin, end);
  };
  const double loss = sum_of_blocks(threads, input.boxes1.size(0), write);
  reference::store_reduced(options.reduction, output.loss, loss);
  return Status();
}

Status box_regression_loss(const BoxRegressionLossOptions& options,
                           const BoxRegressionLossInput& input,
                           const BoxRegressionLossOutput& output, int threads) {
  const auto write = [&](std::int64_t begin, std::int64_t end) {
    return reference::write_box_regression_losses(options, input, output, begin, end);
  };
  const double loss = sum_of_blocks(threads, input.predictions.size(0), write);
  reference::store_reduced(options.reduction, output.loss, loss);
  return Status();
}

}  // namespace cudet::cpu
