// Calls of the focal losses: inputs, options and results in host memory.
#pragma once

#include "host_tensor.h"
#include "random.h"
#include "tolerance.h"

#include <cudet/focal_loss.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {

/// A call of sigmoid_focal_loss(); lists have one tensor a level, or are empty where it is absent.
struct SigmoidProblem {
  SigmoidFocalLossOptions options;
  std::vector<HostTensor> logits;
  std::vector<HostTensor> targets;
  std::vector<HostTensor> row_weights;
  std::vector<HostTensor> grad_output;
  HostTensor class_alpha;
  HostTensor normaliser;
  bool want_loss = true;
  bool want_gradient = true;
  bool want_positives = true;
  DataType loss_type = DataType::float32;

  int levels() const { return static_cast<int>(logits.size()); }
  DataType type() const { return logits.front().type(); }
  SigmoidFocalLossInput input() const;
  std::string describe() const;
};

/// What such a call writes.
struct FocalResult {
  std::vector<HostTensor> loss;
  std::vector<HostTensor> gradient;
  HostTensor count;

  SigmoidFocalLossOutput sigmoid_output();
  SoftmaxFocalLossOutput softmax_output();
  DistributionFocalLossOutput distribution_output();
};
testing::AssertionResult same_bits(const FocalResult& got, const FocalResult& expected);

/// A call of softmax_focal_loss() or, with `distribution`, of distribution_focal_loss().
struct RowsProblem {
  bool distribution = false;
  SoftmaxFocalLossOptions options;
  HostTensor logits;
  HostTensor targets;
  HostTensor class_weights;
  HostTensor row_weights;
  HostTensor normaliser;
  HostTensor grad_output;
  bool want_loss = true;
  bool want_gradient = true;
  bool want_count = true;

  SoftmaxFocalLossInput input() const;
  DistributionFocalLossInput distribution_input() const;
  DistributionFocalLossOptions distribution_options() const;
  std::string describe() const;
};

/// Poisoned outputs of a call.
FocalResult make_result(const SigmoidProblem& problem);
FocalResult make_result(const RowsProblem& problem);

/// What the reference gives, checked for success. A gradient of a 16-bit type is rounded; with
/// `exact`, logits are widened first, so that loss and gradient are float32.
FocalResult reference_result(const SigmoidProblem& problem, bool exact = false);
FocalResult reference_result(const RowsProblem& problem, bool exact = false);

/// What the CPU mode gives, checked for success.
FocalResult cpu_result(const SigmoidProblem& problem, int threads = 2);
FocalResult cpu_result(const RowsProblem& problem, int threads = 2);

/// The largest factor of a gradient that lies outside the loss of its element; the absolute part of
/// a tolerance grows with it.
double gradient_factor(const SigmoidProblem& problem);
double gradient_factor(const RowsProblem& problem);

/// Each loss and gradient within the tolerance of its type, the count equal. Sums may differ by
/// 1e-6 for float32 logits and 1e-5 for 16-bit ones, relative.
void expect_near(const FocalResult& got, const FocalResult& exact, LossReduction reduction,
                 DataType logit_type, double gradient_factor, const std::string& description);

/// Numbers with the spread of a detector's logits: mostly negative, some of them extreme.
std::vector<float> random_logits(Random& random, std::int64_t count);

/// Classes of rows: `positives` of 0 ... classes - 1, `ignored` of ignore_index, the rest
/// background or any other number.
std::vector<std::int64_t> random_classes(Random& random, std::int64_t count, std::int64_t classes,
                                         std::int64_t ignore_index, double positives,
                                         double ignored);

/// A problem of class targets in rows or in the head layout, on levels of the given shapes.
struct LevelShape {
  std::int64_t batch, anchors, classes, height, width;
};
SigmoidProblem random_class_problem(Random& random, DataType type, FocalLayout layout,
                                    const std::vector<LevelShape>& levels, double positives = 0.02,
                                    double ignored = 0.02);

RowsProblem random_rows_problem(Random& random, DataType type, std::int64_t rows,
                                std::int64_t classes, bool distribution = false);

}  // namespace cudet::test
