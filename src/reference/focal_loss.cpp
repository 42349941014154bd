// Focal losses from their definitions (include/cudet/focal_loss.h), in double.
#include <cudet/focal_loss.h>

#include "../check.h"
#include "../focal_loss_plan.h"
#include "../host_memory.h"
#include "box.h"
#include "loss_sum.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cudet::reference {
namespace {

double sigmoid(double x) {
  return x >= 0.0 ? 1.0 / (1.0 + std::exp(-x)) : std::exp(x) / (1.0 + std::exp(x));
}

/// log(1 + exp(x))
double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}

/// a b, and 0 where a is 0, whatever b is: the limit of all products here.
double product(double a, double b) {
  return a == 0.0 ? 0.0 : a * b;
}

/// Binary cross-entropy of a logit with a target in [0, 1], and its derivative p - t.
double cross_entropy(double x, double t) {
  return product(t, softplus(-x)) + product(1.0 - t, softplus(x));
}
double cross_entropy_slope(double x, double t) {
  return (1.0 - t) * sigmoid(x) - t * sigmoid(-x);
}

struct Loss {
  double value = 0.0;
  double slope = 0.0;
};

/// (1 - p_t)^gamma BCE(x, smoothed t).
Loss focal(double x, double t, double gamma, double label_smoothing) {
  const double p = sigmoid(x);
  const double not_p = sigmoid(-x);
  const double miss = p * (1.0 - t) + not_p * t;  // 1 - p_t
  const double smoothed = t * (1.0 - label_smoothing) + label_smoothing / 2.0;
  const double entropy = cross_entropy(x, smoothed);
  const double modulation = std::pow(miss, gamma);
  // d miss / dx = (1 - 2 t) p (1 - p); of p (1 - p) / miss only the limit exists where all are 0.
  const double quotient = miss > 0.0 ? p * not_p / miss : 1.0;
  const double modulation_slope = gamma * modulation * (1.0 - 2.0 * t) * quotient;
  return {product(modulation, entropy),
          product(modulation_slope, entropy) + modulation * cross_entropy_slope(x, smoothed)};
}

/// |t - p|^gamma BCE(x, t).
Loss quality(double x, double t, double gamma) {
  const double p = sigmoid(x);
  const double difference = cross_entropy_slope(x, t);  // p - t
  const double distance = std::fabs(difference);
  const double entropy = cross_entropy(x, t);
  const double modulation = std::pow(distance, gamma);
  const double sign = difference > 0.0 ? 1.0 : difference < 0.0 ? -1.0 : 0.0;
  const double modulation_slope =
      gamma == 0.0 ? 0.0 : gamma * std::pow(distance, gamma - 1.0) * sign * p * sigmoid(-x);
  return {product(modulation, entropy),
          product(modulation_slope, entropy) + modulation * difference};
}

Loss scaled(Loss loss, double factor) {
  return {factor * loss.value, factor * loss.slope};
}

Loss element_loss(const SigmoidFocalLossOptions& options, double x, double t, double alpha,
                  bool has_alpha) {
  const auto gamma = static_cast<double>(options.gamma);
  switch (options.kind) {
    case FocalKind::quality:
      return quality(x, t, gamma);
    case FocalKind::varifocal:
      if (!(t <= 0.0)) return scaled({cross_entropy(x, t), cross_entropy_slope(x, t)}, t);
      return scaled(focal(x, 0.0, gamma, 0.0), has_alpha ? alpha : 1.0);
    default:
      return scaled(focal(x, t, gamma, static_cast<double>(options.label_smoothing)),
                    has_alpha ? alpha * t + (1.0 - alpha) * (1.0 - t) : 1.0);
  }
}

/// Row and class of an element.
struct Place {
  std::int64_t row = 0;
  std::int64_t c = 0;
};
Place place_of(const SigmoidFocalLossOptions& options, const FocalLevelShape& level,
               std::int64_t classes, std::int64_t index) {
  if (classes == 0) return {};
  if (options.layout == FocalLayout::rows) return {index / classes, index % classes};
  const std::int64_t plane = index / level.positions;
  return {plane / classes * level.positions + index % level.positions, plane % classes};
}

/// The target of an element as a number, or whether it takes no part.
struct Target {
  double t = 0.0;
  bool ignored = false;
};
Target target_of(const SigmoidFocalLossOptions& options, const Tensor& targets, const Place& place,
                 std::int64_t classes, std::int64_t index) {
  if (options.targets == FocalTargets::dense) {
    return {static_cast<double>(real_at(targets, index)), false};
  }
  if (options.targets == FocalTargets::binary) {
    const std::int64_t label = targets.type() == DataType::uint8
                                   ? targets.data_as<const std::uint8_t>()[index]
                                   : integer_at(targets, index);
    return {label == 1 ? 1.0 : 0.0, label == options.ignore_index};
  }
  const std::int64_t target = integer_at(targets, place.row);
  const bool is_class = target >= 0 && target < classes && target != options.background_index;
  return {is_class && target == place.c ? 1.0 : 0.0, target == options.ignore_index};
}

