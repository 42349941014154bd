#include "iou_loss_case.h"

#include "iou_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace cudet::test {
namespace {

struct Lengths {
  double w1, h1, w2, h2, intersection, union_area, cw, ch, dx, dy;
};

Lengths lengths_of(const PairNumbers& p) {
  Lengths l = {};
  l.w1 = p[2] - p[0];
  l.h1 = p[3] - p[1];
  l.w2 = p[6] - p[4];
  l.h2 = p[7] - p[5];
  l.intersection = std::max(0.0, std::min(p[2], p[6]) - std::max(p[0], p[4])) *
                   std::max(0.0, std::min(p[3], p[7]) - std::max(p[1], p[5]));
  l.union_area = l.w1 * l.h1 + l.w2 * l.h2 - l.intersection;
  l.cw = std::max(p[2], p[6]) - std::min(p[0], p[4]);
  l.ch = std::max(p[3], p[7]) - std::min(p[1], p[5]);
  l.dx = (p[0] + p[2] - p[4] - p[6]) / 2;
  l.dy = (p[1] + p[3] - p[5] - p[7]) / 2;
  return l;
}

double ciou_v(const Lengths& l) {
  const double pi = std::acos(-1.0);
  return 4 / (pi * pi) * std::pow(std::atan2(l.w2, l.h2) - std::atan2(l.w1, l.h1), 2);
}

/// Corners of pair i as include/cudet/box.h reads them; the formats are exact in these tests'
/// float32.
PairNumbers corners_of(const IouLossProblem& problem, std::size_t i) {
  PairNumbers pair = {};
  for (std::size_t side = 0; side < 2; ++side) {
    const HostTensor& boxes = side == 0 ? problem.boxes1 : problem.boxes2;
    float b[4];
    for (std::size_t k = 0; k < 4; ++k)
      b[k] = boxes.real(4 * i + k);
    if (problem.options.format == BoxFormat::xywh) {
      b[2] += b[0];
      b[3] += b[1];
    } else if (problem.options.format == BoxFormat::cxcywh) {
      const float w = b[2] / 2, h = b[3] / 2, x = b[0], y = b[1];
      b[0] = x - w, b[1] = y - h, b[2] = x + w, b[3] = y + h;
    }
    if (problem.options.legacy_offset) b[2] += 1.0f, b[3] += 1.0f;
    for (std::size_t k = 0; k < 4; ++k)
      pair[4 * side + k] = double{b[k]};
  }
  return pair;
}

/// True where include/cudet/iou_loss.h promises an accuracy, for numbers in range.
bool is_covered(const PairNumbers& p) {
  const Lengths l = lengths_of(p);
  const auto fits = [](double side) { return side == 0.0 || side >= 0x1p-50; };
  return fits(l.w1) && fits(l.h1) && fits(l.w2) && fits(l.h2) && fits(l.cw) && fits(l.ch);
}

bool is_in_range(const PairNumbers& p) {
  return std::all_of(p.begin(), p.end(), [](double x) { return std::fabs(x) <= 0x1p62; });
}

}  // namespace

IouLossInput IouLossProblem::input() const {
  return {boxes1.const_tensor(), boxes2.const_tensor(), weights.const_tensor(),
          normaliser.const_tensor(), grad_output.const_tensor()};
}

std::string IouLossProblem::describe() const {
  std::ostringstream text;
  text << to_string(options.kind) << ", " << to_string(options.format) << ", "
       << to_string(options.reduction) << ", n " << n() << ", " << to_string(boxes1.type()) << ", "
       << to_string(boxes2.type()) << (weights.present() ? ", weights" : "");
  return text.str();
}

IouLossResult make_iou_loss_result(const IouLossProblem& problem, DataType gradient_type) {
  const bool by_pair = problem.options.reduction == LossReduction::none;
  IouLossResult result;
  result.loss = HostTensor(DataType::float32, {by_pair ? problem.n() : 1});
  result.grad_boxes1 = HostTensor(gradient_type, {problem.n(), 4});
  result.grad_boxes2 = HostTensor(gradient_type, {problem.n(), 4});
  return result;
}

