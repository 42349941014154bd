// The sigmoid focal loss on the CPU: blocks of neighbouring elements, of which all that the formula
// asks for is laid out in arrays first.
#include "focal_loss.h"

#include "../reference/box.h"
#include "../reference/loss_sum.h"
#include "focal_loops.h"
#include "focal_loss_sum.h"
#include "real_block.h"

#include <algorithm>
#include <cstdint>

namespace cudet::cpu {
namespace {

/// Elements of a block, so that its arrays stay in the first-level cache.
constexpr std::int64_t kBlock = 512;

/// Elements of a stretch, which are worth the start of a thread.
constexpr std::int64_t kStretch = 64 * kBlock;

static_assert(kBlock % kFocalPadding == 0);

/// The arrays of a block.
struct Block {
  std::int64_t first;
  std::int64_t count;
  float logits[kBlock];
  float targets[kBlock];
  float alpha[kBlock];
  float weights[kBlock];  ///< 0 where an element takes no part
  float upstream[kBlock];
  float losses[kBlock];
  float gradients[kBlock];
};

/// Neighbouring elements of a block that share their row (rows) or their class (head).
struct Run {
  std::int64_t begin;  ///< in the block
  std::int64_t count;
  std::int64_t row;  ///< of the first
  std::int64_t c;    ///< of the first
};

class Level {
 public:
  Level(const SigmoidFocalLossOptions& options, const SigmoidFocalLossInput& input,
        const SigmoidFocalLossOutput& output, const SigmoidFocalShape& shape, int level,
        double factor)
      : options_(options),
        class_alpha_(input.class_alpha),
        logits_(input.logits[level]),
        targets_(input.targets[level]),
        row_weights_(input.row_weights[level]),
        gradient_(output.grad_logits[level]),
        shape_(shape.levels[level]),
        classes_(shape.classes),
        factor_(static_cast<float>(factor)),
        formula_({options.kind, options.gamma, options.label_smoothing,
                  options.alpha != SigmoidFocalLossOptions::kNoAlpha || class_alpha_.present()}) {
    if (options.reduction != LossReduction::none) return;
    loss_ = output.loss[level];
    grad_output_ = input.grad_output[level];
  }

  /// Elements `begin` ... `end` - 1.
  FocalSum run(std::int64_t begin, std::int64_t end) const {
    Block block = {};
    FocalSum sum;
    for (block.first = begin; block.first < end; block.first += kBlock) {
      block.count = std::min(kBlock, end - block.first);
      const FocalSum of_block = run_block(block);
      sum.loss += of_block.loss;
      sum.counted += of_block.counted;
    }
    return sum;
  }

 private:
  FocalSum run_block(Block& block) const {
    FocalSum sum;
    load_reals(logits_, block.first, block.count, block.logits);
    std::fill_n(block.alpha, block.count, options_.alpha);
    std::fill_n(block.weights, block.count, 1.0f);
    if (options_.targets == FocalTargets::class_index || row_weights_.present() ||
        class_alpha_.present()) {
      for_each_run(block, [&](const Run& run) { load_places(block, run); });
    }
    if (options_.targets == FocalTargets::dense) {
      load_reals(targets_, block.first, block.count, block.targets);
    } else if (options_.targets == FocalTargets::binary) {
      load_labels(block);
    }
    for (std::int64_t k = 0; k < block.count; ++k)
      sum.counted += block.targets[k] > 0.0f ? 1 : 0;
    load_upstream(block);
    sum.loss = focal_loops().elements(formula_,
                                      {block.logits, block.targets, block.alpha, block.weights,
                                       block.upstream, block.losses, block.gradients},
                                      block.count);
    if (loss_.present()) store_reals(loss_, block.first, block.count, block.losses);
    if (gradient_.present()) store_reals(gradient_, block.first, block.count, block.gradients);
    return sum;
  }

  /// Takes elements out: what their logits are does not matter then.
  static void ignore(Block& block, std::int64_t begin, std::int64_t count) {
    std::fill_n(block.logits + begin, count, 0.0f);
    std::fill_n(block.targets + begin, count, 0.0f);
    std::fill_n(block.weights + begin, count, 0.0f);
    std::fill_n(block.alpha + begin, count, 0.0f);
  }

