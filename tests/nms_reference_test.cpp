// The CPU reference of nms() on inputs whose results are known: ties, special values, formats,
// classes, counts, padding.

#include <cudet/nms.h>

#include "support/nms_definition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

using Indices = std::vector<std::int64_t>;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

NmsResult run_reference(const NmsProblem& problem, DataType index_type = DataType::int64) {
  return reference_result(problem, index_type);
}

Indices kept_by(const NmsProblem& problem) {
  const NmsResult result = run_reference(problem);
  EXPECT_TRUE(is_nms_of(result, problem));
  return result.kept(0);
}

Indices kept_by(const std::vector<float>& boxes, const std::vector<float>& scores,
                float iou_threshold) {
  return kept_by(make_nms_problem(boxes, scores, iou_threshold));
}

TEST(NmsReference, KeepsTheBetterOfTwo) {
  // The IoU is 2 / 4.
  const std::vector<float> boxes = {0, 0, 1, 3, 0, 1, 1, 4};
  EXPECT_EQ(kept_by(boxes, {0.5f, 0.9f}, 0.25f), (Indices{1}));
  EXPECT_EQ(kept_by(boxes, {0.9f, 0.5f}, 0.25f), (Indices{0}));
}

TEST(NmsReference, DropsAboveTheThresholdOnly) {
  const std::vector<float> boxes = {0, 0, 1, 3, 0, 1, 1, 4};
  EXPECT_EQ(kept_by(boxes, {0.9f, 0.5f}, 0.5f), (Indices{0, 1})) << "IoU equals the threshold";
  EXPECT_EQ(kept_by(boxes, {0.9f, 0.5f}, std::nextafterf(0.5f, 0.0f)), (Indices{0}));
  EXPECT_EQ(kept_by(boxes, {0.9f, 0.5f}, std::nextafterf(0.5f, 1.0f)), (Indices{0, 1}));
}

TEST(NmsReference, ADroppedBoxSuppressesNothing) {
  // Neighbours overlap with IoU 1/3, boxes two apart do not.
  const std::vector<float> chain = {0, 0, 2, 1, 1, 0, 3, 1, 2, 0, 4, 1, 3, 0, 5, 1, 4, 0, 6, 1};
  EXPECT_EQ(kept_by(chain, {5, 4, 3, 2, 1}, 0.3f), (Indices{0, 2, 4}));
  EXPECT_EQ(kept_by(chain, {1, 2, 3, 4, 5}, 0.3f), (Indices{4, 2, 0}));
}

TEST(NmsReference, EqualScoresGoByIndex) {
  const std::vector<float> apart = {0, 0, 1, 1, 2, 0, 3, 1, 4, 0, 5, 1, 6, 0, 7, 1};
  EXPECT_EQ(kept_by(apart, {0.5f, 0.7f, 0.5f, 0.7f}, 0.5f), (Indices{1, 3, 0, 2}));
  EXPECT_EQ(kept_by(apart, {0.0f, -0.0f, 0.0f, -0.0f}, 0.5f), (Indices{0, 1, 2, 3}))
      << "-0 equals 0";
  const std::vector<float> equal = {0, 0, 1, 1, 0, 0, 1, 1};
  EXPECT_EQ(kept_by(equal, {0.5f, 0.5f}, 0.5f), (Indices{0}));
}

TEST(NmsReference, ThresholdZeroAllowsTouching) {
  const std::vector<float> boxes = {0, 0, 1, 1, 1, 0, 2, 1, 0.9990234375f, 0, 2, 1};
  EXPECT_EQ(kept_by(boxes, {3, 2, 1}, 0.0f), (Indices{0, 1}));
}

TEST(NmsReference, ThresholdOneDropsNothing) {
  const std::vector<float> equal = {0, 0, 1, 1, 0, 0, 1, 1};
  EXPECT_EQ(kept_by(equal, {2, 1}, 1.0f), (Indices{0, 1}));
  EXPECT_EQ(kept_by(equal, {2, 1}, std::nextafterf(1.0f, 0.0f)), (Indices{0}));
}

TEST(NmsReference, ScoresThatAreNoNumbers) {
  const std::vector<float> apart = {0, 0, 1, 1, 2, 0, 3, 1, 4, 0, 5, 1, 6, 0, 7, 1};
  EXPECT_EQ(kept_by(apart, {kNaN, 0.5f, kInfinity, -kInfinity}, 0.5f), (Indices{2, 1}))
      << "minus infinity does not exceed the default threshold";
  // A NaN score does not suppress either.
  const std::vector<float> equal = {0, 0, 1, 1, 0, 0, 1, 1};
  EXPECT_EQ(kept_by(equal, {kNaN, 0.1f}, 0.5f), (Indices{1}));
}

