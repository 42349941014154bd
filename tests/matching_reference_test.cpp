// The rules of matching against torchvision's, the codes against BoxCoder's, and arguments.
#include <cudet/matching.h>

#include "../src/reference/matcher.h"
#include "support/match_case.h"
#include "support/oracle.h"
#include "support/tolerance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

class MatcherOracle : public testing::TestWithParam<std::string> {};

TEST_P(MatcherOracle, RulesAgree) {
  const OracleCase oracle = load_case("matcher", GetParam());
  MatchOptions options;
  if (GetParam().rfind("ssd", 0) == 0) {
    options.low_threshold = options.high_threshold = oracle.parameter<float>("threshold");
    options.forced = ForcedMatches::best_anchor;
  } else {
    options.low_threshold = oracle.parameter<float>("low_threshold");
    options.high_threshold = oracle.parameter<float>("high_threshold");
    if (oracle.parameter<bool>("allow_low_quality_matches")) {
      options.forced = ForcedMatches::low_quality;
    }
  }
  const Array quality = oracle.input("quality");
  const auto result = reference::match_image(options, quality.values<float>(),
                                             static_cast<std::size_t>(quality.size(0)),
                                             static_cast<std::size_t>(quality.size(1)));
  EXPECT_EQ(result.matches, oracle.output("matches").values<std::int64_t>());
}

INSTANTIATE_TEST_SUITE_P(Cases, MatcherOracle, testing::ValuesIn(list_cases("matcher")),
                         case_test_name);

/// Every image has one anchor and one box, which match whatever their IoU is.
MatchProblem box_coder_problem(const OracleCase& oracle) {
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
  return problem;
}

class BoxCoderOracle : public testing::TestWithParam<std::string> {};

TEST_P(BoxCoderOracle, MatchingCodesAgree) {
  const OracleCase oracle = load_case("box_coder", GetParam());
  const MatchResult result = reference_match(box_coder_problem(oracle));
  EXPECT_TRUE(all_near(result.codes.reals(), oracle.output("encoded").values<double>(),
                       oracle.tolerance("encoded")));
}

INSTANTIATE_TEST_SUITE_P(Cases, BoxCoderOracle, testing::ValuesIn(list_cases("box_coder")),
                         case_test_name);

