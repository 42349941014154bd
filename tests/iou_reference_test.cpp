// The reference of iou_matrix() against other libraries' figures and against what the definitions
// imply.
#include <cudet/iou.h>

#include "support/iou_case.h"
#include "support/oracle.h"
#include "support/tolerance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

constexpr double kPi = 3.14159265358979323846;

// The reference is exact up to its last rounding, to float32.
constexpr Tolerance kOneRounding = {1e-12, 0x1p-24 * 1.0001, 0.0, 0.0};

float value_of(const IouMatrixOptions& options, const BoxNumbers& box1, const BoxNumbers& box2) {
  return reference_iou_matrix(make_iou_problem(options, {box1}, {box2})).real(0);
}

IouMatrixOptions options_of(IouKind kind, BoxFormat format = BoxFormat::xyxy, float eps = 1e-7f) {
  IouMatrixOptions options;
  options.kind = kind;
  options.format = format;
  options.eps = eps;
  return options;
}

std::string oracle_name(IouKind kind) {
  return kind == IouKind::iof ? "inter_over_area1" : to_string(kind);
}

BoxFormat format_named(const std::string& name) {
  for (const BoxFormat format : kBoxFormats)
    if (name == to_string(format)) return format;
  throw std::runtime_error("no such box format: " + name);
}

/// What include/cudet/iou.h says of a pair for which the oracle divides 0 by 0. The boxes of these
/// pairs have an intersection without area.
double documented_value(IouKind kind, const float* a, const float* b, double eps) {
  const auto side = [](const float* box, int k) { return double{box[k + 2]} - double{box[k]}; };
  const auto centre = [](const float* box, int k) {
    return (double{box[k]} + double{box[k + 2]}) / 2;
  };
  const auto enclosing_side = [&](int k) {
    return double{std::max(a[k + 2], b[k + 2])} - double{std::min(a[k], b[k])};
  };
  if (kind == IouKind::iou || kind == IouKind::iof) return 0.0;
  if (kind == IouKind::giou) {
    const double union_area = side(a, 0) * side(a, 1) + side(b, 0) * side(b, 1);
    const double enclosing = enclosing_side(0) * enclosing_side(1);
    return enclosing == 0.0 ? 0.0 : -(enclosing - union_area) / enclosing;
  }
  double squared_distance = 0.0;
  double squared_diagonal = 0.0;
  for (int k = 0; k < 2; ++k) {
    squared_distance += std::pow(centre(a, k) - centre(b, k), 2);
    squared_diagonal += std::pow(enclosing_side(k), 2);
  }
  const double diou = -squared_distance / (squared_diagonal + eps);
  if (kind == IouKind::diou) return diou;
  const auto angle = [&](const float* box) {
    if (side(box, 1) == 0.0) return side(box, 0) == 0.0 ? 0.0 : kPi / 2;
    return std::atan(side(box, 0) / side(box, 1));
  };
  const double v = 4 / (kPi * kPi) * std::pow(angle(b) - angle(a), 2);
  return diou - v * v / (1 + v + eps);
}

class IouOracle : public testing::TestWithParam<std::string> {};