IouLossResult iou_loss_on_cpu(const IouLossProblem& problem, int threads, DataType gradient_type) {
  IouLossResult result = make_iou_loss_result(problem, gradient_type);
  const Status status =
      iou_loss(problem.options, problem.input(),
               {result.loss.tensor(), result.grad_boxes1.tensor(), result.grad_boxes2.tensor()},
               Execution::cpu(threads));
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

IouLossResult reference_iou_loss(const IouLossProblem& problem, DataType gradient_type) {
  IouLossResult result = make_iou_loss_result(problem, gradient_type);
  const Status status = reference::iou_loss(
      problem.options, problem.input(),
      {result.loss.tensor(), result.grad_boxes1.tensor(), result.grad_boxes2.tensor()});
  EXPECT_TRUE(status.ok()) << status.message();
  const IouLossResult on_cpu = iou_loss_on_cpu(problem, 2, gradient_type);
  EXPECT_TRUE(all_near(on_cpu.loss.reals(), result.loss.reals(), {0, 1e-6, 0, 0}));
  EXPECT_TRUE(same_bits(on_cpu.grad_boxes1, result.grad_boxes1));
  EXPECT_TRUE(same_bits(on_cpu.grad_boxes2, result.grad_boxes2));
  return result;
}

IouLossProblem random_iou_loss_problem(Random& random, std::int64_t n, BoxDistribution distribution,
                                       const IouLossOptions& options, DataType box_type) {
  const std::vector<float> first = random_boxes(random, distribution, n, options.format);
  std::vector<float> second = random_boxes(random, distribution, n, options.format);
  for (std::size_t k = 0; k < first.size(); ++k)
    if (k / 4 % 2 == 0) second[k] = first[k] * random.uniform_float(0.9f, 1.1f);
  const auto factors = [&](std::int64_t count, float low, float high) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values)
      value = random.uniform_float(low, high);
    return HostTensor::of_reals(DataType::float32, {count}, values);
  };
  IouLossProblem problem;
  problem.options = options;
  problem.boxes1 = HostTensor::of_reals(box_type, {n, 4}, first);
  problem.boxes2 = HostTensor::of_reals(box_type, {n, 4}, second);
  if (random.chance(0.5)) problem.weights = factors(n, 0.0f, 2.0f);
  if (options.reduction == LossReduction::normalised) problem.normaliser = factors(1, 0.0f, 100.0f);
  if (random.chance(0.5)) {
    problem.grad_output = factors(options.reduction == LossReduction::none ? n : 1, -2.0f, 2.0f);
  }
  return problem;
}

IouLossProblem oracle_iou_loss_problem(const OracleCase& oracle) {
  const auto name = oracle.parameter<std::string>("loss");
  const auto eps = oracle.parameter<float>("eps");
  const std::int64_t n = oracle.input("boxes1").size(0);
  IouLossProblem problem;
  problem.options.kind = *std::find_if(std::begin(kIouLossKinds), std::end(kIouLossKinds),
                                       [&](IouKind kind) { return name == to_string(kind); });
  // torchvision 0.14's complete_box_iou_loss passes its eps to alpha alone.
  if (problem.options.kind == IouKind::ciou) {
    problem.options.alpha_eps = eps;
  } else {
    problem.options.eps = eps;
  }
  problem.options.reduction = LossReduction::none;
  problem.boxes1 =
      HostTensor::of_reals(DataType::float32, {n, 4}, oracle.input("boxes1").values<float>());
  problem.boxes2 =
      HostTensor::of_reals(DataType::float32, {n, 4}, oracle.input("boxes2").values<float>());
  problem.grad_output =
      HostTensor::of_reals(DataType::float32, {n}, oracle.input("grad_output").values<float>());
  return problem;
}

bool is_near_kink(const PairNumbers& p) {
  for (std::size_t i = 0; i < 8; ++i)
    for (std::size_t j = i % 2; j < i; j += 2)
      if (std::fabs(p[i] - p[j]) < 1e-2) return true;
  return p[2] < p[0] || p[3] < p[1] || p[6] < p[4] || p[7] < p[5];
}

