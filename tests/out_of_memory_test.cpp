// Calls whose allocations fail, one after the other: they say so, and end neither the program nor
// in a wrong result. A program of its own, since it replaces operator new.
#include "support/depthwise_problem.h"
#include "support/nms_problem.h"

#include <cudet/box_regression_loss.h>
#include <cudet/focal_loss.h>
#include <cudet/iou.h>
#include <cudet/iou_loss.h>
#include <cudet/matching.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <new>
#include <string>
#include <vector>

namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// Allocations that still succeed.
std::atomic<std::int64_t> allocations_left{kNever};

}  // namespace

// Not inlined: GCC takes a malloc() that it sees with a delete for a mistake.
__attribute__((noinline)) void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (allocations_left.load() != kNever && allocations_left.fetch_sub(1) <= 0) return nullptr;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new(std::size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept {
  std::free(memory);
}
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace cudet::test {
namespace {

/// Lets every allocation of a call fail, from the first to the last one, and all that follow it.
void expect_out_of_memory(const char* operation, const std::function<Status()>& call) {
  SCOPED_TRACE(operation);
  constexpr std::int64_t kMost = 100000;
  for (std::int64_t succeeding = 0; succeeding < kMost; ++succeeding) {
    allocations_left = succeeding;
    const Status status = call();
    allocations_left = kNever;
    if (status.ok()) {
      EXPECT_GT(succeeding, 0) << "it has allocated nothing";
      return;
    }
    ASSERT_EQ(status.code(), StatusCode::out_of_memory) << status.message();
    ASSERT_NE(std::string(status.message()).find(operation), std::string::npos) << status.message();
  }
  FAIL() << "it never succeeds";
}

TEST(OutOfMemory, Nms) {
  Random random(1);
  const NmsProblem problem = random_flat_problem(random, 40, 2);
  NmsResult result = make_nms_result(problem, DataType::int32);
  const auto output = result.output();
  const auto input = problem.input();
  expect_out_of_memory("nms", [&] { return reference::nms(problem.options, input, output); });
  expect_out_of_memory("nms",
                       [&] { return nms(problem.options, input, output, Execution::cpu(2)); });
}

TEST(OutOfMemory, DepthwiseConv) {
  Random random(2);
  for (const ImageLayout layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    DepthwiseConvOptions options;
    options.layout = layout;
    const DepthwiseSizes sizes = {2, 500, 9, 9, 3, 3, 1};  // enough for two threads
    options = with_same_padding(options, sizes);
    DepthwiseProblem problem = random_problem(random, DataType::float32, options, sizes);
    add_gradient(random, problem);
    DepthwiseResult result = make_result(problem);
    DepthwiseGradients gradients = make_gradients(problem);
    const DepthwiseConvInput input = problem.input();
    const DepthwiseConvOutput output = result.output();
    expect_out_of_memory("depthwise_conv",
                         [&] { return depthwise_conv(options, input, output, Execution::cpu(2)); });
    const DepthwiseConvBackwardInput backward = problem.backward_input();
    const DepthwiseConvBackwardOutput outputs = gradients.output();
    expect_out_of_memory("depthwise_conv_backward", [&] {
      return depthwise_conv_backward(options, backward, outputs, Execution::cpu(2));
    });
    expect_out_of_memory("depthwise_conv_backward", [&] {
      return reference::depthwise_conv_backward(options, backward, outputs);
    });
  }
}

TEST(OutOfMemory, IouMatrix) {
  Random random(3);
  const std::vector<float> boxes = random_boxes(random, BoxDistribution::clustered, 50);
  std::vector<float> values(50 * 50);
  IouMatrixInput input;
  input.boxes1 = input.boxes2 = Tensor(boxes.data(), {1, 50, 4});
  IouMatrixOutput output;
  output.values = Tensor(values.data(), {1, 50, 50});
  expect_out_of_memory("iou_matrix",
                       [&] { return iou_matrix({}, input, output, Execution::cpu(2)); });
}

TEST(OutOfMemory, MatchBoxes) {
  Random random(4);
  const std::vector<float> anchors = random_boxes(random, BoxDistribution::clustered, 60);
  const std::vector<float> boxes = random_boxes(random, BoxDistribution::clustered, 7);
  const std::vector<std::int32_t> offsets = {0, 3, 7};
  std::vector<std::int32_t> matches(2 * 60);
  MatchInput input;
  input.anchors = Tensor(anchors.data(), {60, 4});
  input.boxes = Tensor(boxes.data(), {7, 4});
  input.offsets = Tensor(offsets.data(), {3});
  MatchOutput output;
  output.matches = Tensor(matches.data(), {2, 60});
  expect_out_of_memory("match_boxes", [&] { return reference::match_boxes({}, input, output); });
  expect_out_of_memory("match_boxes",
                       [&] { return match_boxes({}, input, output, Execution::cpu(2)); });
}

TEST(OutOfMemory, Losses) {
  const std::vector<float> logits(8 * 5, 0.5f);
  const std::vector<std::int32_t> targets(8, 1);
  const std::vector<float> places(8, 1.5f);
  std::vector<float> loss(1), gradient(logits.size());
  SoftmaxFocalLossInput softmax;
  softmax.logits = Tensor(logits.data(), {8, 5});
  softmax.targets = Tensor(targets.data(), {8});
  SoftmaxFocalLossOutput softmax_output;
  softmax_output.loss = Tensor(loss.data(), {1});
  expect_out_of_memory("softmax_focal_loss",
                       [&] { return reference::softmax_focal_loss({}, softmax, softmax_output); });
  expect_out_of_memory("softmax_focal_loss", [&] {
    return softmax_focal_loss({}, softmax, softmax_output, Execution::cpu(2));
  });
  DistributionFocalLossInput distribution;
  distribution.logits = Tensor(logits.data(), {8, 5});
  distribution.targets = Tensor(places.data(), {8});
  DistributionFocalLossOutput distribution_output;
  distribution_output.loss = Tensor(loss.data(), {1});
  expect_out_of_memory("distribution_focal_loss", [&] {
    return reference::distribution_focal_loss({}, distribution, distribution_output);
  });
  SigmoidFocalLossInput sigmoid;
  sigmoid.logits[0] = Tensor(logits.data(), {8, 5});
  sigmoid.targets[0] = Tensor(targets.data(), {8});
  SigmoidFocalLossOutput sigmoid_output;
  sigmoid_output.loss[0] = Tensor(loss.data(), {1});
  expect_out_of_memory("sigmoid_focal_loss", [&] {
    return sigmoid_focal_loss({}, sigmoid, sigmoid_output, Execution::cpu(2));
  });
  const std::vector<float> boxes = {0, 0, 2, 2, 1, 1, 3, 3};
  IouLossInput boxes_input;
  boxes_input.boxes1 = boxes_input.boxes2 = Tensor(boxes.data(), {2, 4});
  IouLossOutput boxes_output;
  boxes_output.loss = Tensor(loss.data(), {1});
  expect_out_of_memory("iou_loss",
                       [&] { return iou_loss({}, boxes_input, boxes_output, Execution::cpu(2)); });
  BoxRegressionLossInput regression;
  regression.predictions = regression.targets = Tensor(boxes.data(), {2, 4});
  BoxRegressionLossOutput regression_output;
  regression_output.loss = Tensor(loss.data(), {1});
  expect_out_of_memory("box_regression_loss", [&] {
    return box_regression_loss({}, regression, regression_output, Execution::cpu(2));
  });
}

}  // namespace
}  // namespace cudet::test