TEST_P(IouOracle, ReferenceAgrees) {
  const OracleCase oracle = load_case("iou_pairwise", GetParam());
  const std::vector<float> boxes1 = oracle.input("boxes1").values<float>();
  const std::vector<float> boxes2 = oracle.input("boxes2").values<float>();
  const std::int64_t n = oracle.input("boxes1").size(0);
  const std::int64_t m = oracle.input("boxes2").size(0);
  const BoxFormat format = format_named(oracle.parameter<std::string>("fmt"));
  const double eps = oracle.parameter<double>("eps_diou_ciou");
  for (const IouKind kind : kIouKinds) {
    if (kind == IouKind::eiou) continue;  // the oracle has no such kind
    SCOPED_TRACE(to_string(kind));
    IouProblem problem;
    problem.options = options_of(kind, format, static_cast<float>(eps));
    problem.boxes1 = HostTensor::of_reals(DataType::float32, {1, n, 4}, boxes1);
    problem.boxes2 = HostTensor::of_reals(DataType::float32, {1, m, 4}, boxes2);
    std::vector<double> expected = oracle.output(oracle_name(kind)).values<double>();
    for (std::size_t p = 0; p < expected.size(); ++p) {
      if (!std::isnan(expected[p])) continue;
      ASSERT_EQ(format, BoxFormat::xyxy);
      const auto columns = static_cast<std::size_t>(m);
      expected[p] =
          documented_value(kind, &boxes1[4 * (p / columns)], &boxes2[4 * (p % columns)], eps);
    }
    // The oracle converts other formats to corners in double, this library in float32.
    const Tolerance tolerance =
        format == BoxFormat::xyxy ? kOneRounding : oracle.tolerance(oracle_name(kind));
    EXPECT_TRUE(all_near(reference_iou_matrix(problem).reals(), expected, tolerance));
    if (kind == IouKind::iof) {
      std::swap(problem.boxes1, problem.boxes2);
      const HostTensor transposed = reference_iou_matrix(problem);
      std::vector<double> expected2 = oracle.output("inter_over_area2").values<double>();
      std::vector<float> got(expected2.size());
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < m; ++j)
          got[static_cast<std::size_t>(i * m + j)] =
              transposed.real(static_cast<std::size_t>(j * n + i));
      for (double& value : expected2)
        if (std::isnan(value)) value = 0.0;  // documented for an area of 0
      EXPECT_TRUE(all_near(got, expected2, tolerance));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, IouOracle, testing::ValuesIn(list_cases("iou_pairwise")),
                         case_test_name);

TEST(IouReference, CountsUnitSquares) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  const IouProblem problem = random_iou_problem(random, {1, 40, 1}, BoxDistribution::integer_grid,
                                                options_of(IouKind::iou));
  const std::vector<float> boxes = problem.boxes1.reals();
  std::vector<BoxNumbers> list;
  for (std::size_t i = 0; i < boxes.size(); i += 4)
    list.push_back({boxes[i], boxes[i + 1], boxes[i + 2], boxes[i + 3]});
  const auto covers = [](const BoxNumbers& box, int x, int y) {
    const auto fx = static_cast<float>(x);
    const auto fy = static_cast<float>(y);
    return box[0] <= fx && fx + 1 <= box[2] && box[1] <= fy && fy + 1 <= box[3];
  };
  for (const BoxNumbers& a : list) {
    for (const BoxNumbers& b : list) {
      int both = 0, either = 0, first = 0;
      for (int x = 0; x < 21; ++x) {
        for (int y = 0; y < 21; ++y) {
          both += covers(a, x, y) && covers(b, x, y);
          either += covers(a, x, y) || covers(b, x, y);
          first += covers(a, x, y);
        }
      }
      const float iou = either == 0 ? 0.0f : static_cast<float>(both) / static_cast<float>(either);
      const float iof = first == 0 ? 0.0f : static_cast<float>(both) / static_cast<float>(first);
      ASSERT_EQ(value_of(options_of(IouKind::iou), a, b), iou);
      ASSERT_EQ(value_of(options_of(IouKind::iof), a, b), iof);
    }
  }
}

TEST(IouReference, IsSymmetricUnlessIof) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouKinds) {
    if (kind == IouKind::iof) continue;
    IouProblem problem =
        random_iou_problem(random, {1, 30, 50}, BoxDistribution::special, options_of(kind));
    const HostTensor values = reference_iou_matrix(problem);
    std::swap(problem.boxes1, problem.boxes2);
    const HostTensor transposed = reference_iou_matrix(problem);
    for (std::size_t i = 0; i < 30; ++i)
      for (std::size_t j = 0; j < 50; ++j)
        ASSERT_EQ(values.real(50 * i + j), transposed.real(30 * j + i)) << to_string(kind);
  }
}

TEST(IouReference, KeepsItsRangeAndOrder) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  for (int distribution = 0; distribution < kBoxDistributions; ++distribution) {
    IouProblem problem = random_iou_problem(
        random, {2, 40, 40}, static_cast<BoxDistribution>(distribution), options_of(IouKind::iou));
    std::vector<std::vector<float>> values;
    for (const IouKind kind : kIouKinds) {
      problem.options.kind = kind;
      values.push_back(reference_iou_matrix(problem).reals());
    }
    for (std::size_t p = 0; p < values[0].size(); ++p) {
      const float iou = values[0][p], iof = values[1][p], giou = values[2][p];
      const float diou = values[3][p], ciou = values[4][p], eiou = values[5][p];
      ASSERT_TRUE(iou >= 0.0f && iou <= 1.0f) << iou;
      ASSERT_TRUE(iof >= iou && iof <= 1.0f) << iof;
      ASSERT_TRUE(giou >= -1.0f && giou <= iou) << giou;
      ASSERT_TRUE(diou >= -1.0f && diou <= iou) << diou;
      ASSERT_TRUE(ciou >= -2.0f && ciou <= diou) << ciou;
      ASSERT_TRUE(eiou >= -3.0f && eiou <= diou) << eiou;
    }
  }
}