double iou_loss_value(IouKind kind, const PairNumbers& corners, double eps, double alpha) {
  const Lengths l = lengths_of(corners);
  const double loss = 1 - l.intersection / (l.union_area + eps);
  if (kind == IouKind::iou) return loss;
  if (kind == IouKind::giou) return loss + (l.cw * l.ch - l.union_area) / (l.cw * l.ch + eps);
  const double diou = loss + (l.dx * l.dx + l.dy * l.dy) / (l.cw * l.cw + l.ch * l.ch + eps);
  if (kind == IouKind::diou) return diou;
  if (kind == IouKind::ciou) return diou + alpha * ciou_v(l);
  return diou + std::pow(l.w1 - l.w2, 2) / (l.cw * l.cw + eps) +
         std::pow(l.h1 - l.h2, 2) / (l.ch * l.ch + eps);
}

double ciou_alpha(const PairNumbers& corners, double eps, double alpha_eps) {
  const Lengths l = lengths_of(corners);
  const double v = ciou_v(l);
  return v / (1 - l.intersection / (l.union_area + eps) + v + alpha_eps);
}

std::array<double, 2> gradient_scale(const IouLossProblem& problem, std::size_t i) {
  const Lengths l = lengths_of(corners_of(problem, i));
  const auto eps = static_cast<double>(problem.options.eps);
  const IouKind kind = problem.options.kind;
  double areas = 2.0 / (l.union_area + eps);
  double x = 0.0, y = 0.0;
  if (kind == IouKind::giou) {
    const double enclosing = 1.0 / (l.cw * l.ch + eps);
    areas += enclosing;
    x += l.ch * enclosing;
    y += l.cw * enclosing;
  }
  if (kind == IouKind::diou || kind == IouKind::ciou || kind == IouKind::eiou) {
    const double diagonal = 1.0 / (l.cw * l.cw + l.ch * l.ch + eps);
    x += (2 * l.cw + std::fabs(l.dx)) * diagonal;
    y += (2 * l.ch + std::fabs(l.dy)) * diagonal;
  }
  if (kind == IouKind::eiou) {
    x += 4 * l.cw / (l.cw * l.cw + eps);
    y += 4 * l.ch / (l.ch * l.ch + eps);
  }
  if (kind == IouKind::ciou) {
    const double longer1 = std::max(l.w1, l.h1), longer2 = std::max(l.w2, l.h2);
    const double sizes = (longer1 > 0 ? 1 / longer1 : 0.0) + (longer2 > 0 ? 1 / longer2 : 0.0);
    x += sizes;
    y += sizes;
  }
  return {x + areas * (l.h1 + l.h2), y + areas * (l.w1 + l.w2)};
}