TEST(MatchReference, ByHand) {
  // Anchors of 10 x 10; the box overlaps the first by 50 and by 25 of the second.
  MatchProblem problem;
  problem.anchors = HostTensor::of_reals(DataType::float32, {3, 4},
                                         {0, 0, 10, 10, 10, 0, 20, 10, 50, 50, 60, 60});
  problem.boxes =
      HostTensor::of_reals(DataType::float32, {2, 4}, {5, 0, 12.5f, 10, 100, 100, 110, 110});
  problem.offsets = HostTensor::of_integers(DataType::int32, {3}, {0, 1, 2});
  problem.labels = HostTensor::of_integers(DataType::int32, {2}, {7, 8});
  problem.options.low_threshold = 0.1f;
  problem.options.high_threshold = 0.4f;
  problem.options.no_match_label = -7;
  problem.options.between_thresholds_label = -9;
  MatchResult result = reference_match(problem);
  EXPECT_EQ(result.matches.integers(), (std::vector<std::int64_t>{0, -2, -1, -1, -1, -1}));
  EXPECT_EQ(result.match_labels.integers(), (std::vector<std::int64_t>{7, -9, -7, -7, -7, -7}));
  EXPECT_FLOAT_EQ(result.ious.real(0), 50.0f / 125.0f);
  EXPECT_FLOAT_EQ(result.ious.real(1), 25.0f / 150.0f);
  EXPECT_EQ(result.best_anchors.integers(), (std::vector<std::int64_t>{0, 0}));
  EXPECT_FLOAT_EQ(result.codes.real(0), 0.375f);
  EXPECT_FLOAT_EQ(result.codes.real(2), std::log(0.75f));
  EXPECT_EQ(result.codes.real(4), 0.0f);

  problem.options.ties = MatchTies::later_index;
  problem.options.forced = ForcedMatches::best_anchor;
  result = reference_match(problem);
  EXPECT_EQ(result.best_anchors.integers(), (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(result.matches.integers(), (std::vector<std::int64_t>{0, -2, -1, -1, -1, 0}));
  problem.options.forced = ForcedMatches::low_quality;
  result = reference_match(problem);
  EXPECT_EQ(result.matches.integers(), (std::vector<std::int64_t>{0, -2, -1, 0, 0, 0}));
}

TEST(MatchReference, AcceptsOffsetsOutOfRange) {
  MatchProblem problem;
  problem.anchors = HostTensor::of_reals(DataType::float32, {1, 4}, {0, 0, 1, 1});
  problem.boxes = HostTensor::of_reals(DataType::float32, {2, 4}, {0, 0, 1, 1, 0, 0, 1, 1});
  problem.offsets =
      HostTensor::of_integers(DataType::int64, {4}, {-5, 1, 1, std::int64_t{1} << 40});
  problem.labels = HostTensor::of_integers(DataType::int64, {2}, {1, 2});
  const MatchResult result = reference_match(problem);
  EXPECT_EQ(result.matches.integers(), (std::vector<std::int64_t>{0, -1, 0}));
  EXPECT_EQ(result.match_labels.integers(), (std::vector<std::int64_t>{1, 0, 2}));
}

struct Row {
  const char* name;
  StatusCode code;
  std::string message;
  std::function<void(MatchOptions&, MatchInput&, MatchOutput&)> spoil;
};

TEST(MatchArguments, AreRefused) {
  constexpr StatusCode kInvalid = StatusCode::invalid_argument;
  HostTensor other(DataType::float32, {7});
  const auto options_row = [](const char* name, const std::string& message,
                              const std::function<void(MatchOptions&)>& spoil) {
    return Row{name, StatusCode::invalid_argument, message,
               [spoil](MatchOptions& options, MatchInput&, MatchOutput&) { spoil(options); }};
  };
  const Tensor no_offsets(static_cast<std::int32_t*>(nullptr), {0});
  const std::vector<Row> rows = {
      options_row("Low", "low_threshold must be finite and 0 or more, got -0.1",
                  [](MatchOptions& o) { o.low_threshold = -0.1f; }),
      options_row("High", "high_threshold must be finite and not below low_threshold 0.4, got 0.3",
                  [](MatchOptions& o) { o.high_threshold = 0.3f; }),
      options_row("HighNan",
                  "high_threshold must be finite and not below low_threshold 0.4, got nan",
                  [](MatchOptions& o) { o.high_threshold = NAN; }),
      options_row("Forced", "forced must be none, low_quality or best_anchor, got 3",
                  [](MatchOptions& o) { o.forced = static_cast<ForcedMatches>(3); }),
      options_row("Ties", "ties must be lower_index or later_index, got 2",
                  [](MatchOptions& o) { o.ties = static_cast<MatchTies>(2); }),
      options_row("Format", "format must be xyxy, xywh or cxcywh, got -1",
                  [](MatchOptions& o) { o.format = static_cast<BoxFormat>(-1); }),
      options_row("Weights", "code_weights must be finite, got inf",
                  [](MatchOptions& o) { o.code_weights[3] = INFINITY; }),
      {"Anchors", kInvalid, "anchors must be [a, 4], got [7]",
       [&](MatchOptions&, MatchInput& i, MatchOutput&) { i.anchors = other.const_tensor(); }},
      {"Boxes", kInvalid, "boxes must be given as [g, 4], got none",
       [](MatchOptions&, MatchInput& i, MatchOutput&) { i.boxes = Tensor(); }},
      {"OffsetsType", kInvalid, "offsets must be of type int32 or int64, got float32",
       [&](MatchOptions&, MatchInput& i, MatchOutput&) { i.offsets = other.const_tensor(); }},
      {"NoOffsets", kInvalid, "offsets must have at least one element, got none",
       [&](MatchOptions&, MatchInput& i, MatchOutput&) { i.offsets = no_offsets; }},
      {"Labels", kInvalid, "labels must be given as [g] = [5], got none",
       [](MatchOptions&, MatchInput& i, MatchOutput&) { i.labels = Tensor(); }},
      {"NoOutput", kInvalid, "output must have at least one tensor, got none",
       [](MatchOptions&, MatchInput&, MatchOutput& o) { o = MatchOutput(); }},
      {"Matches", kInvalid, "matches must be [batch, a] = [2, 6], got [7]",
       [&](MatchOptions&, MatchInput&, MatchOutput& o) {
         o.matches = Tensor(other.data(), DataType::int32, 1, other.tensor().shape());
       }},
      {"Codes", kInvalid, "codes must be [batch, a, 4] = [2, 6, 4], got [7]",
       [&](MatchOptions&, MatchInput&, MatchOutput& o) { o.codes = other.tensor(); }},
      {"Best", kInvalid, "best_anchor_ious must be [g] = [5], got [7]",
       [&](MatchOptions&, MatchInput&, MatchOutput& o) { o.best_anchor_ious = other.tensor(); }},
      {"Overlap", kInvalid, "best_anchors must not overlap matches, got memory shared by both",
       [](MatchOptions&, MatchInput&, MatchOutput& o) {
         o.best_anchors = Tensor(o.matches.data(), DataType::int32, 1, o.best_anchors.shape());
       }},
  };
  Random random(601);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const MatchProblem problem =
        random_match_problem(random, 6, {2, 3}, BoxDistribution::uniform, {});
    MatchResult result = make_match_result(problem);
    MatchOptions options = problem.options;
    MatchInput input = problem.input();
    MatchOutput output = result.output();
    row.spoil(options, input, output);
    for (const Status& status : {match_boxes(options, input, output, Execution::cpu()),
                                 match_boxes(options, input, output, Execution::cuda(nullptr)),
                                 reference::match_boxes(options, input, output)}) {
      EXPECT_EQ(status.code(), row.code);
      EXPECT_EQ(status.message(), "match_boxes: " + row.message);
    }
    EXPECT_TRUE(result.matches.is_all_poison() && result.codes.is_all_poison());
  }
}

TEST(MatchWorkspace, HoldsWhatTheBoxesNeed) {
  Random random(602);
  MatchProblem problem = random_match_problem(random, 1025, {2, 3}, BoxDistribution::uniform, {});
  MatchResult result = make_match_result(problem);
  MatchOutput output;
  output.matches = result.matches.tensor();
  const auto size = [&] {
    std::size_t bytes = 12345;
    EXPECT_TRUE(match_boxes_workspace_size(problem.options, problem.input(), output, &bytes).ok());
    return bytes;
  };
  EXPECT_EQ(size(), 0u);
  output.best_anchors = result.best_anchors.tensor();
  EXPECT_EQ(size(), 256u + 255u);  // 5 keys
  output.best_anchors = Tensor();
  problem.options.forced = ForcedMatches::low_quality;
  // and 3 blocks of 5 numbers, and one for each of 2 x 1025 anchors
  EXPECT_EQ(size(), 256u + 256u + 8448u + 255u);
  const Status status =
      match_boxes_workspace_size(problem.options, problem.input(), output, nullptr);
  EXPECT_STREQ(status.message(), "match_boxes: bytes must not be null, got a null pointer");
  EXPECT_STREQ(match_boxes(problem.options, problem.input(), output, Execution::cpu(-1)).message(),
               "match_boxes: threads must be 0 (all) or more, got -1");
}

TEST(MatchNames, AreSpelledAsInTheEnumerations) {
  EXPECT_STREQ(to_string(ForcedMatches::none), "none");
  EXPECT_STREQ(to_string(ForcedMatches::low_quality), "low_quality");
  EXPECT_STREQ(to_string(ForcedMatches::best_anchor), "best_anchor");
  EXPECT_STREQ(to_string(static_cast<ForcedMatches>(9)), "unknown");
  EXPECT_STREQ(to_string(MatchTies::lower_index), "lower_index");
  EXPECT_STREQ(to_string(MatchTies::later_index), "later_index");
  EXPECT_STREQ(to_string(static_cast<MatchTies>(9)), "unknown");
}

}  // namespace
}  // namespace cudet::test
