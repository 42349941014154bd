// The focal losses give the same bits in every run.
#include "support/device_focal.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#if defined(CUDET_EMULATED)
#include "../cuda/emulation/device.h"
#include "../cuda/focal_loss.h"
#include "../src/focal_loss_plan.h"
#endif

namespace cudet::test {
namespace {

SigmoidProblem sigmoid_problem(FocalLayout layout) {
  Random random(1);
  return random_class_problem(random, DataType::float32, layout,
                              {{2, 3, 20, 16, 12}, {2, 3, 20, 8, 6}, {2, 3, 20, 4, 3}});
}

RowsProblem rows_problem() {
  Random random(2);
  return random_rows_problem(random, DataType::float16, 700, 21);
}

TEST(DeviceFocalLossRepeat, SameBitsInEveryRun) {
  for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
    const SigmoidProblem problem = sigmoid_problem(layout);
    const FocalResult first = device_result(problem);
    for (int run = 0; run < 5; ++run)
      EXPECT_TRUE(same_bits(device_result(problem), first));
  }
  const FocalResult first = device_result(rows_problem());
  for (int run = 0; run < 5; ++run)
    EXPECT_TRUE(same_bits(device_result(rows_problem()), first));
}

#if defined(CUDET_EMULATED)

// Blocks and threads take their turns in an order that hangs on the seed; the last block to arrive
// is another one each time.
TEST(DeviceFocalLossRepeat, SameBitsInEveryOrder) {
  for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
    const SigmoidProblem problem = sigmoid_problem(layout);
    emulation::set_seed(0);
    const FocalResult natural = device_result(problem);
    const FocalResult natural_rows = device_result(rows_problem());
    for (std::uint64_t seed = 1; seed < 12; ++seed) {
      emulation::set_seed(seed);
      EXPECT_TRUE(same_bits(device_result(problem), natural)) << "seed " << seed;
      EXPECT_TRUE(same_bits(device_result(rows_problem()), natural_rows)) << "seed " << seed;
    }
    emulation::set_seed(1);
  }
}

// The tree of the sum does not hang on how many warps share a block.
TEST(DeviceFocalLossRepeat, SameBitsForEveryBlockSize) {
  for (const FocalLayout layout : {FocalLayout::rows, FocalLayout::head}) {
    for (const bool plain : {true, false}) {
      const SigmoidProblem problem = sigmoid_problem(layout);
      std::vector<FocalResult> results;
      for (const int threads : {256, 32, 64, 160, 224}) {
        SigmoidFocalLossInput input;
        SigmoidFocalLossOutput output;
        SigmoidFocalShape shape;
        SigmoidFocalPlan plan;
        input.levels = problem.levels();
        std::vector<std::unique_ptr<DeviceTensor>> tensors;
        const auto copy = [&](const HostTensor& tensor) -> DeviceTensor& {
          tensors.push_back(std::make_unique<DeviceTensor>(tensor));
          return *tensors.back();
        };
        FocalResult host = make_result(problem);
        for (std::size_t level = 0; level < problem.logits.size(); ++level) {
          input.logits[level] = copy(problem.logits[level]).const_tensor();
          input.targets[level] = copy(problem.targets[level]).const_tensor();
          output.grad_logits[level] = copy(host.gradient[level]).tensor();
        }
        DeviceTensor loss(host.loss[0]);
        output.loss[0] = loss.tensor();
        ASSERT_TRUE(check_sigmoid_input(problem.options, input, true, &shape).ok());
        ASSERT_TRUE(make_sigmoid_plan(shape, DataType::float32, layout, plain, &plan).ok());
        plan.block_threads = threads;
        Workspace workspace(plan.reduction.workspace_bytes);
        const Status status = device::sigmoid_focal_loss(
            plan, problem.options, input, output,
            Execution::cuda(nullptr, workspace.data(), workspace.size()));
        ASSERT_TRUE(status.ok()) << status.message();
        FocalResult result;
        result.loss.push_back(loss.download());
        results.push_back(result);
      }
      for (const FocalResult& result : results)
        EXPECT_TRUE(same_bits(result, results.front()));
    }
  }
}

#endif

}  // namespace
}  // namespace cudet::test
