// Which kernels nms() chooses for which shapes.

#include "../src/nms_plan.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace cudet::test {
namespace {

NmsShape shape_of(std::int64_t batch, std::int64_t n, std::int64_t top_k = INT64_MAX) {
  NmsShape shape;
  shape.batch = batch;
  shape.n = n;
  shape.total = batch * n;
  shape.elements = n;
  shape.top_k = top_k;
  shape.capacity = n;
  return shape;
}

NmsPlan plan_of(const NmsShape& shape, NmsOrdering ordering = NmsOrdering::automatic) {
  NmsPlan plan;
  EXPECT_TRUE(make_nms_plan(shape, &plan, ordering).ok());
  return plan;
}

bool ranks_in_a_chain(const NmsPlan& plan) {
  return plan.path == NmsPath::chain && plan.ranks && !plan.select;
}

bool ranks_in_panels(const NmsPlan& plan) {
  return plan.path == NmsPath::panels && plan.ranks && !plan.select;
}

TEST(NmsPlan, AWarpOrABlockForSmallImages) {
  for (const std::int64_t batch : {1, 16, 17, 1000}) {
    EXPECT_EQ(plan_of(shape_of(batch, 64)).path, NmsPath::warp);
    EXPECT_EQ(plan_of(shape_of(batch, 65)).path, NmsPath::block);
    EXPECT_EQ(plan_of(shape_of(batch, kNmsFewElements)).path, NmsPath::block);
    EXPECT_EQ(plan_of(shape_of(batch, kNmsFewElements)).workspace_bytes, 0u);
  }
}

TEST(NmsPlan, FewImagesShareTheDevice) {
  for (const std::int64_t n : {kNmsFewElements + 1, kNmsBlockBoxes}) {
    EXPECT_TRUE(ranks_in_a_chain(plan_of(shape_of(1, n))));
    EXPECT_TRUE(ranks_in_a_chain(plan_of(shape_of(kNmsFewImages, n))));
    EXPECT_EQ(plan_of(shape_of(kNmsFewImages + 1, n)).path, NmsPath::block);
  }
}

TEST(NmsPlan, RanksWhereThePairsAreFew) {
  EXPECT_TRUE(ranks_in_panels(plan_of(shape_of(1, 11585))));
  EXPECT_FALSE(plan_of(shape_of(1, 11586)).ranks);
  EXPECT_TRUE(ranks_in_panels(plan_of(shape_of(8, 4096))));
  EXPECT_FALSE(plan_of(shape_of(9, 4096)).ranks);
  // The best 1000 of many are ranked as well, and of more they are selected.
  EXPECT_TRUE(ranks_in_a_chain(plan_of(shape_of(1, 8400, 1000))));
  const NmsPlan selecting = plan_of(shape_of(2, 8400, 1000));
  EXPECT_EQ(selecting.path, NmsPath::block);
  EXPECT_TRUE(selecting.select);
}

TEST(NmsPlan, TasksAreSmallWhereThereAreFew) {
  const NmsPlan small = plan_of(shape_of(1, 2048));  // 32 tiles a side
  EXPECT_EQ(small.task_tiles, 1);
  EXPECT_EQ(small.panel_tasks, 32 * 33 / 2);
  EXPECT_EQ(plan_of(shape_of(2, 2048)).panel_tasks, 33 * 33 / 4);
  const NmsPlan large = plan_of(shape_of(1, 4096));  // 64 tiles a side
  EXPECT_EQ(large.task_tiles, 2);
  EXPECT_EQ(large.panel_tasks, 65 * 65 / 4);
}

TEST(NmsPlan, TestsHaveTheirWay) {
  EXPECT_EQ(plan_of(shape_of(1, 1000), NmsOrdering::sorting).path, NmsPath::block);
  EXPECT_TRUE(plan_of(shape_of(1, 4096), NmsOrdering::sorting).sorts());
  EXPECT_TRUE(ranks_in_a_chain(plan_of(shape_of(40, 100), NmsOrdering::ranking)));
  EXPECT_TRUE(ranks_in_panels(plan_of(shape_of(1, 20000), NmsOrdering::ranking)));
}

TEST(NmsPlan, AWorkspaceServesSmallerShapes) {
  const std::int64_t sizes[] = {65, 256, 257, 1000, 1024, 1025, 4096, 8192, 11585, 11586, 50000};
  const std::int64_t batches[] = {1, 2, 16, 17, 18, 300};
  for (const std::int64_t top_k : {std::int64_t{100}, std::int64_t{1000}, std::int64_t{2000}}) {
    for (const std::int64_t batch : batches) {
      for (const std::int64_t n : sizes) {
        const std::size_t bytes = plan_of(shape_of(batch, n, top_k)).workspace_bytes;
        for (const std::int64_t smaller_batch : batches) {
          for (const std::int64_t smaller_n : sizes) {
            if (smaller_batch > batch || smaller_n > n) continue;
            EXPECT_LE(plan_of(shape_of(smaller_batch, smaller_n, top_k)).workspace_bytes, bytes)
                << smaller_batch << " x " << smaller_n << " within " << batch << " x " << n;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace cudet::test