  void load_labels(Block& block) const {
    for (std::int64_t k = 0; k < block.count; ++k) {
      const std::int64_t i = block.first + k;
      const std::int64_t label = targets_.type() == DataType::uint8
                                     ? targets_.data_as<const std::uint8_t>()[i]
                                     : reference::integer_at(targets_, i);
      block.targets[k] = label == 1 ? 1.0f : 0.0f;
      if (label == options_.ignore_index) ignore(block, k, 1);
    }
  }

  template <class Body>
  void for_each_run(const Block& block, const Body& body) const {
    const bool head = options_.layout == FocalLayout::head;
    const std::int64_t length = head ? shape_.positions : classes_;
    for (std::int64_t k = 0; k < block.count;) {
      const std::int64_t line = (block.first + k) / length;
      const std::int64_t place = (block.first + k) % length;
      const std::int64_t count = std::min(block.count - k, length - place);
      if (head) {
        body(Run{k, count, line / classes_ * length + place, line % classes_});
      } else {
        body(Run{k, count, line, place});
      }
      k += count;
    }
  }

  /// What the row and the class of an element tell.
  void load_places(Block& block, const Run& run) const {
    const bool head = options_.layout == FocalLayout::head;
    float* const weights = block.weights + run.begin;
    if (class_alpha_.present()) {
      const float* const alpha = class_alpha_.data_as<const float>() + run.c;
      float* const alphas = block.alpha + run.begin;
      for (std::int64_t k = 0; k < run.count; ++k)
        alphas[k] = alpha[head ? 0 : k];
    }
    if (row_weights_.present()) {
      const float* const row_weight = row_weights_.data_as<const float>() + run.row;
      for (std::int64_t k = 0; k < run.count; ++k)
        weights[k] = row_weight[head ? k : 0];
    }
    if (options_.targets != FocalTargets::class_index) return;
    float* const targets = block.targets + run.begin;
    std::fill_n(targets, run.count, 0.0f);
    for (std::int64_t k = 0; k < (head ? run.count : 1); ++k) {
      const std::int64_t target = reference::integer_at(targets_, run.row + k);
      const std::int64_t place = head ? k : target - run.c;
      if (target == options_.ignore_index) {
        ignore(block, run.begin + k, head ? 1 : run.count);
      } else if (target != options_.background_index && target >= 0 && target < classes_ &&
                 (head ? target == run.c : place >= 0 && place < run.count)) {
        targets[place] = 1.0f;
      }
    }
  }

  void load_upstream(Block& block) const {
    if (grad_output_.present()) {
      load_reals(grad_output_, block.first, block.count, block.upstream);
    } else {
      std::fill_n(block.upstream, block.count, 1.0f);
    }
    for (std::int64_t k = 0; k < block.count; ++k) {
      const float upstream = factor_ * block.upstream[k] * block.weights[k];
      block.upstream[k] = block.weights[k] == 0.0f ? 0.0f : upstream;
    }
  }

  const SigmoidFocalLossOptions& options_;
  const Tensor& class_alpha_;
  const Tensor& logits_;
  const Tensor& targets_;
  const Tensor& row_weights_;
  const Tensor& gradient_;
  Tensor loss_;         ///< of each element, where that is wanted
  Tensor grad_output_;  ///< of each element
  const FocalLevelShape& shape_;
  std::int64_t classes_;
  float factor_;  ///< of all gradients
  FocalFormula formula_;
};

}  // namespace

Status sigmoid_focal_loss(const SigmoidFocalShape& shape, const SigmoidFocalLossOptions& options,
                          const SigmoidFocalLossInput& input, const SigmoidFocalLossOutput& output,
                          int threads) {
  const bool reduced = options.reduction != LossReduction::none;
  const double divisor =
      reference::loss_divisor(options.reduction, input.normaliser, shape.elements);
  double factor = static_cast<double>(options.grad_scale) / divisor;
  if (reduced && input.grad_output[0].present()) {
    factor *= static_cast<double>(reference::real_at(input.grad_output[0], 0));
  }
  FocalSum total;
  for (int level = 0; level < input.levels; ++level) {
    const Level work(options, input, output, shape, level, factor);
    const FocalSum sum = sum_of_stretches(
        threads, shape.levels[level].elements, kStretch,
        [&](std::int64_t begin, std::int64_t end) { return work.run(begin, end); });
    total.loss += sum.loss;
    total.counted += sum.counted;
  }
  if (reduced && output.loss[0].present()) {
    reference::store_real(output.loss[0], 0, static_cast<float>(total.loss / divisor));
  }
  if (output.positives.present()) reference::store_integer(output.positives, 0, total.counted);
  return Status();
}

}  // namespace cudet::cpu
