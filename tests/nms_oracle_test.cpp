// nms() on the CPU against results of other libraries and of the papers' formulas
// (tests/data/oracle).

#include <cudet/nms.h>

#include "support/nms_oracle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

using Indices = std::vector<std::int64_t>;

NmsResult run(const NmsProblem& problem) {
  return reference_result(problem, DataType::int64);
}

class NmsOracle : public testing::TestWithParam<std::string> {
 protected:
  static void expect_kept(const std::string& family, const std::string& output) {
    const OracleCase oracle_case = load_case(family, GetParam());
    const std::vector<NmsProblem> problems = problems_of(family, oracle_case);
    ASSERT_FALSE(problems.empty());
    for (std::size_t i = 0; i < problems.size(); ++i) {
      SCOPED_TRACE(problems[i].describe());
      const bool one = oracle_case.has_output(output);
      const std::string name = one ? output : output + "_" + std::to_string(i);
      EXPECT_EQ(run(problems[i]).kept(0), oracle_case.output(name).values<std::int64_t>());
    }
  }

  /// Scores of the kept boxes, in order.
  static void expect_scores(const OracleCase& oracle_case, const NmsResult& result,
                            const std::string& output) {
    const std::vector<double> expected = oracle_case.output(output).values<double>();
    const Tolerance tolerance = oracle_case.tolerance(output);
    for (std::size_t k = 0; k < expected.size(); ++k) {
      EXPECT_TRUE(is_near(static_cast<double>(result.scores.real(k)), expected[k], tolerance))
          << "slot " << k << ": " << result.scores.real(k) << ", expected " << expected[k];
    }
  }
};

// The threshold of NmsOptions is a float32, and so is the IoU that it is compared with. Where the
// IoU equals a decimal threshold that float32 cannot hold, that is the answer "f32thr" of the
// informational case; torchvision compares with the threshold in double ("tv_f32").
TEST_P(NmsOracle, KeepsTheSameBoxes) {
  const bool informational = GetParam() == "INFO_decimal_threshold_ties";
  expect_kept("nms", informational ? "keep_f32thr" : "keep");
}
INSTANTIATE_TEST_SUITE_P(Cases, NmsOracle, testing::ValuesIn(list_cases("nms")), case_test_name);

class BatchedNmsOracle : public NmsOracle {};
TEST_P(BatchedNmsOracle, KeepsTheSameBoxes) {
  expect_kept("batched_nms", "keep");
}
INSTANTIATE_TEST_SUITE_P(Cases, BatchedNmsOracle, testing::ValuesIn(list_cases("batched_nms")),
                         case_test_name);

class OnnxNmsOracle : public NmsOracle {};
TEST_P(OnnxNmsOracle, SelectsTheSameIndices) {
  const OracleCase oracle_case = load_case("onnx_nms", GetParam());
  const NmsProblem problem = problems_of("onnx_nms", oracle_case).front();
  const NmsResult result = run(problem);
  Indices rows;  // batch, class, box
  for (std::int64_t b = 0; b < problem.batch(); ++b) {
    std::vector<Indices> of_image;
    for (std::int64_t k = 0; k < result.count.integer(static_cast<std::size_t>(b)); ++k) {
      const auto slot = static_cast<std::size_t>(b * problem.capacity() + k);
      of_image.push_back({b, result.classes.integer(slot), result.indices.integer(slot)});
    }
    std::stable_sort(of_image.begin(), of_image.end(),
                     [](const Indices& a, const Indices& c) { return a[1] < c[1]; });
    for (const Indices& row : of_image)
      rows.insert(rows.end(), row.begin(), row.end());
  }
  EXPECT_EQ(rows, oracle_case.output("selected_indices").values<std::int64_t>());
}
INSTANTIATE_TEST_SUITE_P(Cases, OnnxNmsOracle, testing::ValuesIn(list_cases("onnx_nms")),
                         case_test_name);