/// Sums over all levels.
struct Sums {
  double loss = 0.0;
  std::int64_t positives = 0;
};

void add_level(const SigmoidFocalLossOptions& options, const SigmoidFocalLossInput& input,
               const SigmoidFocalLossOutput& output, const SigmoidFocalShape& shape, int level,
               double factor, Sums& sums) {
  const bool by_element = options.reduction == LossReduction::none;
  const bool has_alpha =
      options.alpha != SigmoidFocalLossOptions::kNoAlpha || input.class_alpha.present();
  for (std::int64_t i = 0; i < shape.levels[level].elements; ++i) {
    const Place place = place_of(options, shape.levels[level], shape.classes, i);
    const Target target = target_of(options, input.targets[level], place, shape.classes, i);
    const auto x = static_cast<double>(real_at(input.logits[level], i));
    const auto alpha = static_cast<double>(
        input.class_alpha.present() ? real_at(input.class_alpha, place.c) : options.alpha);
    Loss loss;
    if (!target.ignored) {
      loss = element_loss(options, x, target.t, alpha, has_alpha);
      if (input.row_weights[level].present()) {
        loss = scaled(loss, static_cast<double>(real_at(input.row_weights[level], place.row)));
      }
      sums.loss += loss.value;
      sums.positives += target.t > 0.0 ? 1 : 0;
    }
    if (by_element && output.loss[level].present()) {
      store_real(output.loss[level], i, static_cast<float>(loss.value));
    }
    if (!output.grad_logits[level].present()) continue;
    double upstream = factor;
    if (by_element && input.grad_output[level].present()) {
      upstream *= static_cast<double>(real_at(input.grad_output[level], i));
    }
    const double gradient = target.ignored ? 0.0 : upstream * loss.slope;
    store_real(output.grad_logits[level], i, static_cast<float>(gradient));
  }
}

/// Probabilities of a row, of every class also 1 - p and -log p without cancellation.
struct ClassProbability {
  double p = 0.0;
  double miss = 0.0;
  double entropy = 0.0;
};
std::vector<ClassProbability> softmax(const Tensor& logits, std::int64_t row) {
  const std::int64_t classes = logits.size(1);
  const auto logit = [&](std::int64_t c) {
    return static_cast<double>(real_at(logits, row * classes + c));
  };
  std::int64_t largest = 0;
  for (std::int64_t c = 1; c < classes; ++c) {
    if (logit(c) > logit(largest)) largest = c;
  }
  double others = 0.0;
  for (std::int64_t c = 0; c < classes; ++c) {
    if (c != largest) others += std::exp(logit(c) - logit(largest));
  }
  std::vector<ClassProbability> result(static_cast<std::size_t>(classes));
  for (std::int64_t c = 0; c < classes; ++c) {
    ClassProbability& probability = result[static_cast<std::size_t>(c)];
    const double distance = c == largest ? 0.0 * logit(c) : logit(largest) - logit(c);
    probability.p = std::exp(-distance) / (1.0 + others);
    probability.miss = c == largest ? others / (1.0 + others) : 1.0 - probability.p;
    probability.entropy = distance + std::log1p(others);
  }
  return result;
}

/// The term q w (1 - p)^gamma (-log p) of a class; its derivative is slope (p_k - [k = c]) towards
/// the logit of class k.
Loss class_term(const ClassProbability& probability, double gamma) {
  const double modulation = std::pow(probability.miss, gamma);
  const double quotient =
      probability.miss > 0.0 ? product(probability.p, probability.entropy) / probability.miss : 1.0;
  return {product(modulation, probability.entropy), modulation * (1.0 + gamma * quotient)};
}

/// Loss of a row as weights of its classes' terms, gradient into `gradient`.
double weighted_row(const std::vector<ClassProbability>& probabilities,
                    const std::vector<double>& weights, double gamma,
                    std::vector<double>& gradient) {
  double value = 0.0;
  double slope = 0.0;
  const std::size_t classes = probabilities.size();
  std::vector<double> slopes(classes);
  for (std::size_t c = 0; c < classes; ++c) {
    if (weights[c] == 0.0) continue;
    const Loss term = scaled(class_term(probabilities[c], gamma), weights[c]);
    value += term.value;
    slope += term.slope;
    slopes[c] = term.slope;
  }
  for (std::size_t k = 0; k < classes; ++k) {
    // p_k times the other terms' slopes, less (1 - p_k) times its own: nothing cancels in 1 - p_k.
    gradient[k] = probabilities[k].p * (slope - slopes[k]) - probabilities[k].miss * slopes[k];
  }
  return value;
}