TEST(IouReference, PermutesWithItsInput) {
  Random random(4);
  SCOPED_TRACE(random.trace());
  const std::size_t n = 17, m = 23;
  for (const IouKind kind : kIouKinds) {
    IouProblem problem =
        random_iou_problem(random, {1, 17, 23}, BoxDistribution::special, options_of(kind));
    const HostTensor values = reference_iou_matrix(problem);
    const std::vector<std::int64_t> rows = random.permutation(17);
    const std::vector<std::int64_t> columns = random.permutation(23);
    const std::vector<float> boxes1 = problem.boxes1.reals(), boxes2 = problem.boxes2.reals();
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < 4; ++k)
        problem.boxes1.set_real(4 * i + k, boxes1[4 * static_cast<std::size_t>(rows[i]) + k]);
    for (std::size_t j = 0; j < m; ++j)
      for (std::size_t k = 0; k < 4; ++k)
        problem.boxes2.set_real(4 * j + k, boxes2[4 * static_cast<std::size_t>(columns[j]) + k]);
    const HostTensor permuted = reference_iou_matrix(problem);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < m; ++j) {
        const auto source = static_cast<std::size_t>(rows[i] * 23 + columns[j]);
        ASSERT_EQ(permuted.real(m * i + j), values.real(source)) << to_string(kind);
      }
    }
  }
}

TEST(IouReference, DoesNotDependOnTheUnitOfLength) {
  Random random(5);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouKinds) {
    const IouProblem problem = random_iou_problem(random, {1, 25, 25}, BoxDistribution::clustered,
                                                  options_of(kind, BoxFormat::xyxy, 0.0f));
    const HostTensor values = reference_iou_matrix(problem);
    for (const float scale : {0x1p-20f, 0.25f, 0x1p40f}) {
      IouProblem scaled_problem = problem;
      for (HostTensor* boxes : {&scaled_problem.boxes1, &scaled_problem.boxes2})
        for (std::size_t k = 0; k < boxes->count(); ++k)
          boxes->set_real(k, scale * boxes->real(k));
      EXPECT_TRUE(same_bits(reference_iou_matrix(scaled_problem), values)) << to_string(kind);
    }
  }
}

TEST(IouReference, FormatsAgree) {
  Random random(6);
  SCOPED_TRACE(random.trace());
  // Even integers: the conversions are exact.
  std::vector<BoxNumbers> boxes[3];
  for (int i = 0; i < 30; ++i) {
    const auto x = static_cast<float>(2 * random.integer(-20, 20));
    const auto y = static_cast<float>(2 * random.integer(-20, 20));
    const auto w = static_cast<float>(2 * random.integer(0, 15));
    const auto h = static_cast<float>(2 * random.integer(0, 15));
    boxes[0].push_back({x, y, x + w, y + h});
    boxes[1].push_back({x, y, w, h});
    boxes[2].push_back({x + w / 2, y + h / 2, w, h});
  }
  for (const IouKind kind : kIouKinds) {
    for (const bool legacy_offset : {false, true}) {
      HostTensor values[3];
      for (int f = 0; f < 3; ++f) {
        IouMatrixOptions options = options_of(kind, kBoxFormats[f]);
        options.legacy_offset = legacy_offset;
        values[f] = reference_iou_matrix(make_iou_problem(options, boxes[f], boxes[f]));
      }
      EXPECT_TRUE(same_bits(values[1], values[0])) << to_string(kind);
      EXPECT_TRUE(same_bits(values[2], values[0])) << to_string(kind);
    }
  }
}

