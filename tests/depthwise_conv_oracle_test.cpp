// The references of the depthwise convolution, and the CPU calls, against PyTorch in float64
// (tests/data/oracle/depthwise).
#include "support/depthwise_problem.h"

#include <gtest/gtest.h>

#include <string>

namespace cudet::test {
namespace {

// The reference computes in double and rounds once: a hundredth of the oracle's tolerance for
// float32, besides that rounding.
void expect_output(const OracleCase& oracle_case, const char* name, const HostTensor& got) {
  Tolerance tolerance = oracle_case.tolerance(name);
  tolerance.absolute *= 0.01;
  tolerance.relative = tolerance.relative * 0.01 + 0x1p-24;
  EXPECT_TRUE(all_near(got.reals(), oracle_case.output(name).values<double>(), tolerance)) << name;
}

class DepthwiseConvOracle : public testing::TestWithParam<std::string> {};

TEST_P(DepthwiseConvOracle, Matches) {
  const OracleCase oracle_case = load_case("depthwise", GetParam());
  DepthwiseProblem problem = depthwise_problem_of(oracle_case);
  DepthwiseResult result = reference_result(problem);
  ASSERT_EQ(result.y.shape(), oracle_case.output("y").shape());
  expect_output(oracle_case, "y", result.y);
  if (oracle_case.has_output("y_act") && set_activation(oracle_case, problem.options)) {
    result = reference_result(problem, {true, true, true});
    expect_output(oracle_case, "y", result.pre_activation);
    expect_output(oracle_case, "y_act", result.y);
  }
}

TEST_P(DepthwiseConvOracle, GradientsMatch) {
  const OracleCase oracle_case = load_case("depthwise", GetParam());
  if (!oracle_case.has_output("grad_x")) {
    EXPECT_TRUE(oracle_case.has_output("y_act")) << "a case of an activation has no gradients";
    return;
  }
  const DepthwiseProblem problem = depthwise_problem_of(oracle_case);
  const DepthwiseGradients gradients = reference_gradients(problem);
  expect_output(oracle_case, "grad_x", gradients.grad_x);
  expect_output(oracle_case, "grad_w", gradients.grad_weight);
  if (oracle_case.has_output("grad_b")) expect_output(oracle_case, "grad_b", gradients.grad_bias);
}

INSTANTIATE_TEST_SUITE_P(Cases, DepthwiseConvOracle, testing::ValuesIn(list_cases("depthwise")),
                         case_test_name);

}  // namespace
}  // namespace cudet::test
