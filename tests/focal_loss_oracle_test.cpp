// The references of the focal losses, and the CPU calls, against torchvision, PyTorch and
// evaluations in 120 digits (tests/data/oracle/focal_*).
#include "support/focal_oracle.h"

#include <gtest/gtest.h>

#include <string>

namespace cudet::test {
namespace {

// The references compute in double and round once: a hundredth of the oracle's tolerance for
// float32 is left to them.
constexpr double kScale = 0.01;

template <class Problem>
void expect_on_host(const OracleCase& oracle_case, const Problem& problem) {
  expect_oracle_results(
      oracle_case, problem, [](const Problem& p) { return reference_result(p); }, kScale);
  expect_oracle_results(oracle_case, problem, [](const Problem& p) { return cpu_result(p); });
}

/// Gradient with an upstream gradient of each loss.
template <class Problem>
void expect_weighted_gradient(const OracleCase& oracle_case, const Problem& problem) {
  Tolerance tolerance = oracle_case.tolerance("grad_w");
  tolerance.absolute *= kScale;
  tolerance.relative *= kScale;
  EXPECT_TRUE(all_near(reference_result(problem).gradient.at(0).reals(),
                       oracle_case.output("grad_w").template values<double>(), tolerance));
}

class FocalSigmoidOracle : public testing::TestWithParam<std::string> {};
TEST_P(FocalSigmoidOracle, Matches) {
  const OracleCase oracle_case = load_case("focal_sigmoid", GetParam());
  SigmoidProblem problem = sigmoid_problem_of(oracle_case);
  expect_on_host(oracle_case, problem);
  const Array upstream = oracle_case.input("grad_output");
  problem.options.reduction = LossReduction::none;
  problem.grad_output.push_back(
      HostTensor::of_reals(DataType::float32, upstream.shape(), upstream.values<float>()));
  expect_weighted_gradient(oracle_case, problem);
}
INSTANTIATE_TEST_SUITE_P(Cases, FocalSigmoidOracle, testing::ValuesIn(list_cases("focal_sigmoid")),
                         case_test_name);

class FocalSigmoidIndexOracle : public testing::TestWithParam<std::string> {};
TEST_P(FocalSigmoidIndexOracle, Matches) {
  const OracleCase oracle_case = load_case("focal_sigmoid_index", GetParam());
  const SigmoidProblem problem = sigmoid_problem_of(oracle_case);
  expect_on_host(oracle_case, problem);
  EXPECT_EQ(reference_result(problem).count.integer(0),
            oracle_case.parameter<std::int64_t>("num_positive"));
}
INSTANTIATE_TEST_SUITE_P(Cases, FocalSigmoidIndexOracle,
                         testing::ValuesIn(list_cases("focal_sigmoid_index")), case_test_name);

class FocalSoftmaxOracle : public testing::TestWithParam<std::string> {};
TEST_P(FocalSoftmaxOracle, Matches) {
  const OracleCase oracle_case = load_case("focal_softmax", GetParam());
  RowsProblem problem = softmax_problem_of(oracle_case);
  expect_on_host(oracle_case, problem);
  EXPECT_EQ(reference_result(problem).count.integer(0),
            oracle_case.parameter<std::int64_t>("num_valid"));
  const Array upstream = oracle_case.input("grad_output");
  problem.options.reduction = LossReduction::none;
  problem.grad_output =
      HostTensor::of_reals(DataType::float32, upstream.shape(), upstream.values<float>());
  expect_weighted_gradient(oracle_case, problem);
}
INSTANTIATE_TEST_SUITE_P(Cases, FocalSoftmaxOracle, testing::ValuesIn(list_cases("focal_softmax")),
                         case_test_name);

}  // namespace
}  // namespace cudet::test
