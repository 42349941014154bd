#include "nms_oracle.h"

#include <cudet/nms_presets.h>

namespace cudet::test {
namespace {

/// Boxes, scores and labels of one image.
NmsProblem flat_problem(const OracleCase& oracle_case) {
  const auto numbers = oracle_case.input("boxes").shape().back();  // of a box
  NmsProblem problem = make_nms_problem(oracle_case.input("boxes").values<float>(),
                                        oracle_case.input("scores").values<float>(), 0.5f, numbers);
  if (oracle_case.has_input("labels")) {
    problem.classes = HostTensor::of_integers(DataType::int64, {1, problem.n()},
                                              oracle_case.input("labels").values<std::int64_t>());
  }
  return problem;
}

std::vector<NmsProblem> torchvision_problems(const OracleCase& oracle_case,
                                             NmsOptions (*preset)(float)) {
  std::vector<NmsProblem> problems;
  for (const double threshold : oracle_case.parameter<std::vector<double>>("iou_thresholds")) {
    problems.push_back(flat_problem(oracle_case));
    problems.back().options = preset(static_cast<float>(threshold));
  }
  return problems;
}

/// For each threshold both senses of the angle, OpenCV's first.
std::vector<NmsProblem> rotated_problems(const OracleCase& oracle_case) {
  std::vector<NmsProblem> problems;
  for (NmsProblem& problem : torchvision_problems(oracle_case, detectron2_nms_rotated)) {
    problem.options.angle_direction = AngleDirection::clockwise;
    problems.push_back(problem);
    problem.options.angle_direction = AngleDirection::counter_clockwise;
    problems.push_back(problem);
  }
  return problems;
}

NmsProblem onnx_problem(const OracleCase& oracle_case) {
  NmsProblem problem;
  const Array boxes = oracle_case.input("boxes");
  const Array scores = oracle_case.input("scores");
  problem.boxes = HostTensor::of_reals(DataType::float32, boxes.shape(), boxes.values<float>());
  problem.scores = HostTensor::of_reals(DataType::float32, scores.shape(), scores.values<float>());
  const bool has_threshold = oracle_case.meta.at("params").contains("score_threshold");
  problem.options =
      onnx_non_max_suppression(oracle_case.parameter<std::int64_t>("max_output_boxes_per_class"),
                               oracle_case.parameter<float>("iou_threshold"),
                               has_threshold ? oracle_case.parameter<float>("score_threshold")
                                             : NmsOptions().score_threshold,
                               oracle_case.parameter<int>("center_point_box") != 0);
  return problem;
}

bool is_gaussian(const OracleCase& oracle_case, const char* parameter) {
  return oracle_case.parameter<std::string>(parameter) == "gaussian";
}

NmsProblem soft_problem(const OracleCase& oracle_case) {
  NmsProblem problem = flat_problem(oracle_case);
  problem.options.method =
      is_gaussian(oracle_case, "method") ? NmsMethod::soft_gaussian : NmsMethod::soft_linear;
  problem.options.iou_threshold = oracle_case.parameter<float>("nt");
  problem.options.suppress_equal = true;
  problem.options.sigma = oracle_case.parameter<float>("sigma");
  problem.options.decayed_score_threshold = oracle_case.parameter<float>("score_threshold");
  return problem;
}

NmsProblem opencv_soft_problem(const OracleCase& oracle_case) {
  NmsProblem problem = flat_problem(oracle_case);
  problem.options.method =
      is_gaussian(oracle_case, "method") ? NmsMethod::soft_gaussian : NmsMethod::soft_linear;
  problem.options.format = BoxFormat::xywh;
  problem.options.iou_threshold = oracle_case.parameter<float>("nms_threshold");
  problem.options.sigma = oracle_case.parameter<float>("sigma");
  problem.options.decayed_score_threshold = oracle_case.parameter<float>("score_threshold");
  const auto top_k = oracle_case.parameter<std::int64_t>("top_k");
  if (top_k > 0) problem.options.max_outputs = top_k;
  return problem;
}

NmsProblem matrix_problem(const OracleCase& oracle_case) {
  NmsProblem problem = flat_problem(oracle_case);
  problem.options.method =
      is_gaussian(oracle_case, "kernel") ? NmsMethod::matrix_gaussian : NmsMethod::matrix_linear;
  problem.options.sigma = oracle_case.parameter<float>("sigma");
  problem.options.decayed_score_threshold = oracle_case.parameter<float>("score_threshold");
  return problem;
}

}  // namespace

std::vector<std::string> nms_families() {
  return {"nms",        "batched_nms", "onnx_nms",
          "opencv_nms", "soft_nms",    "opencv_soft_nms",
          "matrix_nms", "rotated_nms", "opencv_nms_rotated"};
}

std::vector<NmsProblem> problems_of(const std::string& family, const OracleCase& oracle_case) {
  if (family == "nms") return torchvision_problems(oracle_case, torchvision_nms);
  if (family == "batched_nms") return torchvision_problems(oracle_case, torchvision_batched_nms);
  if (family == "onnx_nms") return {onnx_problem(oracle_case)};
  if (family == "soft_nms") return {soft_problem(oracle_case)};
  if (family == "opencv_soft_nms") return {opencv_soft_problem(oracle_case)};
  if (family == "matrix_nms") return {matrix_problem(oracle_case)};
  if (family == "rotated_nms") return rotated_problems(oracle_case);
  if (family == "opencv_nms_rotated") {
    NmsProblem problem = flat_problem(oracle_case);
    problem.options = opencv_nms_boxes_rotated(oracle_case.parameter<float>("score_threshold"),
                                               oracle_case.parameter<float>("nms_threshold"));
    return {problem};
  }
  // With an eta below 1 OpenCV lowers the threshold from box to box.
  if (oracle_case.parameter<double>("eta") != 1.0) return {};
  NmsProblem problem = flat_problem(oracle_case);
  problem.options = opencv_nms_boxes(oracle_case.parameter<float>("score_threshold"),
                                     oracle_case.parameter<float>("nms_threshold"),
                                     oracle_case.parameter<std::int64_t>("top_k"));
  return {problem};
}

}  // namespace cudet::test
