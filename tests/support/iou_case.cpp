#include "iou_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <sstream>

namespace cudet::test {
namespace {

std::vector<float> flat(const std::vector<BoxNumbers>& boxes) {
  std::vector<float> numbers;
  for (const BoxNumbers& box : boxes)
    numbers.insert(numbers.end(), box.begin(), box.end());
  return numbers;
}

/// Corners of a box in float32, as include/cudet/box.h reads it.
BoxNumbers corners_of(const HostTensor& boxes, std::int64_t index,
                      const IouMatrixOptions& options) {
  BoxNumbers box = {};
  for (std::size_t k = 0; k < 4; ++k)
    box[k] = boxes.real(static_cast<std::size_t>(4 * index) + k);
  if (options.format == BoxFormat::xywh) {
    box[2] += box[0];
    box[3] += box[1];
  } else if (options.format == BoxFormat::cxcywh) {
    const float half_width = box[2] / 2.0f;
    const float half_height = box[3] / 2.0f;
    box = {box[0] - half_width, box[1] - half_height, box[0] + half_width, box[1] + half_height};
  }
  if (options.legacy_offset) {
    box[2] += 1.0f;
    box[3] += 1.0f;
  }
  return box;
}

bool is_tiny(float low, float high) {
  const double side = static_cast<double>(high) - static_cast<double>(low);
  return side > 0.0 && side < 0x1p-50;
}

bool has_tiny_side(const BoxNumbers& box) {
  return is_tiny(box[0], box[2]) || is_tiny(box[1], box[3]);
}

}  // namespace

IouMatrixInput IouProblem::input() const {
  return {boxes1.const_tensor(), boxes2.const_tensor()};
}

std::string IouProblem::describe() const {
  std::ostringstream text;
  text << to_string(options.kind) << ", " << to_string(options.format)
       << (options.legacy_offset ? ", legacy offset" : "") << ", eps " << options.eps << ", batch "
       << batch() << ", n " << n() << " " << to_string(boxes1.type()) << ", m " << m() << " "
       << to_string(boxes2.type()) << ", values " << to_string(value_type);
  return text.str();
}

IouProblem make_iou_problem(const IouMatrixOptions& options, const std::vector<BoxNumbers>& boxes1,
                            const std::vector<BoxNumbers>& boxes2) {
  const auto n = static_cast<std::int64_t>(boxes1.size());
  const auto m = static_cast<std::int64_t>(boxes2.size());
  IouProblem problem;
  problem.options = options;
  problem.boxes1 = HostTensor::of_reals(DataType::float32, {1, n, 4}, flat(boxes1));
  problem.boxes2 = HostTensor::of_reals(DataType::float32, {1, m, 4}, flat(boxes2));
  return problem;
}

IouProblem random_iou_problem(Random& random, const IouSize& size, BoxDistribution distribution,
                              const IouMatrixOptions& options, DataType box_type,
                              DataType value_type) {
  const std::int64_t count1 = size.batch * size.n;
  const std::int64_t count2 = size.batch * size.m;
  const std::vector<float> first = random_boxes(random, distribution, count1, options.format);
  std::vector<float> second = random_boxes(random, distribution, count2, options.format);
  for (std::int64_t j = 0; j < count2 && count1 > 0; ++j) {
    if (random.chance(0.5)) continue;
    const std::int64_t i = random.integer(0, count1 - 1);
    for (std::int64_t k = 0; k < 4; ++k) {
      second[static_cast<std::size_t>(4 * j + k)] =
          first[static_cast<std::size_t>(4 * i + k)] * random.uniform_float(0.98f, 1.02f);
    }
  }
  IouProblem problem;
  problem.options = options;
  problem.boxes1 = HostTensor::of_reals(box_type, {size.batch, size.n, 4}, first);
  problem.boxes2 = HostTensor::of_reals(box_type, {size.batch, size.m, 4}, second);
  problem.value_type = value_type;
  return problem;
}

HostTensor reference_iou_matrix(const IouProblem& problem) {
  HostTensor values(problem.value_type, problem.value_shape());
  const Status status = reference::iou_matrix(problem.options, problem.input(), {values.tensor()});
  EXPECT_TRUE(status.ok()) << status.message();
  return values;
}

float invalid_iou_value(IouKind kind) {
  return kind == IouKind::iou || kind == IouKind::iof ? 0.0f : -1.0f;
}

std::vector<BoxNumbers> invalid_boxes(BoxFormat format) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // In the centre format half of a width must leave the range.
  constexpr float kTooFar = 0x1p64f;
  const BoxNumbers ordinary = format == BoxFormat::xyxy ? BoxNumbers{10.0f, 20.0f, 30.0f, 60.0f}
                                                        : BoxNumbers{20.0f, 40.0f, 20.0f, 40.0f};
  std::vector<BoxNumbers> boxes;
  for (std::size_t k = 0; k < 4; ++k) {
    for (const float number : {kNaN, kInfinity, -kInfinity, kTooFar, -kTooFar}) {
      boxes.push_back(ordinary);
      boxes.back()[k] = number;
    }
  }
  for (std::size_t k = 2; k < 4; ++k) {  // right of x1, or negative size
    boxes.push_back(ordinary);
    boxes.back()[k] = -10.0f;
  }
  boxes.push_back({ordinary[0], ordinary[1], -10.0f, -20.0f});
  boxes.push_back({kNaN, kNaN, kNaN, kNaN});
  boxes.push_back({-kInfinity, -kInfinity, kInfinity, kInfinity});
  return boxes;
}

bool accuracy_is_promised(const IouProblem& problem, std::int64_t b, std::int64_t i,
                          std::int64_t j) {
  const BoxNumbers box1 = corners_of(problem.boxes1, b * problem.n() + i, problem.options);
  const BoxNumbers box2 = corners_of(problem.boxes2, b * problem.m() + j, problem.options);
  const BoxNumbers enclosing = {std::fmin(box1[0], box2[0]), std::fmin(box1[1], box2[1]),
                                std::fmax(box1[2], box2[2]), std::fmax(box1[3], box2[3])};
  return !has_tiny_side(box1) && !has_tiny_side(box2) && !has_tiny_side(enclosing);
}

}  // namespace cudet::test
