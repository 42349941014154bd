// The inner loops on boxes: every set of instructions gives the bits of the generic one, whatever
// the length of the list, and the lists find their boxes again.

#include "support/iou_case.h"
#include "support/random.h"

#include "../src/cpu/box_columns.h"
#include "../src/cpu/box_loops.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace cudet::test {
namespace {

using cpu::BoxList;
using cpu::BoxLoops;
using cpu::PairBox;

constexpr OverlapMetric kMetrics[] = {OverlapMetric::iou, OverlapMetric::min_area,
                                      OverlapMetric::giou, OverlapMetric::diou,
                                      OverlapMetric::ciou};

BoxList random_list(Random& random, BoxDistribution distribution, std::int64_t count) {
  const std::vector<float> numbers = random_boxes(random, distribution, count);
  BoxList list;
  for (std::int64_t i = 0; i < count; ++i) {
    const float* box = numbers.data() + 4 * i;
    list.push_back(cpu::make_pair_box({box[0], box[1], box[2], box[3], true}, true));
  }
  return list;
}

class CpuBoxLoops : public testing::Test {
 protected:
  void SetUp() override {
    if (vector_loops_ == nullptr) GTEST_SKIP() << "this processor has the generic loops only";
  }
  const BoxLoops* vector_loops_ = cpu::x86_64_v3_box_loops();
};

TEST_F(CpuBoxLoops, ValuesEqualTheGenericOnes) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (const std::int64_t count : {1, 7, 8, 9, 31, 64, 65, 203}) {
    for (const BoxDistribution distribution :
         {BoxDistribution::clustered, BoxDistribution::integer_grid}) {
      const BoxList boxes1 = random_list(random, distribution, count);
      const BoxList boxes2 = random_list(random, distribution, count);
      const auto size = static_cast<std::size_t>(count);
      for (const IouKind kind : kIouKinds) {
        std::vector<float> got(size, -7.0f);
        std::vector<float> expected(size, -8.0f);
        vector_loops_->iou_row(kind, boxes1[0], boxes2.columns(), count, 1e-7f, got.data());
        cpu::kGenericBoxLoops.iou_row(kind, boxes1[0], boxes2.columns(), count, 1e-7f,
                                      expected.data());
        EXPECT_EQ(std::memcmp(got.data(), expected.data(), 4 * size), 0) << to_string(kind);
        vector_loops_->iou_pairs(kind, boxes1.columns(), boxes2.columns(), count, 1e-7f,
                                 got.data());
        cpu::kGenericBoxLoops.iou_pairs(kind, boxes1.columns(), boxes2.columns(), count, 1e-7f,
                                        expected.data());
        EXPECT_EQ(std::memcmp(got.data(), expected.data(), 4 * size), 0) << to_string(kind);
      }
    }
  }
}

TEST_F(CpuBoxLoops, DecisionsEqualTheGenericOnes) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  int found = 0;
  int decisions = 0;
  for (int i = 0; i < scaled(3000); ++i) {
    const std::int64_t count = random.integer(0, 200);
    const BoxList list = random_list(random, BoxDistribution::integer_grid, count + 1);
    const float bound = static_cast<float>(random.integer(1, 12)) / 12.0f;
    for (const OverlapMetric metric : kMetrics) {
      const bool got = vector_loops_->overlaps_any(metric, list.columns(1), count, list[0], bound);
      EXPECT_EQ(got,
                cpu::kGenericBoxLoops.overlaps_any(metric, list.columns(1), count, list[0], bound))
          << to_string(metric) << " of " << count;
      found += got ? 1 : 0;
      ++decisions;
    }
  }
  EXPECT_GT(found, decisions / 10);
  EXPECT_LT(found, decisions * 9 / 10);
}

TEST(CpuBoxList, HoldsTheBoxesInOrder) {
  BoxList list;
  list.reserve(3);
  for (int i = 0; i < 3; ++i) {
    const auto x = static_cast<float>(i);
    list.push_back({x, x + 1, x + 2, x + 3, x + 4, x + 5});
  }
  EXPECT_EQ(list.size(), 3);
  EXPECT_EQ(list[2].angle, 7.0f);
  EXPECT_EQ(list.columns(1).y1[1], 3.0f);
  list.clear();
  EXPECT_EQ(list.size(), 0);
}

}  // namespace
}  // namespace cudet::test
