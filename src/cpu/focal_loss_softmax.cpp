// The softmax losses on the CPU. A row's loss is a weighted sum of terms (1 - p_c)^gamma (-log
// p_c), one for a hard target, two for a distribution, C where labels are smoothed. Only the
// exponentials and the gradient's factor are work for every class, and vectors; the terms are made
// in double.
#include "focal_loss.h"

#include "../reference/box.h"
#include "../reference/loss_sum.h"
#include "focal_loops.h"
#include "focal_loss_sum.h"
#include "real_block.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cudet::cpu {
namespace {

/// Logits of a stretch of rows, which are worth the start of a thread.
constexpr std::int64_t kStretchLogits = 1 << 15;

/// A class whose -log p is part of a row's loss.
struct Term {
  Term(std::int64_t class_id, double class_weight) : c(class_id), weight(class_weight) {}
  std::int64_t c;
  double weight;
  double p = 0.0;
  double miss = 0.0;   ///< 1 - p
  double slope = 0.0;  ///< the derivative is slope (p_k - [k = c]) towards the logit of class k
};

struct RowBuffers {
  explicit RowBuffers(std::int64_t classes)
      : logits(padded(classes), -INFINITY), gradient(padded(classes)) {}
  static std::size_t padded(std::int64_t classes) {
    return static_cast<std::size_t>((classes + kFocalPadding - 1) / kFocalPadding * kFocalPadding);
  }
  std::vector<float> logits;
  std::vector<float> gradient;  ///< the exponentials before
};

double power(double base, double gamma) {
  if (gamma == 0.0) return 1.0;
  if (gamma == 1.0) return base;
  if (gamma == 2.0) return base * base;
  return std::pow(base, gamma);
}

/// The rows of a call; `Input` and `Output` are those of either loss.
template <class Input, class Output>
class Rows {
 public:
  Rows(const Input& input, const Output& output, LossReduction reduction, double gamma,
       double grad_scale)
      : input_(input),
        output_(output),
        by_row_(reduction == LossReduction::none),
        gamma_(gamma),
        factor_(grad_scale /
                reference::loss_divisor(reduction, input.normaliser, input.logits.size(0))),
        classes_(input.logits.size(1)) {}

  /// Rows `begin` ... `end` - 1. terms_of(row, terms) is false where a row is ignored, whose
  /// gradient is 0.
  template <class TermsOf>
  FocalSum run(std::int64_t begin, std::int64_t end, const TermsOf& terms_of) const {
    RowBuffers buffers(classes_);
    std::vector<Term> terms;
    FocalSum sum;
    for (std::int64_t row = begin; row < end; ++row) {
      terms.clear();
      double loss = 0.0;
      if (terms_of(row, terms)) {
        const double weight = reference::factor_at(input_.row_weights, row);
        const double upstream = factor_ * reference::factor_at(input_.grad_output, row, !by_row_);
        ++sum.counted;
        load_reals(input_.logits, row * classes_, classes_, buffers.logits.data());
        loss = weight * run_row(terms, weight * upstream, buffers);
        sum.loss += loss;
      } else {
        std::fill(buffers.gradient.begin(), buffers.gradient.end(), 0.0f);
      }
      if (by_row_ && output_.loss.present()) {
        reference::store_real(output_.loss, row, static_cast<float>(loss));
      }
      if (output_.grad_logits.present()) {
        store_reals(output_.grad_logits, row * classes_, classes_, buffers.gradient.data());
      }
    }
    return sum;
  }

  /// All rows; stores the reduced loss. Returns how many rows were not ignored.
  template <class TermsOf>
  std::int64_t run_all(int threads, LossReduction reduction, const TermsOf& terms_of) const {
    const std::int64_t rows = input_.logits.size(0);
    const std::int64_t grain =
        std::max<std::int64_t>(1, kStretchLogits / std::max<std::int64_t>(classes_, 1));
    const FocalSum sum = sum_of_stretches(
        threads, rows, grain,
        [&](std::int64_t begin, std::int64_t end) { return run(begin, end, terms_of); });
    if (!by_row_ && output_.loss.present()) {
      const double divisor = reference::loss_divisor(reduction, input_.normaliser, rows);
      reference::store_real(output_.loss, 0, static_cast<float>(sum.loss / divisor));
    }
    return sum.counted;
  }

