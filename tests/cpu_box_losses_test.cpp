// Losses of boxes on the CPU in blocks of rows: the same bits for any number of threads. That they
// are the reference's is checked wherever a test asks for these.
#include <cudet/iou_loss.h>

#include "support/iou_loss_case.h"
#include "support/tolerance.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace cudet::test {
namespace {

TEST(CpuIouLoss, SameBitsForAnyNumberOfThreads) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (const LossReduction reduction : kLossReductions) {
    for (const std::int64_t n : {0, 1, 1023, 1024, 1025, 5000}) {
      IouLossOptions options;
      options.kind = IouKind::ciou;
      options.reduction = reduction;
      const IouLossProblem problem =
          random_iou_loss_problem(random, n, BoxDistribution::clustered, options);
      SCOPED_TRACE(problem.describe());
      const IouLossResult expected = reference_iou_loss(problem);
      const IouLossResult by_one = iou_loss_on_cpu(problem, 1);
      EXPECT_TRUE(all_near(by_one.loss.reals(), expected.loss.reals(), {0, 1e-6, 0, 0}));
      for (const int threads : {2, 7}) {
        const IouLossResult got = iou_loss_on_cpu(problem, threads);
        EXPECT_TRUE(same_bits(got.loss, by_one.loss));
        EXPECT_TRUE(same_bits(got.grad_boxes1, by_one.grad_boxes1));
        EXPECT_TRUE(same_bits(got.grad_boxes2, by_one.grad_boxes2));
      }
    }
  }
}

}  // namespace
}  // namespace cudet::test
