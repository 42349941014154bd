// Presets against results of the libraries that they are named after (tests/data/oracle), and where
// there are none against what their documentation says.

#include <cudet/nms_presets.h>

#include "support/nms_problem.h"
#include "support/oracle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

using Indices = std::vector<std::int64_t>;

NmsResult run(const NmsProblem& problem) {
  NmsResult result = make_nms_result(problem, DataType::int64);
  const Status status = nms(problem.options, problem.input(), result.output(), Execution::cpu());
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

HostTensor reals_of(const Array& array, std::vector<std::int64_t> shape) {
  return HostTensor::of_reals(DataType::float32, std::move(shape), array.values<float>());
}

class OnnxNms : public testing::TestWithParam<std::string> {};

TEST_P(OnnxNms, SelectsTheSameIndices) {
  const OracleCase oracle_case = load_case("onnx_nms", GetParam());
  const auto& parameters = oracle_case.meta.at("params");
  NmsProblem problem;
  const Array boxes = oracle_case.input("boxes");
  const Array scores = oracle_case.input("scores");
  problem.boxes = reals_of(boxes, boxes.shape());
  problem.scores = reals_of(scores, scores.shape());
  const float score_threshold = parameters.contains("score_threshold")
                                    ? parameters.at("score_threshold").get<float>()
                                    : NmsOptions().score_threshold;
  problem.options =
      onnx_non_max_suppression(oracle_case.parameter<std::int64_t>("max_output_boxes_per_class"),
                               oracle_case.parameter<float>("iou_threshold"), score_threshold,
                               oracle_case.parameter<int>("center_point_box") != 0);
  const NmsResult result = run(problem);

  std::vector<Indices> rows;
  for (std::int64_t b = 0; b < problem.batch(); ++b) {
    std::vector<Indices> of_image;
    for (std::int64_t k = 0; k < result.count.integer(static_cast<std::size_t>(b)); ++k) {
      const auto slot = static_cast<std::size_t>(b * problem.capacity() + k);
      of_image.push_back({b, result.classes.integer(slot), result.indices.integer(slot)});
    }
    std::stable_sort(of_image.begin(), of_image.end(),
                     [](const Indices& a, const Indices& c) { return a[1] < c[1]; });
    rows.insert(rows.end(), of_image.begin(), of_image.end());
  }
  Indices flat;
  for (const Indices& row : rows)
    flat.insert(flat.end(), row.begin(), row.end());
  EXPECT_EQ(flat, oracle_case.output("selected_indices").values<std::int64_t>());
}
INSTANTIATE_TEST_SUITE_P(Cases, OnnxNms, testing::ValuesIn(list_cases("onnx_nms")), case_test_name);

class OpencvNms : public testing::TestWithParam<std::string> {};

TEST_P(OpencvNms, KeepsTheSameBoxes) {
  const OracleCase oracle_case = load_case("opencv_nms", GetParam());
  if (oracle_case.parameter<double>("eta") != 1.0) {
    GTEST_SKIP() << "a threshold that changes from box to box is not offered";
  }
  NmsProblem problem = make_nms_problem(oracle_case.input("boxes").values<float>(),
                                        oracle_case.input("scores").values<float>(), 0.5f);
  problem.options = opencv_nms_boxes(oracle_case.parameter<float>("score_threshold"),
                                     oracle_case.parameter<float>("nms_threshold"),
                                     oracle_case.parameter<std::int64_t>("top_k"));
  EXPECT_EQ(run(problem).kept(0), oracle_case.output("keep").values<std::int64_t>());
}
INSTANTIATE_TEST_SUITE_P(Cases, OpencvNms, testing::ValuesIn(list_cases("opencv_nms")),
                         case_test_name);

class TorchvisionNms : public testing::TestWithParam<std::string> {
 protected:
  static void run_case(const std::string& family, const std::string& output,
                       NmsOptions (*preset)(float)) {
    const OracleCase oracle_case = load_case(family, GetParam());
    NmsProblem problem = make_nms_problem(oracle_case.input("boxes").values<float>(),
                                          oracle_case.input("scores").values<float>(), 0.5f);
    if (oracle_case.has_input("labels")) {
      problem.classes = HostTensor::of_integers(DataType::int64, {1, problem.n()},
                                                oracle_case.input("labels").values<std::int64_t>());
    }
    const auto thresholds = oracle_case.parameter<std::vector<double>>("iou_thresholds");
    for (std::size_t i = 0; i < thresholds.size(); ++i) {
      problem.options = preset(static_cast<float>(thresholds[i]));
      EXPECT_EQ(run(problem).kept(0),
                oracle_case.output(output + "_" + std::to_string(i)).values<std::int64_t>());
    }
  }
};

TEST_P(TorchvisionNms, KeepsTheSameBoxes) {
  const bool informational = GetParam() == "INFO_decimal_threshold_ties";
  run_case("nms", informational ? "keep_f32thr" : "keep",
           [](float threshold) { return torchvision_nms(threshold); });
}
INSTANTIATE_TEST_SUITE_P(Cases, TorchvisionNms, testing::ValuesIn(list_cases("nms")),
                         case_test_name);

class TorchvisionBatchedNms : public TorchvisionNms {};

TEST_P(TorchvisionBatchedNms, KeepsTheSameBoxes) {
  run_case("batched_nms", "keep",
           [](float threshold) { return torchvision_batched_nms(threshold); });
}
INSTANTIATE_TEST_SUITE_P(Cases, TorchvisionBatchedNms, testing::ValuesIn(list_cases("batched_nms")),
                         case_test_name);

TEST(EfficientNms, ThresholdsAreInclusiveAndCornersInAnyOrder) {
  // The second box meets the first with an IoU of exactly 1/2; the third one is the first with its
  // corners exchanged; the fourth has a score of exactly the threshold.
  NmsProblem problem;
  problem.boxes = HostTensor::of_reals(DataType::float32, {1, 4, 4},
                                       {0, 0, 2, 1, 0, 0, 1, 1, 2, 1, 0, 0, 5, 5, 6, 6});
  problem.scores = HostTensor::of_reals(DataType::float32, {1, 4, 2},
                                        {0.9f, 0, 0.8f, 0, 0.7f, 0.6f, 0.25f, 0.125f});
  problem.options = efficient_nms(0.25f, 0.5f, 10);
  NmsResult result = run(problem);
  EXPECT_EQ(result.kept(0), (Indices{0, 2, 3}));
  EXPECT_EQ(result.classes.integer(0), 0);
  EXPECT_EQ(result.classes.integer(1), 1);
  EXPECT_EQ(result.classes.integer(2), 0);

  problem.options = efficient_nms(0.25f, 0.5f, 10, false, true);
  EXPECT_EQ(run(problem).kept(0), (Indices{0, 3}));
  problem.options = efficient_nms(0.25f, 0.5f, 10, false, false, 0);
  EXPECT_EQ(run(problem).kept(0), (Indices{2}));
  problem.options = efficient_nms(0.25f, 0.5f, 1);
  EXPECT_EQ(run(problem).kept(0), (Indices{0}));
}

TEST(EfficientNms, ActivatesScores) {
  NmsProblem problem;
  problem.boxes =
      HostTensor::of_reals(DataType::float32, {1, 3, 4}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5});
  problem.scores = HostTensor::of_reals(DataType::float32, {1, 3, 1}, {-0.001f, 0.0f, 2.0f});
  problem.options = efficient_nms(0.5f, 0.5f, 3, true);
  const NmsResult result = run(problem);
  EXPECT_EQ(result.kept(0), (Indices{2, 1}));
  EXPECT_NEAR(result.scores.real(0), 0.88079708, 1e-6);
  EXPECT_EQ(result.scores.real(1), 0.5f);
}

TEST(PyFasterRcnn, WidthsCountOneMore) {
  // 10 x 10 and 10 x 5 pixels: an IoU of exactly 1/2, and without the offset 36/81.
  NmsProblem problem = make_nms_problem({0, 0, 9, 9, 0, 0, 9, 4}, {0.9f, 0.8f}, 0.5f);
  problem.options = py_faster_rcnn(0.5f);
  EXPECT_EQ(run(problem).kept(0), (Indices{0, 1}));
  problem.options = py_faster_rcnn(0.49f);
  EXPECT_EQ(run(problem).kept(0), (Indices{0}));
}

}  // namespace
}  // namespace cudet::test