TEST(IouReference, LegacyOffsetByHand) {
  // Pixels 0 ... 9 and 5 ... 14 in both directions: areas 100, intersection 25, union 175,
  // enclosing box 15 x 15, centres (5, 5) apart.
  const BoxNumbers a = {0, 0, 9, 9};
  const BoxNumbers b = {5, 5, 14, 14};
  const auto value = [&](IouKind kind, bool legacy_offset) {
    IouMatrixOptions options = options_of(kind, BoxFormat::xyxy, 0.0f);
    options.legacy_offset = legacy_offset;
    return double{value_of(options, a, b)};
  };
  EXPECT_NEAR(value(IouKind::iou, true), 25.0 / 175.0, 1e-7);
  EXPECT_NEAR(value(IouKind::iof, true), 0.25, 1e-7);
  EXPECT_NEAR(value(IouKind::giou, true), 25.0 / 175.0 - 50.0 / 225.0, 1e-7);
  EXPECT_NEAR(value(IouKind::diou, true), 25.0 / 175.0 - 50.0 / 450.0, 1e-7);
  EXPECT_NEAR(value(IouKind::ciou, true), 25.0 / 175.0 - 50.0 / 450.0, 1e-7);
  EXPECT_NEAR(value(IouKind::eiou, true), 25.0 / 175.0 - 50.0 / 450.0, 1e-7);
  // Without it: 9 x 9 each, intersection 4 x 4, enclosing box 14 x 14.
  EXPECT_NEAR(value(IouKind::iou, false), 16.0 / 146.0, 1e-7);
  EXPECT_NEAR(value(IouKind::giou, false), 16.0 / 146.0 - 50.0 / 196.0, 1e-7);

  // One pixel is a box, and a box whose last pixel lies before the first one has no area.
  IouMatrixOptions legacy = options_of(IouKind::iou);
  legacy.legacy_offset = true;
  EXPECT_EQ(value_of(legacy, {3, 3, 3, 3}, {3, 3, 3, 3}), 1.0f);
  EXPECT_EQ(value_of(legacy, {3, 3, 2, 2}, {3, 3, 2, 2}), 0.0f);
}

TEST(IouReference, IdenticalBoxes) {
  for (const IouKind kind : kIouKinds) {
    for (const float eps : {0.0f, 1e-7f, 1.0f}) {
      const IouMatrixOptions options = options_of(kind, BoxFormat::xyxy, eps);
      for (const BoxNumbers& box :
           {BoxNumbers{0.1f, 0.2f, 0.7f, 0.5f}, BoxNumbers{1e6f, 1e6f, 1000002.0f, 1000003.0f},
            BoxNumbers{-0x1p62f, -0x1p62f, 0x1p62f, 0x1p62f}}) {
        EXPECT_EQ(value_of(options, box, box), 1.0f) << to_string(kind) << ", eps " << eps;
      }
    }
  }
}

TEST(IouReference, BoxesWithoutAreaByHand) {
  struct Row {
    BoxNumbers box1, box2;
    float iou, iof, giou, diou, ciou;
  };
  // An angle of pi/4 between the diagonals makes v = 1/4, and alpha = 1/5 where the IoU is 0.
  const Row rows[] = {
      {{5, 5, 5, 5}, {5, 5, 5, 5}, 0, 0, 0, 0, 0},                // a point and itself
      {{0, 0, 0, 0}, {3, 4, 3, 4}, 0, 0, -1, -1, -1},             // two points
      {{0, 0, 0, 0}, {3, 0, 3, 0}, 0, 0, 0, -1, -1},              // C = 0
      {{5, 5, 5, 5}, {0, 0, 10, 10}, 0, 0, 0, 0, -0.05f},         // a point in a square
      {{0, 0, 10, 10}, {5, 5, 5, 5}, 0, 0, 0, 0, -0.05f},         //
      {{0, 5, 10, 5}, {0, 0, 10, 10}, 0, 0, 0, 0, -0.05f},        // w / 0
      {{5, 0, 5, 10}, {0, 0, 10, 10}, 0, 0, 0, 0, -0.05f},        // 0 / h
      {{5, 0, 5, 10}, {5, 0, 5, 10}, 0, 0, 0, 0, 0},              // a segment and itself
      {{0, 5, 10, 5}, {5, 0, 5, 10}, 0, 0, -1, 0, -0.5f},         // a cross: v = 1, alpha = 1/2
      {{0, 0, 1, 1}, {1, 0, 2, 1}, 0, 0, 0, -0.2f, -0.2f},        // squares that touch
      {{0, 0, 1, 1}, {1, 1, 2, 2}, 0, 0, -0.5f, -0.25f, -0.25f},  // at a corner
  };
  for (const Row& row : rows) {
    const auto value = [&](IouKind kind) {
      return value_of(options_of(kind, BoxFormat::xyxy, 0.0f), row.box1, row.box2);
    };
    EXPECT_EQ(value(IouKind::iou), row.iou);
    EXPECT_EQ(value(IouKind::iof), row.iof);
    EXPECT_EQ(value(IouKind::giou), row.giou);
    EXPECT_EQ(value(IouKind::diou), row.diou);
    EXPECT_FLOAT_EQ(value(IouKind::ciou), row.ciou);
  }
}