TEST(NmsReference, ScoreThresholdIsStrict) {
  const std::vector<float> apart = {0, 0, 1, 1, 2, 0, 3, 1, 4, 0, 5, 1};
  NmsProblem problem = make_nms_problem(apart, {0.5f, std::nextafterf(0.5f, 1.0f), 0.25f}, 0.5f);
  problem.options.score_threshold = 0.5f;
  EXPECT_EQ(kept_by(problem), (Indices{1}));
  problem.options.score_threshold = kInfinity;
  EXPECT_EQ(kept_by(problem), Indices());
}

TEST(NmsReference, InvalidBoxesStandAlone) {
  const float beyond = std::nextafterf(0x1p62f, kInfinity);
  const std::vector<std::vector<float>> invalid = {
      {kNaN, 0, 1, 1},   {0, kNaN, 1, 1},       {0, 0, kNaN, 1},
      {0, 0, 1, kNaN},   {-kInfinity, 0, 1, 1}, {0, 0, kInfinity, 1},
      {2, 0, 1, 1},      {0, 2, 1, 1},          {2, 2, 1, 1},
      {0, 0, beyond, 1}, {0, -beyond, 1, 1},    {-3e38f, -3e38f, 3e38f, 3e38f}};
  for (const std::vector<float>& box : invalid) {
    SCOPED_TRACE(testing::PrintToString(box));
    std::vector<float> boxes = {0, 0, 1, 1};
    boxes.insert(boxes.end(), box.begin(), box.end());
    boxes.insert(boxes.end(), box.begin(), box.end());
    EXPECT_EQ(kept_by(boxes, {2, 3, 1}, 0.0f), (Indices{1, 0, 2}));
  }
}

TEST(NmsReference, EmptyBoxesOverlapNothing) {
  const std::vector<float> boxes = {0, 0, 4, 4, 1, 1, 1, 3, 1, 1, 1, 3, 2, 2, 2, 2, 2, 2, 2, 2};
  EXPECT_EQ(kept_by(boxes, {5, 4, 3, 2, 1}, 0.0f), (Indices{0, 1, 2, 3, 4}));
}

TEST(NmsReference, LargestValidBoxes) {
  const float edge = 0x1p62f;
  const std::vector<float> boxes = {-edge, -edge, edge, edge, -edge, -edge,
                                    edge,  edge,  0,    0,    edge,  edge};
  EXPECT_EQ(kept_by(boxes, {3, 2, 1}, 0.5f), (Indices{0, 2}));
  EXPECT_EQ(kept_by(boxes, {3, 2, 1}, 0.25f), (Indices{0, 2})) << "the IoU is 1/4 exactly";
  EXPECT_EQ(kept_by(boxes, {3, 2, 1}, std::nextafterf(0.25f, 0.0f)), (Indices{0}));
}

TEST(NmsReference, AreasBelowTheSmallestNumber) {
  // Both areas are rounded to 0, so that the IoU is 0 / 0.
  const std::vector<float> boxes = {0, 0, 1e-30f, 1e-30f, 0, 0, 1e-30f, 1e-30f};
  EXPECT_EQ(kept_by(boxes, {2, 1}, 0.0f), (Indices{0, 1}));
  // Subnormal areas count.
  const std::vector<float> subnormal = {0, 0, 1e-20f, 1e-20f, 0, 0, 1e-20f, 1e-20f};
  EXPECT_EQ(kept_by(subnormal, {2, 1}, 0.9f), (Indices{0}));
}

TEST(NmsReference, QuotientsBetweenTwoSubnormalNumbers) {
  // The intersection is 3 * 2^-149 and the union 2: their quotient lies midway between 2^-149 and
  // 2^-148 and is rounded to the even one, 2^-148.
  const std::vector<float> boxes = {0, 0, 2, 1, 0, 0, 0x3p-75f, 0x1p-74f};
  EXPECT_EQ(kept_by(boxes, {2, 1}, 0x1p-149f), (Indices{0}));
  EXPECT_EQ(kept_by(boxes, {2, 1}, 0x1p-148f), (Indices{0, 1}));
  // 2^-150 is rounded to 0.
  EXPECT_EQ(kept_by({0, 0, 2, 1, 0, 0, 0x1p-75f, 0x1p-74f}, {2, 1}, 0.0f), (Indices{0, 1}));
}

