// Problems and results of iou_loss() in host memory.
#pragma once

#include "host_tensor.h"
#include "oracle.h"
#include "random.h"

#include <cudet/iou_loss.h>

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace cudet::test {

inline constexpr IouKind kIouLossKinds[] = {IouKind::iou, IouKind::giou, IouKind::diou,
                                            IouKind::ciou, IouKind::eiou};
inline constexpr LossReduction kLossReductions[] = {LossReduction::none, LossReduction::sum,
                                                    LossReduction::mean, LossReduction::normalised};

struct IouLossProblem {
  IouLossOptions options;
  HostTensor boxes1, boxes2;                    ///< [n, 4]
  HostTensor weights, normaliser, grad_output;  ///< absent where not used

  std::int64_t n() const { return boxes1.shape()[0]; }
  IouLossInput input() const;
  std::string describe() const;
};

struct IouLossResult {
  HostTensor loss, grad_boxes1, grad_boxes2;
};

/// Poisoned outputs of the right shapes.
IouLossResult make_iou_loss_result(const IouLossProblem& problem,
                                   DataType gradient_type = DataType::float32);

/// What the CPU mode gives, checked for success.
IouLossResult iou_loss_on_cpu(const IouLossProblem& problem, int threads,
                              DataType gradient_type = DataType::float32);

/// What the reference gives, checked for success; and checks that the CPU mode gives the same.
IouLossResult reference_iou_loss(const IouLossProblem& problem,
                                 DataType gradient_type = DataType::float32);

/// n random pairs, half of them near each other, with random factors where the reduction has them.
IouLossProblem random_iou_loss_problem(Random& random, std::int64_t n, BoxDistribution distribution,
                                       const IouLossOptions& options,
                                       DataType box_type = DataType::float32);

/// The oracle's case with reduction none.
IouLossProblem oracle_iou_loss_problem(const OracleCase& oracle);

/// Numbers of a pair: box1, then box2, as corners.
using PairNumbers = std::array<double, 8>;

/// True where two coordinates of an axis are nearly equal, or a box is inverted: there central
/// differences do not meet the gradient.
bool is_near_kink(const PairNumbers& corners);

/// The loss as include/cudet/iou_loss.h defines it, with `alpha` of CIoU given, in double.
double iou_loss_value(IouKind kind, const PairNumbers& corners, double eps, double alpha);
/// CIoU's alpha.
double ciou_alpha(const PairNumbers& corners, double eps, double alpha_eps);

/// Sum of the magnitudes of the terms that a gradient of pair i is added up from, roughly: what
/// rounding is relative to. For x coordinates and for y coordinates.
std::array<double, 2> gradient_scale(const IouLossProblem& problem, std::size_t i);

/// Compares loss and gradients of a float32 result with the reference's, within the promise of
/// include/cudet/iou_loss.h; pairs that it does not cover must be finite.
void expect_near(const IouLossProblem& problem, const IouLossResult& got,
                 const IouLossResult& expected);

/// Checks a result against the oracle's.
void expect_oracle(const OracleCase& oracle, const IouLossResult& got);

/// Pairs that are identical, touching, nested, empty, huge, tiny or far apart, all of them valid,
/// in every combination.
IouLossProblem extreme_iou_loss_problem(IouKind kind);

}  // namespace cudet::test