TEST(IouReference, EiouByHand) {
  // Sides 4 x 2 and 2 x 6, intersection 2 x 2, enclosing box 4 x 6, centres 2 apart in y.
  const IouMatrixOptions options = options_of(IouKind::eiou, BoxFormat::xyxy, 0.0f);
  EXPECT_NEAR(value_of(options, {0, 0, 4, 2}, {1, 0, 3, 6}),
              4.0 / 16.0 - 4.0 / 52.0 - 4.0 / 16.0 - 16.0 / 36.0, 1e-7);
  // Apart in one dimension, boxes without width: the term of the widths is 0 / 0.
  EXPECT_NEAR(value_of(options, {1, 0, 1, 2}, {1, 3, 1, 4}), -6.25 / 16.0 - 1.0 / 16.0, 1e-7);
  EXPECT_NEAR(
      value_of(options_of(IouKind::eiou, BoxFormat::xyxy, 1.0f), {0, 0, 1, 1}, {0, 0, 2, 2}),
      1.0 / 4.0 - 0.5 / 9.0 - 2.0 / 5.0, 1e-7);
}

TEST(IouReference, InvalidBoxes) {
  const std::vector<BoxNumbers> partners = {
      {0, 0, 100, 100}, {20, 30, 20, 30}, {0, 0, 0, 0}, {-0x1p62f, -0x1p62f, 0x1p62f, 0x1p62f}};
  for (const IouKind kind : kIouKinds) {
    for (const BoxFormat format : kBoxFormats) {
      for (const bool legacy_offset : {false, true}) {
        IouMatrixOptions options = options_of(kind, format, 0.0f);
        options.legacy_offset = legacy_offset;
        for (const BoxNumbers& box : invalid_boxes(format)) {
          for (const BoxNumbers& partner : partners) {
            EXPECT_EQ(value_of(options, box, partner), invalid_iou_value(kind));
            EXPECT_EQ(value_of(options, partner, box), invalid_iou_value(kind));
          }
          EXPECT_EQ(value_of(options, box, box), invalid_iou_value(kind));
        }
      }
    }
  }
}

TEST(IouReference, RangeOfValidCoordinatesIsClosed) {
  const float beyond = std::nextafterf(0x1p62f, INFINITY);
  const BoxNumbers largest = {-0x1p62f, -0x1p62f, 0x1p62f, 0x1p62f};
  const BoxNumbers quarter = {0, 0, 0x1p62f, 0x1p62f};
  EXPECT_EQ(value_of(options_of(IouKind::iou), largest, quarter), 0.25f);
  for (std::size_t k = 0; k < 4; ++k) {
    BoxNumbers box = largest;
    box[k] = k < 2 ? -beyond : beyond;
    EXPECT_EQ(value_of(options_of(IouKind::iou), box, quarter), 0.0f);
    EXPECT_EQ(value_of(options_of(IouKind::giou), box, quarter), -1.0f);
  }
}

TEST(IouReference, RoundsOnceIntoEveryType) {
  Random random(7);
  SCOPED_TRACE(random.trace());
  for (const DataType box_type : kRealDataTypes) {
    for (const DataType value_type : kRealDataTypes) {
      IouProblem problem = random_iou_problem(random, {3, 9, 11}, BoxDistribution::clustered,
                                              options_of(IouKind::ciou), box_type);
      const HostTensor values = reference_iou_matrix(problem);
      problem.value_type = value_type;
      EXPECT_TRUE(same_bits(reference_iou_matrix(problem),
                            HostTensor::of_reals(value_type, values.shape(), values.reals())));
    }
  }
}

}  // namespace
}  // namespace cudet::test
