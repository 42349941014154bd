// nms() on the CPU against results of other libraries (tests/data/oracle/nms and batched_nms).

#include <cudet/nms.h>

#include "support/nms_problem.h"
#include "support/oracle.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

/// The case's boxes, scores and labels as one image.
NmsProblem problem_of(const OracleCase& oracle_case, float iou_threshold) {
  NmsProblem problem = make_nms_problem(oracle_case.input("boxes").values<float>(),
                                        oracle_case.input("scores").values<float>(), iou_threshold);
  if (oracle_case.has_input("labels")) {
    problem.classes = HostTensor::of_integers(DataType::int64, {1, problem.n()},
                                              oracle_case.input("labels").values<std::int64_t>());
  }
  return problem;
}

void expect_kept(const NmsProblem& problem, const std::vector<std::int64_t>& expected) {
  NmsResult reference = make_nms_result(problem, DataType::int64);
  const Status status = reference::nms(problem.options, problem.input(), reference.output());
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(reference.kept(0), expected);

  NmsResult on_cpu = make_nms_result(problem, DataType::int64);
  const Status cpu_status =
      nms(problem.options, problem.input(), on_cpu.output(), Execution::cpu());
  ASSERT_TRUE(cpu_status.ok()) << cpu_status.message();
  EXPECT_EQ(on_cpu.kept(0), expected);
}

class NmsOracle : public testing::TestWithParam<std::string> {
 protected:
  static void run(const std::string& family, const std::string& output) {
    const OracleCase oracle_case = load_case(family, GetParam());
    const auto thresholds = oracle_case.parameter<std::vector<double>>("iou_thresholds");
    ASSERT_FALSE(thresholds.empty());
    for (std::size_t i = 0; i < thresholds.size(); ++i) {
      SCOPED_TRACE("iou_threshold " + std::to_string(thresholds[i]));
      expect_kept(problem_of(oracle_case, static_cast<float>(thresholds[i])),
                  oracle_case.output(output + "_" + std::to_string(i)).values<std::int64_t>());
    }
  }
};

// The threshold of NmsOptions is a float32, and so is the IoU that it is compared with. Where the
// IoU equals a decimal threshold that float32 cannot hold, that is the answer "f32thr" of the
// informational case; torchvision compares with the threshold in double ("tv_f32").
TEST_P(NmsOracle, KeepsTheSameBoxes) {
  const bool informational = GetParam() == "INFO_decimal_threshold_ties";
  run("nms", informational ? "keep_f32thr" : "keep");
}
INSTANTIATE_TEST_SUITE_P(Cases, NmsOracle, testing::ValuesIn(list_cases("nms")), case_test_name);

class BatchedNmsOracle : public NmsOracle {};

TEST_P(BatchedNmsOracle, KeepsTheSameBoxes) {
  run("batched_nms", "keep");
}
INSTANTIATE_TEST_SUITE_P(Cases, BatchedNmsOracle, testing::ValuesIn(list_cases("batched_nms")),
                         case_test_name);

}  // namespace
}  // namespace cudet::test