TEST(NmsReference, Formats) {
  // The same two boxes, [0, 0, 2, 2] and [1, 0, 3, 2], IoU 1/3, and one apart.
  const std::vector<float> xywh = {0, 0, 2, 2, 1, 0, 2, 2, 9, 9, 2, 2};
  const std::vector<float> cxcywh = {1, 1, 2, 2, 2, 1, 2, 2, 10, 10, 2, 2};
  NmsProblem problem = make_nms_problem(xywh, {1, 2, 3}, 0.3f);
  problem.options.format = BoxFormat::xywh;
  EXPECT_EQ(kept_by(problem), (Indices{2, 1}));
  problem.options.iou_threshold = 0.34f;
  EXPECT_EQ(kept_by(problem), (Indices{2, 1, 0}));

  problem = make_nms_problem(cxcywh, {1, 2, 3}, 0.3f);
  problem.options.format = BoxFormat::cxcywh;
  EXPECT_EQ(kept_by(problem), (Indices{2, 1}));
  problem.options.iou_threshold = 0.34f;
  EXPECT_EQ(kept_by(problem), (Indices{2, 1, 0}));
}

TEST(NmsReference, LegacyOffsetCountsPixels) {
  // 2 x 1 and 1 x 1 pixels of which one is shared: IoU 1/2. Without the offset all areas are 0.
  NmsProblem problem = make_nms_problem({0, 0, 1, 0, 0, 0, 0, 0}, {2, 1}, 0.49f);
  EXPECT_EQ(kept_by(problem), (Indices{0, 1}));
  problem.options.legacy_offset = true;
  EXPECT_EQ(kept_by(problem), (Indices{0}));
  problem.options.iou_threshold = 0.5f;
  EXPECT_EQ(kept_by(problem), (Indices{0, 1}));
  // Inverted by one pixel is empty, by more is invalid: neither overlaps anything.
  problem = make_nms_problem({0, 0, 3, 3, 2, 1, 1, 3, 3, 1, 1, 3}, {3, 2, 1}, 0.0f);
  problem.options.legacy_offset = true;
  EXPECT_EQ(kept_by(problem), (Indices{0, 1, 2}));
}

TEST(NmsReference, ClassesDoNotMeet) {
  const std::vector<float> equal = {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1};
  NmsProblem problem = make_nms_problem(equal, {4, 3, 2, 1}, 0.5f);
  problem.classes = HostTensor::of_integers(DataType::int32, {1, 4}, {7, -1, 7, -1});
  EXPECT_EQ(kept_by(problem), (Indices{0, 1}));
  problem.options.class_agnostic = true;
  EXPECT_EQ(kept_by(problem), (Indices{0}));
}

TEST(NmsReference, ClassesOf64Bits) {
  const std::vector<float> equal = {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1};
  NmsProblem problem = make_nms_problem(equal, {3, 2, 1}, 0.5f);
  const std::int64_t high = std::int64_t{1} << 32;
  problem.classes = HostTensor::of_integers(DataType::int64, {1, 3}, {5, high + 5, 5});
  EXPECT_EQ(kept_by(problem), (Indices{0, 1})) << "equal in their lower 32 bits";
  problem.classes = HostTensor::of_integers(DataType::int64, {1, 3}, {high, high + 1, high});
  EXPECT_EQ(kept_by(problem), (Indices{0, 1})) << "equal in their upper 32 bits";
}

TEST(NmsReference, CountsAreClamped) {
  const std::vector<float> apart = {0, 0, 1, 1, 2, 0, 3, 1, 4, 0, 5, 1};
  std::vector<float> boxes;
  std::vector<float> scores;
  for (int image = 0; image < 5; ++image) {
    boxes.insert(boxes.end(), apart.begin(), apart.end());
    scores.insert(scores.end(), {1, 2, 3});
  }
  NmsProblem problem;
  problem.boxes = HostTensor::of_reals(DataType::float32, {5, 3, 4}, boxes);
  problem.scores = HostTensor::of_reals(DataType::float32, {5, 3}, scores);
  problem.counts = HostTensor::of_integers(
      DataType::int32, {5}, {2, 0, -7, 2147483647, std::numeric_limits<std::int32_t>::min()});
  const NmsResult result = run_reference(problem);
  EXPECT_TRUE(is_nms_of(result, problem));
  EXPECT_EQ(result.count.integers(), (Indices{2, 0, 0, 3, 0}));
  EXPECT_EQ(result.kept(0), (Indices{1, 0}));
  EXPECT_EQ(result.kept(3), (Indices{2, 1, 0}));
}

