// Losses of regressed numbers from their definitions, in double.
#include <cudet/box_regression_loss.h>

#include "../box_loss_check.h"
#include "../check.h"
#include "box.h"
#include "loss_rows.h"
#include "loss_sum.h"

#include <cmath>
#include <cstdint>

namespace cudet::reference {
namespace {

struct LossAndSlope {
  double loss, slope;
};

LossAndSlope loss_of(const BoxRegressionLossOptions& options, double d) {
  if (options.kind == BoxRegressionKind::l2) return {d * d, 2.0 * d};
  const auto beta = static_cast<double>(options.beta);
  if (std::fabs(d) < beta) return {d * d / (2.0 * beta), d / beta};
  return {std::fabs(d) - beta / 2.0, d > 0.0 ? 1.0 : d < 0.0 ? -1.0 : d};
}

}  // namespace

double write_box_regression_losses(const BoxRegressionLossOptions& options,
                                   const BoxRegressionLossInput& input,
                                   const BoxRegressionLossOutput& output, std::int64_t begin,
                                   std::int64_t end) {
  const std::int64_t k = input.predictions.size(1);
  const bool reduces = options.reduction != LossReduction::none;
  const double divisor =
      loss_divisor(options.reduction, input.normaliser, input.predictions.size(0) * k);
  double sum = 0.0;
  for (std::int64_t i = begin; i < end; ++i) {
    const double weight = factor_at(input.weights, i);
    for (std::int64_t e = i * k; e < (i + 1) * k; ++e) {
      const double d = static_cast<double>(real_at(input.predictions, e)) -
                       static_cast<double>(real_at(input.targets, e));
      LossAndSlope element = {0.0, 0.0};
      if (weight != 0.0) element = loss_of(options, d);
      sum += weight * element.loss;
      if (output.loss.present() && !reduces) {
        store_real(output.loss, e, static_cast<float>(weight * element.loss));
      }
      if (output.grad_predictions.present()) {
        const double factor = weight * static_cast<double>(options.grad_scale) *
                              factor_at(input.grad_output, e, reduces) / divisor;
        store_real(output.grad_predictions, e, static_cast<float>(factor * element.slope));
      }
    }
  }
  return sum / divisor;
}

Status box_regression_loss(const BoxRegressionLossOptions& options,
                           const BoxRegressionLossInput& input,
                           const BoxRegressionLossOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_box_regression_loss(options, input, output));
  const std::int64_t n = input.predictions.size(0);
  const double loss = write_box_regression_losses(options, input, output, 0, n);
  store_reduced(options.reduction, output.loss, loss);
  return Status();
}

}  // namespace cudet::reference
