// The focal losses on a device against torchvision, PyTorch and evaluations in 120 digits
// (tests/data/oracle/focal_*).
#include "support/device_focal.h"
#include "support/focal_oracle.h"

#include <gtest/gtest.h>

#include <string>

namespace cudet::test {
namespace {

template <class Problem>
FocalResult run(const Problem& problem) {
  return device_result(problem);
}

class DeviceFocalSigmoidOracle : public testing::TestWithParam<std::string> {};
TEST_P(DeviceFocalSigmoidOracle, Matches) {
  const OracleCase oracle_case = load_case("focal_sigmoid", GetParam());
  expect_oracle_results(oracle_case, sigmoid_problem_of(oracle_case), run<SigmoidProblem>);
}
INSTANTIATE_TEST_SUITE_P(Cases, DeviceFocalSigmoidOracle,
                         testing::ValuesIn(list_cases("focal_sigmoid")), case_test_name);

class DeviceFocalSigmoidIndexOracle : public testing::TestWithParam<std::string> {};
TEST_P(DeviceFocalSigmoidIndexOracle, Matches) {
  const OracleCase oracle_case = load_case("focal_sigmoid_index", GetParam());
  expect_oracle_results(oracle_case, sigmoid_problem_of(oracle_case), run<SigmoidProblem>);
}
INSTANTIATE_TEST_SUITE_P(Cases, DeviceFocalSigmoidIndexOracle,
                         testing::ValuesIn(list_cases("focal_sigmoid_index")), case_test_name);

class DeviceFocalSoftmaxOracle : public testing::TestWithParam<std::string> {};
TEST_P(DeviceFocalSoftmaxOracle, Matches) {
  const OracleCase oracle_case = load_case("focal_softmax", GetParam());
  expect_oracle_results(oracle_case, softmax_problem_of(oracle_case), run<RowsProblem>);
}
INSTANTIATE_TEST_SUITE_P(Cases, DeviceFocalSoftmaxOracle,
                         testing::ValuesIn(list_cases("focal_softmax")), case_test_name);

}  // namespace
}  // namespace cudet::test
