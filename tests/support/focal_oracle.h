// The oracle's cases of the focal losses as calls.
#pragma once

#include "focal_problem.h"
#include "oracle.h"

#include <string>

namespace cudet::test {

/// tests/data/oracle/focal_sigmoid, focal_sigmoid_index and focal_softmax.
inline SigmoidProblem sigmoid_problem_of(const OracleCase& oracle_case) {
  const bool by_index = oracle_case.meta.at("family") == "focal_sigmoid_index";
  const Array logits = oracle_case.input("logits");
  SigmoidProblem problem;
  problem.options.alpha = oracle_case.parameter<float>("alpha");
  problem.options.gamma = oracle_case.parameter<float>("gamma");
  problem.logits.push_back(
      HostTensor::of_reals(DataType::float32, logits.shape(), logits.values<float>()));
  const Array targets = oracle_case.input("targets");
  if (by_index) {
    problem.options.background_index = oracle_case.parameter<std::int64_t>("background_index");
    problem.options.ignore_index = oracle_case.parameter<std::int64_t>("ignore_index");
    problem.targets.push_back(
        HostTensor::of_integers(DataType::int64, targets.shape(), targets.values<std::int64_t>()));
  } else {
    problem.options.targets = FocalTargets::dense;
    problem.targets.push_back(
        HostTensor::of_reals(DataType::float32, targets.shape(), targets.values<float>()));
  }
  return problem;
}

inline RowsProblem softmax_problem_of(const OracleCase& oracle_case) {
  const Array logits = oracle_case.input("logits");
  const Array targets = oracle_case.input("targets");
  RowsProblem problem;
  problem.options.gamma = oracle_case.parameter<float>("gamma");
  problem.options.label_smoothing = oracle_case.parameter<float>("label_smoothing");
  problem.options.ignore_index = oracle_case.parameter<std::int64_t>("ignore_index");
  problem.logits = HostTensor::of_reals(DataType::float32, logits.shape(), logits.values<float>());
  problem.targets =
      HostTensor::of_integers(DataType::int64, targets.shape(), targets.values<std::int64_t>());
  if (oracle_case.parameter<bool>("has_class_weights")) {
    const Array weights = oracle_case.input("class_weights");
    problem.class_weights =
        HostTensor::of_reals(DataType::float32, weights.shape(), weights.values<float>());
  }
  return problem;
}

/// The reductions of a case: the option, its divisor and the output that has the result.
struct OracleReduction {
  LossReduction reduction;
  float normaliser;
  std::string output;
};
inline std::vector<OracleReduction> reductions_of(const OracleCase& oracle_case) {
  std::vector<OracleReduction> reductions = {{LossReduction::sum, 1.0f, "loss_sum"}};
  const auto add = [&](LossReduction reduction, float normaliser, const char* output) {
    if (oracle_case.has_output(output)) reductions.push_back({reduction, normaliser, output});
  };
  // The mean of nothing is NaN there and 0 here.
  if (oracle_case.name != "n0") add(LossReduction::mean, 1.0f, "loss_mean");
  add(LossReduction::mean, 1.0f, "loss_mean_all");
  if (oracle_case.has_output("loss_per_positive")) {
    add(LossReduction::normalised, oracle_case.parameter<float>("num_positive"),
        "loss_per_positive");
  }
  if (oracle_case.has_output("loss_mean_valid")) {
    const auto classes = oracle_case.has_output("loss_mean_weighted")
                             ? 1.0f
                             : oracle_case.parameter<float>("num_classes");
    add(LossReduction::normalised, oracle_case.parameter<float>("num_valid") * classes,
        "loss_mean_valid");
  }
  return reductions;
}

/// Compares every case of a family; `run` computes a problem's result, in the place that is tested.
/// `scale` tightens the oracle's tolerances, which are those of float32.
template <class Problem, class Run>
void expect_oracle_results(const OracleCase& oracle_case, Problem problem, const Run& run,
                           double scale = 1.0) {
  const auto tolerance = [&](const std::string& output) {
    Tolerance allowed = oracle_case.tolerance(output);
    allowed.absolute *= scale;
    allowed.relative *= scale;
    return allowed;
  };
  for (const OracleReduction& reduction : reductions_of(oracle_case)) {
    problem.options.reduction = reduction.reduction;
    problem.normaliser = HostTensor();
    if (reduction.reduction == LossReduction::normalised) {
      problem.normaliser = HostTensor::of_reals(DataType::float32, {1}, {reduction.normaliser});
    }
    const FocalResult result = run(problem);
    EXPECT_TRUE(all_near(result.loss.at(0).reals(),
                         oracle_case.output(reduction.output).template values<double>(),
                         tolerance(reduction.output)))
        << reduction.output;
    if (reduction.reduction == LossReduction::sum) {
      EXPECT_TRUE(all_near(result.gradient.at(0).reals(),
                           oracle_case.output("grad").template values<double>(),
                           tolerance("grad")));
    }
  }
  problem.options.reduction = LossReduction::none;
  problem.normaliser = HostTensor();
  const FocalResult single = run(problem);
  EXPECT_TRUE(all_near(single.loss.at(0).reals(),
                       oracle_case.output("loss").template values<double>(), tolerance("loss")));
}

}  // namespace cudet::test
