// match_boxes() on a device against the reference.
#include <cudet/matching.h>

#include "support/device.h"
#include "support/match_case.h"
#include "support/oracle.h"
#include "support/tolerance.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

/// A problem on the device, with its outputs.
class DeviceMatch {
 public:
  explicit DeviceMatch(const MatchProblem& problem, DataType index_type = DataType::int32,
                       DataType code_type = DataType::float32, std::size_t offset = 0)
      : options_(problem.options),
        anchors_(problem.anchors, offset),
        boxes_(problem.boxes, offset),
        offsets_(problem.offsets, 2 * offset),
        labels_(problem.labels, 2 * offset) {
    const MatchResult result = make_match_result(problem, index_type, code_type);
    matches_ = DeviceTensor(result.matches, 2 * offset);
    ious_ = DeviceTensor(result.ious, offset);
    match_labels_ = DeviceTensor(result.match_labels, 2 * offset);
    codes_ = DeviceTensor(result.codes, offset);
    best_anchors_ = DeviceTensor(result.best_anchors, 2 * offset);
    best_anchor_ious_ = DeviceTensor(result.best_anchor_ious, offset);
    std::size_t bytes = 0;
    const Status status = match_boxes_workspace_size(options_, input(), output(), &bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    workspace_ = std::make_unique<Workspace>(bytes);
  }

  MatchInput input() const {
    return {anchors_.const_tensor(), boxes_.const_tensor(), offsets_.const_tensor(),
            labels_.const_tensor()};
  }
  MatchOutput output() const {
    return {matches_.tensor(), ious_.tensor(),         match_labels_.tensor(),
            codes_.tensor(),   best_anchors_.tensor(), best_anchor_ious_.tensor()};
  }
  Status enqueue(cudaStream_t stream) const { return enqueue(stream, output()); }
  Status enqueue(cudaStream_t stream, const MatchOutput& wanted) const {
    return match_boxes(options_, input(), wanted,
                       Execution::cuda(stream, workspace_->data(), workspace_->size()));
  }
  void poison() {
    for (DeviceTensor* tensor :
         {&matches_, &ious_, &match_labels_, &codes_, &best_anchors_, &best_anchor_ious_})
      tensor->poison();
  }
  MatchResult download() const {
    workspace_->check_guards();
    return {matches_.download(), ious_.download(),         match_labels_.download(),
            codes_.download(),   best_anchors_.download(), best_anchor_ious_.download()};
  }

 private:
  MatchOptions options_;
  DeviceTensor anchors_, boxes_, offsets_, labels_;
  DeviceTensor matches_, ious_, match_labels_, codes_, best_anchors_, best_anchor_ious_;
  std::unique_ptr<Workspace> workspace_;
};

MatchResult device_match(const MatchProblem& problem, DataType index_type = DataType::int32,
                         DataType code_type = DataType::float32, std::size_t offset = 0,
                         StreamMode mode = StreamMode::default_stream) {
  DeviceMatch on_device(problem, index_type, code_type, offset);
  MatchResult result;
  run_in_mode(
      mode, [&](cudaStream_t stream) { return on_device.enqueue(stream); },
      [&] { on_device.poison(); }, [&] { result = on_device.download(); });
  return result;
}

class DeviceBoxCoderOracle : public testing::TestWithParam<std::string> {};

TEST_P(DeviceBoxCoderOracle, MatchingCodesAgree) {
  const OracleCase oracle = load_case("box_coder", GetParam());
  const std::int64_t n = oracle.input("proposals").size(0);
  std::vector<std::int64_t> offsets;
  for (std::int64_t i = 0; i <= n; ++i)
    offsets.push_back(i);
  MatchProblem problem;
  problem.options.low_threshold = problem.options.high_threshold = 0.0f;
  const auto weights = oracle.parameter<std::vector<float>>("weights");
  std::copy(weights.begin(), weights.end(), std::begin(problem.options.code_weights));
  problem.anchors =
      HostTensor::of_reals(DataType::float32, {n, 1, 4}, oracle.input("proposals").values<float>());
  problem.boxes = HostTensor::of_reals(DataType::float32, {n, 4},
                                       oracle.input("reference_boxes").values<float>());
  problem.offsets = HostTensor::of_integers(DataType::int64, {n + 1}, offsets);
  problem.labels = HostTensor::of_integers(DataType::int64, {n},
                                           std::vector<std::int64_t>(static_cast<std::size_t>(n)));
  EXPECT_TRUE(all_near(device_match(problem).codes.reals(),
                       oracle.output("encoded").values<double>(), oracle.tolerance("encoded")));
}

INSTANTIATE_TEST_SUITE_P(Cases, DeviceBoxCoderOracle, testing::ValuesIn(list_cases("box_coder")),
                         case_test_name);

TEST(DeviceMatch, AgreesWithTheReference) {
  Random random(701);
  SCOPED_TRACE(random.trace());
  const std::vector<std::int64_t> anchor_counts = {0, 1, 31, 255, 256, 257, 511, 512, 513, 1300};
  const std::vector<std::int64_t> box_counts = {0, 1, 2, 3, 17, 63, 64, 65, 255, 256, 257, 300};
  const int problems = scaled(150);
  for (int number = 0; number < problems; ++number) {
    std::vector<std::int64_t> boxes_by_image;
    for (std::int64_t image = random.integer(0, 3); image > 0; --image)
      boxes_by_image.push_back(random.pick(box_counts));
    MatchOptions options = random_match_options(random);
    options.format = static_cast<BoxFormat>(number % 3);
    const auto distribution = static_cast<BoxDistribution>(number % kBoxDistributions);
    const DataType types[] = {DataType::float32, DataType::float16, DataType::bfloat16};
    const MatchProblem problem =
        random_match_problem(random, random.pick(anchor_counts), boxes_by_image, distribution,
                             options, number % 2 == 1, types[number / 2 % 3]);
    const DataType index_type = number % 5 < 3 ? DataType::int32 : DataType::int64;
    expect_same_match(problem, device_match(problem, index_type),
                      reference_match(problem, index_type));
  }
}

TEST(DeviceMatch, CodesAreRoundedOnce) {
  Random random(702);
  SCOPED_TRACE(random.trace());
  const MatchProblem problem =
      random_match_problem(random, 300, {20}, BoxDistribution::clustered, {});
  const MatchResult full = device_match(problem);
  for (const DataType type : {DataType::float16, DataType::bfloat16}) {
    EXPECT_TRUE(same_bits(device_match(problem, DataType::int32, type).codes,
                          HostTensor::of_reals(type, {1, 300, 4}, full.codes.reals())));
  }
}

TEST(DeviceMatch, RepeatsItsBitsOnEveryStreamAndOffset) {
  Random random(703);
  SCOPED_TRACE(random.trace());
  for (int forced = 0; forced < 3; ++forced) {
    MatchOptions options = random_match_options(random);
    options.forced = static_cast<ForcedMatches>(forced);
    const MatchProblem problem =
        random_match_problem(random, 1100, {5, 0, 70}, BoxDistribution::integer_grid, options);
    const MatchResult expected = reference_match(problem);
    for (const StreamMode mode : kStreamModes) {
      for (const std::size_t offset : {0u, 4u, 12u}) {
        expect_same_match(problem,
                          device_match(problem, DataType::int32, DataType::float32, offset, mode),
                          expected);
      }
    }
  }
}

TEST(DeviceMatch, OutputsAreIndependent) {
  Random random(704);
  SCOPED_TRACE(random.trace());
  for (int forced = 0; forced < 3; ++forced) {
    MatchOptions options;
    options.forced = static_cast<ForcedMatches>(forced);
    const MatchProblem problem =
        random_match_problem(random, 600, {9, 30}, BoxDistribution::clustered, options);
    const MatchResult expected = reference_match(problem);
    for (int wanted = 1; wanted < 64; wanted += forced == 0 ? 1 : 5) {
      DeviceMatch on_device(problem);
      MatchOutput output = on_device.output();
      Tensor* tensors[] = {&output.matches, &output.ious,         &output.match_labels,
                           &output.codes,   &output.best_anchors, &output.best_anchor_ious};
      for (int k = 0; k < 6; ++k)
        if ((wanted >> k & 1) == 0) *tensors[k] = Tensor();
      const Status status = on_device.enqueue(nullptr, output);
      ASSERT_TRUE(status.ok()) << status.message();
      const MatchResult got = on_device.download();
      const HostTensor* results[] = {&got.matches, &got.ious,         &got.match_labels,
                                     &got.codes,   &got.best_anchors, &got.best_anchor_ious};
      const HostTensor* references[] = {&expected.matches,      &expected.ious,
                                        &expected.match_labels, &expected.codes,
                                        &expected.best_anchors, &expected.best_anchor_ious};
      for (int k = 0; k < 6; ++k) {
        if ((wanted >> k & 1) == 0) {
          EXPECT_TRUE(results[k]->is_all_poison());
        } else if (k != 3) {
          EXPECT_TRUE(same_bits(*results[k], *references[k]));
        }
      }
    }
  }
}

TEST(DeviceMatch, GridAnchors) {
  // Anchors in the order of their places: most boxes are not looked at.
  MatchProblem problem;
  std::vector<float> anchors;
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 40; ++x)
      for (const float size : {32.0f, 64.0f, 128.0f}) {
        const float cx = 16.0f * static_cast<float>(x), cy = 16.0f * static_cast<float>(y);
        anchors.insert(anchors.end(), {cx - size / 2, cy - size / 2, cx + size / 2, cy + size / 2});
      }
  Random random(705);
  SCOPED_TRACE(random.trace());
  problem.anchors = HostTensor::of_reals(DataType::float32, {4800, 4}, anchors);
  problem.boxes = HostTensor::of_reals(DataType::float32, {40, 4},
                                       random_boxes(random, BoxDistribution::uniform, 40));
  problem.offsets = HostTensor::of_integers(DataType::int32, {3}, {0, 25, 40});
  problem.labels = HostTensor::of_integers(DataType::int32, {40}, std::vector<std::int64_t>(40));
  for (int forced = 0; forced < 3; ++forced) {
    for (int ties = 0; ties < 2; ++ties) {
      problem.options.forced = static_cast<ForcedMatches>(forced);
      problem.options.ties = static_cast<MatchTies>(ties);
      expect_same_match(problem, device_match(problem), reference_match(problem));
    }
  }
}

}  // namespace
}  // namespace cudet::test