/// Runs over the rows; `weights_of(row, weights)` gives the weights of a row's terms, and is false
/// where the row is ignored.
template <class Options, class Input, class Output, class WeightsOf>
std::int64_t add_rows(const Options& options, const Input& input, const Output& output,
                      double gamma, const WeightsOf& weights_of) {
  const std::int64_t rows = input.logits.size(0);
  const std::int64_t classes = input.logits.size(1);
  const bool by_row = options.reduction == LossReduction::none;
  const double divisor = loss_divisor(options.reduction, input.normaliser, rows);
  std::vector<double> weights(static_cast<std::size_t>(classes));
  std::vector<double> gradient(static_cast<std::size_t>(classes));
  double sum = 0.0;
  std::int64_t valid_rows = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    double value = 0.0;
    std::fill(weights.begin(), weights.end(), 0.0);
    std::fill(gradient.begin(), gradient.end(), 0.0);
    if (weights_of(row, weights)) {
      ++valid_rows;
      value = weighted_row(softmax(input.logits, row), weights, gamma, gradient);
    }
    const double weight =
        input.row_weights.present() ? static_cast<double>(real_at(input.row_weights, row)) : 1.0;
    sum += weight * value;
    if (by_row && output.loss.present()) {
      store_real(output.loss, row, static_cast<float>(weight * value));
    }
    if (!output.grad_logits.present()) continue;
    double factor = static_cast<double>(options.grad_scale) * weight / divisor;
    if (input.grad_output.present()) {
      factor *= static_cast<double>(real_at(input.grad_output, by_row ? row : 0));
    }
    for (std::int64_t c = 0; c < classes; ++c) {
      store_real(output.grad_logits, row * classes + c,
                 static_cast<float>(factor * gradient[static_cast<std::size_t>(c)]));
    }
  }
  if (!by_row && output.loss.present()) {
    store_real(output.loss, 0, static_cast<float>(sum / divisor));
  }
  return valid_rows;
}

}  // namespace

Status sigmoid_focal_loss(const SigmoidFocalLossOptions& options,
                          const SigmoidFocalLossInput& input,
                          const SigmoidFocalLossOutput& output) noexcept {
  SigmoidFocalShape shape;
  CUDET_RETURN_IF_ERROR(check_sigmoid_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_sigmoid_output(options, input, output));
  const bool reduced = options.reduction != LossReduction::none;
  const double divisor = loss_divisor(options.reduction, input.normaliser, shape.elements);
  double factor = static_cast<double>(options.grad_scale) / divisor;
  if (reduced && input.grad_output[0].present()) {
    factor *= static_cast<double>(real_at(input.grad_output[0], 0));
  }
  Sums sums;
  for (int level = 0; level < input.levels; ++level)
    add_level(options, input, output, shape, level, factor, sums);
  if (reduced && output.loss[0].present()) {
    store_real(output.loss[0], 0, static_cast<float>(sums.loss / divisor));
  }
  if (output.positives.present()) store_integer(output.positives, 0, sums.positives);
  return Status();
}

Status softmax_focal_loss(const SoftmaxFocalLossOptions& options,
                          const SoftmaxFocalLossInput& input,
                          const SoftmaxFocalLossOutput& output) noexcept try {
  SoftmaxShape shape;
  CUDET_RETURN_IF_ERROR(check_softmax_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_softmax_output(options, input, output));
  const auto smoothing = static_cast<double>(options.label_smoothing);
  const auto weights_of = [&](std::int64_t row, std::vector<double>& weights) {
    const std::int64_t target = integer_at(input.targets, row);
    if (target == options.ignore_index || target < 0 || target >= shape.classes) return false;
    for (std::int64_t c = 0; c < shape.classes; ++c) {
      const double q =
          (c == target ? 1.0 - smoothing : 0.0) + smoothing / static_cast<double>(shape.classes);
      const double w = input.class_weights.present()
                           ? static_cast<double>(real_at(input.class_weights, c))
                           : 1.0;
      weights[static_cast<std::size_t>(c)] = q * w;
    }
    return true;
  };
  const std::int64_t valid_rows =
      add_rows(options, input, output, static_cast<double>(options.gamma), weights_of);
  if (output.valid_rows.present()) store_integer(output.valid_rows, 0, valid_rows);
  return Status();
} catch (const std::bad_alloc&) {
  return out_of_host_memory("softmax_focal_loss");
}

Status distribution_focal_loss(const DistributionFocalLossOptions& options,
                               const DistributionFocalLossInput& input,
                               const DistributionFocalLossOutput& output) noexcept try {
  SoftmaxShape shape;
  CUDET_RETURN_IF_ERROR(check_distribution_input(options, input, true, &shape));
  CUDET_RETURN_IF_ERROR(check_distribution_output(options, input, output));
  const auto weights_of = [&](std::int64_t row, std::vector<double>& weights) {
    const auto target = static_cast<double>(real_at(input.targets, row));
    if (std::isnan(target)) {
      std::fill(weights.begin(), weights.end(), target);
      return true;
    }
    const double y = std::clamp(target, 0.0, static_cast<double>(shape.classes - 1));
    const auto left = std::min(static_cast<std::int64_t>(y), shape.classes - 2);
    weights[static_cast<std::size_t>(left)] = static_cast<double>(left + 1) - y;
    weights[static_cast<std::size_t>(left + 1)] = y - static_cast<double>(left);
    return true;
  };
  (void)add_rows(options, input, output, 0.0, weights_of);
  return Status();
} catch (const std::bad_alloc&) {
  return out_of_host_memory("distribution_focal_loss");
}

}  // namespace cudet::reference