class OpencvNmsOracle : public NmsOracle {};
TEST_P(OpencvNmsOracle, KeepsTheSameBoxes) {
  if (problems_of("opencv_nms", load_case("opencv_nms", GetParam())).empty()) {
    GTEST_SKIP() << "a threshold that changes from box to box is not offered";
  }
  expect_kept("opencv_nms", "keep");
}
INSTANTIATE_TEST_SUITE_P(Cases, OpencvNmsOracle, testing::ValuesIn(list_cases("opencv_nms")),
                         case_test_name);

class RotatedNmsOracle : public NmsOracle {};
TEST_P(RotatedNmsOracle, KeepsTheSameBoxes) {
  const OracleCase oracle_case = load_case("rotated_nms", GetParam());
  const std::vector<NmsProblem> problems = problems_of("rotated_nms", oracle_case);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const std::string output =
        std::string(i % 2 == 0 ? "keep_rotpos_" : "keep_rotneg_") + std::to_string(i / 2);
    EXPECT_EQ(run(problems[i]).kept(0), oracle_case.output(output).values<std::int64_t>())
        << output;
  }
}
INSTANTIATE_TEST_SUITE_P(Cases, RotatedNmsOracle, testing::ValuesIn(list_cases("rotated_nms")),
                         case_test_name);

class OpencvRotatedNmsOracle : public NmsOracle {};
TEST_P(OpencvRotatedNmsOracle, KeepsTheSameBoxes) {
  expect_kept("opencv_nms_rotated", "keep");
}
INSTANTIATE_TEST_SUITE_P(Cases, OpencvRotatedNmsOracle,
                         testing::ValuesIn(list_cases("opencv_nms_rotated")), case_test_name);

class SoftNmsOracle : public NmsOracle {};
TEST_P(SoftNmsOracle, KeepsTheSameBoxesWithTheSameScores) {
  const OracleCase oracle_case = load_case("soft_nms", GetParam());
  expect_kept("soft_nms", "keep");
  expect_scores(oracle_case, run(problems_of("soft_nms", oracle_case).front()), "keep_scores");
}
INSTANTIATE_TEST_SUITE_P(Cases, SoftNmsOracle, testing::ValuesIn(list_cases("soft_nms")),
                         case_test_name);

class OpencvSoftNmsOracle : public NmsOracle {};
TEST_P(OpencvSoftNmsOracle, KeepsTheSameBoxesWithTheSameScores) {
  const OracleCase oracle_case = load_case("opencv_soft_nms", GetParam());
  expect_kept("opencv_soft_nms", "keep");
  expect_scores(oracle_case, run(problems_of("opencv_soft_nms", oracle_case).front()),
                "keep_scores");
}
INSTANTIATE_TEST_SUITE_P(Cases, OpencvSoftNmsOracle,
                         testing::ValuesIn(list_cases("opencv_soft_nms")), case_test_name);

// The same set as the oracle's, each box with its decayed score; the order may differ where scores
// are closer than the tolerance.
class MatrixNmsOracle : public NmsOracle {};
TEST_P(MatrixNmsOracle, KeepsTheSameBoxesWithTheSameScores) {
  const OracleCase oracle_case = load_case("matrix_nms", GetParam());
  const NmsResult result = run(problems_of("matrix_nms", oracle_case).front());
  const Indices kept = result.kept(0);
  Indices sorted = kept;
  Indices expected = oracle_case.output("keep").values<std::int64_t>();
  std::sort(sorted.begin(), sorted.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(sorted, expected);
  const std::vector<double> decayed = oracle_case.output("decayed_scores").values<double>();
  const Tolerance tolerance = oracle_case.tolerance("decayed_scores");
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const double wanted = decayed[static_cast<std::size_t>(kept[k])];
    EXPECT_TRUE(is_near(static_cast<double>(result.scores.real(k)), wanted, tolerance))
        << "box " << kept[k] << ": " << result.scores.real(k) << ", expected " << wanted;
    EXPECT_LE(result.scores.real(k), result.scores.real(k > 0 ? k - 1 : 0));
  }
}
INSTANTIATE_TEST_SUITE_P(Cases, MatrixNmsOracle, testing::ValuesIn(list_cases("matrix_nms")),
                         case_test_name);

}  // namespace
}  // namespace cudet::test