TEST(NmsReference, WritesThePadding) {
  for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16}) {
    for (const DataType integer : {DataType::int32, DataType::int64}) {
      SCOPED_TRACE(std::string(to_string(type)) + " " + to_string(integer));
      NmsProblem problem;
      problem.boxes = HostTensor::of_reals(type, {1, 2, 4}, {1, 2, 3, 4, 1, 2, 3, 4});
      problem.scores = HostTensor::of_reals(type, {1, 2}, {0.25f, 0.5f});
      problem.classes = HostTensor::of_integers(integer, {1, 2}, {3, 3});
      problem.options.max_outputs = 4;
      const NmsResult result = run_reference(problem, integer);
      EXPECT_EQ(result.count.integers(), (Indices{1}));
      EXPECT_EQ(result.indices.integers(), (Indices{1, -1, -1, -1}));
      EXPECT_EQ(result.boxes.reals(),
                (std::vector<float>{1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
      EXPECT_EQ(result.scores.reals(), (std::vector<float>{0.5f, 0, 0, 0}));
      EXPECT_EQ(result.classes.integers(), (Indices{3, -1, -1, -1}));
    }
  }
}

TEST(NmsReference, CopiesBitsAsTheyAre) {
  // A NaN's payload, -0 and the format's own four numbers.
  NmsProblem problem = make_nms_problem({-0.0f, 1, 2, 3, 5, 6, 7, 8}, {-0.0f, -1}, 0.5f);
  const std::uint32_t payload = 0x7fc12345u;
  std::memcpy(problem.boxes.data(), &payload, sizeof(payload));
  problem.options.format = BoxFormat::cxcywh;
  const NmsResult result = run_reference(problem);
  EXPECT_EQ(result.kept(0), (Indices{0, 1}));
  EXPECT_TRUE(same_bits(result.boxes, problem.boxes));
  EXPECT_TRUE(same_bits(result.scores, problem.scores));
}

TEST(NmsReference, EveryOutputMayBeAbsent) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  NmsProblem problem = random_flat_problem(random, 40, 3);
  while (!problem.classes.present() || problem.batch() * problem.n() == 0)
    problem = random_flat_problem(random, 40, 3);
  const NmsResult all = run_reference(problem);
  for (unsigned mask = 0; mask < 128; ++mask) {
    SCOPED_TRACE("outputs " + std::to_string(mask));
    NmsResult expected = all;
    NmsResult result = make_nms_result(problem, DataType::int64);
    for (unsigned bit = 0; bit < 7; ++bit) {
      if ((mask >> bit & 1u) == 0u) *result.all()[bit] = *expected.all()[bit] = HostTensor();
    }
    const Status status = reference::nms(problem.options, problem.input(), result.output());
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(same_result(result, expected));
  }
}

TEST(NmsReference, EmptyInputs) {
  struct Case {
    std::int64_t batch, n, max_outputs;
  };
  for (const Case& c :
       {Case{0, 5, -1}, Case{0, 0, 7}, Case{2, 0, -1}, Case{2, 0, 3}, Case{2, 5, 0}}) {
    NmsProblem problem;
    problem.options.max_outputs = c.max_outputs;
    problem.boxes =
        HostTensor::of_reals(DataType::float32, {c.batch, c.n, 4},
                             std::vector<float>(static_cast<std::size_t>(c.batch * c.n * 4), 1.0f));
    problem.scores =
        HostTensor::of_reals(DataType::float32, {c.batch, c.n},
                             std::vector<float>(static_cast<std::size_t>(c.batch * c.n), 1.0f));
    SCOPED_TRACE(problem.describe());
    const NmsResult result = run_reference(problem);
    EXPECT_EQ(result.count.integers(), Indices(static_cast<std::size_t>(c.batch), 0));
    EXPECT_TRUE(is_nms_of(result, problem));
  }
}

TEST(NmsReference, AHugeLimitCostsNothingWithoutSlots) {
  NmsProblem problem = make_nms_problem({0, 0, 1, 1, 0, 0, 1, 1}, {1, 2}, 0.5f);
  problem.options.max_outputs = std::numeric_limits<std::int64_t>::max();
  HostTensor count(DataType::int32, {1});
  NmsOutput output;
  output.count = count.tensor();
  const Status status = reference::nms(problem.options, problem.input(), output);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(count.integers(), (Indices{1}));
}

TEST(NmsReference, EmptyInputsMayHaveNullPointers) {
  NmsInput input;
  input.boxes = Tensor(static_cast<float*>(nullptr), {3, 0, 4});
  input.scores = Tensor(static_cast<float*>(nullptr), {3, 0});
  std::int32_t count[3] = {9, 9, 9};
  NmsOutput output;
  output.count = Tensor(count, {3});
  output.indices = Tensor(static_cast<std::int32_t*>(nullptr), {3, 0});
  const Status status = reference::nms(NmsOptions(), input, output);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(count[0] + count[1] + count[2], 0);
}

}  // namespace
}  // namespace cudet::test