void expect_near(const IouLossProblem& problem, const IouLossResult& got,
                 const IouLossResult& expected) {
  const auto n = static_cast<std::size_t>(problem.n());
  const bool by_pair = problem.options.reduction == LossReduction::none;
  double divisor = 1.0;
  if (problem.options.reduction == LossReduction::mean) divisor = static_cast<double>(n);
  if (problem.normaliser.present()) divisor = std::fmax(1.0, double{problem.normaliser.real(0)});
  int differences = 0;
  double allowed_sum = 1e-6;
  const auto check = [&](const char* what, std::size_t i, double value, double wanted,
                         double allowed) {
    if (std::fabs(value - wanted) <= allowed || (std::isinf(allowed) && std::isfinite(value)))
      return;
    if (++differences <= 5) {
      ADD_FAILURE() << what << "[" << i << "] got " << value << ", expected " << wanted
                    << ", allowed " << allowed;
    }
  };
  for (std::size_t i = 0; i < n; ++i) {
    const PairNumbers corners = corners_of(problem, i);
    const bool covered = !is_in_range(corners) || is_covered(corners);
    const double weight = problem.weights.present() ? double{problem.weights.real(i)} : 1.0;
    if (by_pair) {
      const double wanted = double{expected.loss.real(i)};
      const double allowed = covered ? 1e-6 * weight + 1e-5 * std::fabs(wanted) : INFINITY;
      check("loss", i, double{got.loss.real(i)}, wanted, allowed);
    } else {
      allowed_sum += (covered ? 1e-6 : 8.0) * weight;
    }
    const std::array<double, 2> scales =
        is_in_range(corners) ? gradient_scale(problem, i) : std::array<double, 2>{0.0, 0.0};
    double factor = weight / divisor;
    if (problem.grad_output.present()) {
      factor *= std::fabs(double{problem.grad_output.real(by_pair ? i : 0)});
    }
    for (std::size_t k = 0; k < 4; ++k) {
      const double terms = factor * scales[k % 2];
      for (const auto& [name, values, wanted] :
           {std::tuple{"grad_boxes1", &got.grad_boxes1, &expected.grad_boxes1},
            std::tuple{"grad_boxes2", &got.grad_boxes2, &expected.grad_boxes2}}) {
        const double reference_value = double{wanted->real(4 * i + k)};
        check(name, 4 * i + k, double{values->real(4 * i + k)}, reference_value,
              covered ? 1e-6 * terms + 1e-4 * std::fabs(reference_value) + 1e-37 : INFINITY);
      }
    }
  }
  if (!by_pair) {
    const double wanted = double{expected.loss.real(0)};
    check("sum", 0, double{got.loss.real(0)}, wanted,
          allowed_sum / divisor + 1e-5 * std::fabs(wanted));
  }
  EXPECT_EQ(differences, 0) << problem.describe();
}

void expect_oracle(const OracleCase& oracle, const IouLossResult& got) {
  const auto check = [&](const char* name, const HostTensor& values) {
    std::vector<double> expected = oracle.output(name).values<double>();
    for (std::size_t k = 0; k < expected.size(); ++k) {
      ASSERT_TRUE(std::isfinite(values.real(k))) << name << "[" << k << "]";
      // 0 / 0 in the oracle; the header says what is given in its place, and other tests ask.
      if (std::isnan(expected[k])) expected[k] = double{values.real(k)};
    }
    EXPECT_TRUE(all_near(values.reals(), expected, oracle.tolerance(name))) << name;
  };
  check("loss", got.loss);
  check("grad_boxes1", got.grad_boxes1);
  check("grad_boxes2", got.grad_boxes2);
}

IouLossProblem extreme_iou_loss_problem(IouKind kind) {
  const std::vector<BoxNumbers> boxes = {{0, 0, 1, 1},
                                         {1, 0, 2, 1},
                                         {1, 1, 2, 2},
                                         {0.25f, 0.25f, 0.75f, 0.5f},
                                         {0, 0, 0, 0},
                                         {0.5f, 0.5f, 0.5f, 0.5f},
                                         {0, 0.5f, 1, 0.5f},
                                         {0.5f, 0, 0.5f, 1},
                                         {-0x1p62f, -0x1p62f, 0x1p62f, 0x1p62f},
                                         {-0x1p62f, 0, 0x1p62f, 0x1p-60f},
                                         {0x1p61f, 0x1p61f, 0x1p62f, 0x1p62f},
                                         {-0x1p62f, -0x1p62f, -0x1p62f, -0x1p62f},
                                         {0, 0, 0x1p-60f, 0x1p-60f},
                                         {0, 0, 1e-30f, 1e-30f},
                                         {1000, 1000, 1000.0001f, 1000.0001f},
                                         {65504, 65504, 65536, 65536}};
  std::vector<float> first, second;
  for (const BoxNumbers& a : boxes) {
    for (const BoxNumbers& b : boxes) {
      first.insert(first.end(), a.begin(), a.end());
      second.insert(second.end(), b.begin(), b.end());
    }
  }
  const auto n = static_cast<std::int64_t>(first.size() / 4);
  IouLossProblem problem;
  problem.options.kind = kind;
  problem.options.reduction = LossReduction::none;
  problem.boxes1 = HostTensor::of_reals(DataType::float32, {n, 4}, first);
  problem.boxes2 = HostTensor::of_reals(DataType::float32, {n, 4}, second);
  return problem;
}

}  // namespace cudet::test