 private:
  /// Loss of a row; fills its gradient, of which `factor` is a factor.
  double run_row(std::vector<Term>& terms, double factor, RowBuffers& row) const {
    const FocalLoops& loops = focal_loops();
    const RowLargest largest = loops.largest(row.logits.data(), classes_);
    float* const powers = row.gradient.data();
    const double others = loops.exponentials(row.logits.data(), classes_, largest, powers);
    const double inverse = 1.0 / (1.0 + others);
    const double log_sum = std::log1p(others);
    double loss = 0.0;
    double slope = 0.0;
    for (Term& term : terms) {
      const auto place = static_cast<std::size_t>(term.c);
      const double entropy = static_cast<double>(largest.value - row.logits[place]) + log_sum;
      term.p = static_cast<double>(powers[place]) * inverse;
      term.miss = term.c == largest.place ? others * inverse : 1.0 - term.p;
      const double modulation = power(term.miss, gamma_);
      // The limits of both products, whatever the entropy is.
      const double change = term.p == 0.0 ? 0.0 : term.p * entropy / term.miss;
      const double quotient = term.miss == 0.0 ? 1.0 : change;
      loss += modulation == 0.0 ? 0.0 : term.weight * modulation * entropy;
      term.slope = term.weight * modulation * (1.0 + gamma_ * quotient);
      slope += term.slope;
    }
    if (output_.grad_logits.present()) {
      loops.scale(powers, classes_, static_cast<float>(factor * slope * inverse));
      for (const Term& term : terms) {
        const double gradient = term.p * (slope - term.slope) - term.miss * term.slope;
        row.gradient[static_cast<std::size_t>(term.c)] = static_cast<float>(factor * gradient);
      }
    }
    return loss;
  }

  const Input& input_;
  const Output& output_;
  bool by_row_;
  double gamma_;
  double factor_;  ///< of all gradients, before that of the row
  std::int64_t classes_;
};

}  // namespace

Status softmax_focal_loss(const SoftmaxFocalLossOptions& options,
                          const SoftmaxFocalLossInput& input, const SoftmaxFocalLossOutput& output,
                          int threads) {
  const std::int64_t classes = input.logits.size(1);
  const auto smoothing = static_cast<double>(options.label_smoothing);
  const double share = smoothing / static_cast<double>(classes);
  const auto add_term = [&](std::vector<Term>& terms, std::int64_t c, double q) {
    const double weight = input.class_weights.present()
                              ? q * static_cast<double>(reference::real_at(input.class_weights, c))
                              : q;
    if (weight != 0.0) terms.emplace_back(c, weight);
  };
  const auto terms_of = [&](std::int64_t row, std::vector<Term>& terms) {
    const std::int64_t target = reference::integer_at(input.targets, row);
    if (target == options.ignore_index || target < 0 || target >= classes) return false;
    if (smoothing == 0.0) {
      add_term(terms, target, 1.0);
      return true;
    }
    for (std::int64_t c = 0; c < classes; ++c)
      add_term(terms, c, (c == target ? 1.0 - smoothing : 0.0) + share);
    return true;
  };
  const Rows<SoftmaxFocalLossInput, SoftmaxFocalLossOutput> rows(
      input, output, options.reduction, static_cast<double>(options.gamma),
      static_cast<double>(options.grad_scale));
  const std::int64_t valid_rows = rows.run_all(threads, options.reduction, terms_of);
  if (output.valid_rows.present()) reference::store_integer(output.valid_rows, 0, valid_rows);
  return Status();
}

Status distribution_focal_loss(const DistributionFocalLossOptions& options,
                               const DistributionFocalLossInput& input,
                               const DistributionFocalLossOutput& output, int threads) {
  const std::int64_t bins = input.logits.size(1);
  const auto terms_of = [&](std::int64_t row, std::vector<Term>& terms) {
    const auto target = static_cast<double>(reference::real_at(input.targets, row));
    if (std::isnan(target)) {
      terms.emplace_back(0, target);
      return true;
    }
    const double y = std::clamp(target, 0.0, static_cast<double>(bins - 1));
    const auto left = std::min(static_cast<std::int64_t>(y), bins - 2);
    const double right_weight = y - static_cast<double>(left);
    if (right_weight != 1.0) terms.emplace_back(left, 1.0 - right_weight);
    if (right_weight != 0.0) terms.emplace_back(left + 1, right_weight);
    return true;
  };
  const Rows<DistributionFocalLossInput, DistributionFocalLossOutput> rows(
      input, output, options.reduction, 0.0, static_cast<double>(options.grad_scale));
  rows.run_all(threads, options.reduction, terms_of);
  return Status();
}

}  // namespace cudet::cpu
