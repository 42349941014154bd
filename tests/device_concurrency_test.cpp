// All operations from many host threads at once: references, the CPU mode, device calls on a stream
// each, workspace queries and refusals. Under ThreadSanitizer a race in any of them shows; without
// it, results must be those of a single thread.

#include "support/depthwise_problem.h"
#include "support/device.h"
#include "support/device_depthwise.h"
#include "support/device_focal.h"
#include "support/device_nms.h"
#include "support/focal_problem.h"
#include "support/iou_case.h"
#include "support/iou_loss_case.h"
#include "support/match_case.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace cudet::test {
namespace {

constexpr int kThreads = 16;

/// A call on memory of its own; true where it gives what it gave before.
struct Job {
  std::string name;
  std::function<bool()> repeat;
};

/// The result of `call` now, compared with that of later calls bit by bit.
template <class Result, class Same>
Job make_job(std::string name, const std::function<Result()>& call, const Same& same) {
  return {std::move(name), [call, same, expected = call()] { return same(call(), expected); }};
}

void add_nms(std::vector<Job>& jobs) {
  Random random(1);
  const NmsProblem problem = random_nms_problem(random, 60, 3);
  const auto same = [](const NmsResult& got, const NmsResult& expected) {
    return bool{same_result(got, expected)};
  };
  jobs.push_back(make_job<NmsResult>(
      "nms, reference and CPU mode", [problem] { return reference_result(problem); }, same));
  const auto on_device = [problem] {
    DeviceNms device(problem);
    const Stream stream;
    EXPECT_TRUE(device.enqueue(stream.get()).ok());
    stream.synchronize();
    return device.download();
  };
  jobs.push_back(make_job<NmsResult>("nms on a device", on_device, same));
  const auto refuse = [problem] {
    NmsOptions options = problem.options;
    options.iou_threshold = 2.0f;
    NmsResult result = make_nms_result(problem);
    const Status status = nms(options, problem.input(), result.output(), Execution::cpu());
    return std::string(status.message());
  };
  jobs.push_back(make_job<std::string>("nms, a wrong argument", refuse, std::equal_to<>()));
}

void add_iou(std::vector<Job>& jobs) {
  Random random(2);
  const IouProblem problem =
      random_iou_problem(random, {2, 70, 90}, BoxDistribution::clustered, {});
  const auto same = [](const HostTensor& got, const HostTensor& expected) {
    return bool{same_bits(got, expected)};
  };
  jobs.push_back(make_job<HostTensor>(
      "iou_matrix, reference", [problem] { return reference_iou_matrix(problem); }, same));
  const auto on_cpu = [problem] {
    HostTensor values(problem.value_type, problem.value_shape());
    EXPECT_TRUE(
        iou_matrix(problem.options, problem.input(), {values.tensor()}, Execution::cpu(2)).ok());
    return values;
  };
  jobs.push_back(make_job<HostTensor>("iou_matrix, CPU mode", on_cpu, same));
  const auto on_device = [problem] {
    const DeviceTensor boxes1(problem.boxes1), boxes2(problem.boxes2);
    const DeviceTensor values(HostTensor(problem.value_type, problem.value_shape()));
    const Stream stream;
    EXPECT_TRUE(iou_matrix(problem.options, {boxes1.const_tensor(), boxes2.const_tensor()},
                           {values.tensor()}, Execution::cuda(stream.get()))
                    .ok());
    stream.synchronize();
    return values.download();
  };
  jobs.push_back(make_job<HostTensor>("iou_matrix on a device", on_device, same));
  const IouLossProblem losses =
      random_iou_loss_problem(random, 300, BoxDistribution::clustered, IouLossOptions());
  jobs.push_back(make_job<HostTensor>(
      "iou_loss, reference", [losses] { return reference_iou_loss(losses).grad_boxes1; }, same));
  const auto loss_on_cpu = [losses] {
    IouLossResult result = make_iou_loss_result(losses);
    IouLossOutput output;
    output.grad_boxes1 = result.grad_boxes1.tensor();
    EXPECT_TRUE(iou_loss(losses.options, losses.input(), output, Execution::cpu(2)).ok());
    return result.grad_boxes1;
  };
  jobs.push_back(make_job<HostTensor>("iou_loss, CPU mode", loss_on_cpu, same));
}

void add_matching(std::vector<Job>& jobs) {
  Random random(3);
  const MatchProblem problem = random_match_problem(
      random, 200, {20, 0, 30}, BoxDistribution::clustered, random_match_options(random));
  const auto same = [](const HostTensor& got, const HostTensor& expected) {
    return bool{same_bits(got, expected)};
  };
  jobs.push_back(make_job<HostTensor>(
      "match_boxes, reference", [problem] { return reference_match(problem).matches; }, same));
  const auto on_cpu = [problem] {
    MatchResult result = make_match_result(problem);
    EXPECT_TRUE(
        match_boxes(problem.options, problem.input(), result.output(), Execution::cpu(2)).ok());
    return result.matches;
  };
  jobs.push_back(make_job<HostTensor>("match_boxes, CPU mode", on_cpu, same));
}

void add_focal_loss(std::vector<Job>& jobs) {
  Random random(4);
  const auto same = [](const FocalResult& got, const FocalResult& expected) {
    return bool{same_bits(got, expected)};
  };
  const SigmoidProblem sigmoid = random_class_problem(random, DataType::float32, FocalLayout::rows,
                                                      {{2, 1, 5, 6, 7}, {2, 1, 5, 3, 4}});
  const auto on_cpu = [sigmoid] {
    FocalResult result = make_result(sigmoid);
    EXPECT_TRUE(sigmoid_focal_loss(sigmoid.options, sigmoid.input(), result.sigmoid_output(),
                                   Execution::cpu(2))
                    .ok());
    return result;
  };
  jobs.push_back(make_job<FocalResult>("sigmoid_focal_loss, CPU mode", on_cpu, same));
  jobs.push_back(make_job<FocalResult>(
      "sigmoid_focal_loss, reference", [sigmoid] { return reference_result(sigmoid); }, same));
  const auto on_device = [sigmoid] {
    const DeviceFocal device(sigmoid);
    const Stream stream;
    EXPECT_TRUE(device.enqueue(stream.get()).ok());
    stream.synchronize();
    return device.download();
  };
  jobs.push_back(make_job<FocalResult>("sigmoid_focal_loss on a device", on_device, same));
  for (const bool distribution : {false, true}) {
    const RowsProblem rows = random_rows_problem(random, DataType::float32, 40, 17, distribution);
    jobs.push_back(make_job<FocalResult>(
        distribution ? "distribution_focal_loss, reference" : "softmax_focal_loss, reference",
        [rows] { return reference_result(rows); }, same));
  }
}

DepthwiseProblem random_problem_of(Random& random, const DepthwiseSizes& sizes) {
  DepthwiseProblem problem = random_problem(
      random, DataType::float32, with_same_padding(DepthwiseConvOptions(), sizes), sizes);
  add_gradient(random, problem);
  return problem;
}

void add_depthwise_conv(std::vector<Job>& jobs) {
  Random random(5);
  const DepthwiseProblem problem = random_problem_of(random, {2, 3, 9, 10, 3, 3, 1});
  // Of a small one a single thread takes all.
  const DepthwiseProblem large = random_problem_of(random, {2, 160, 15, 17, 3, 3, 1});
  const auto same = [](const HostTensor& got, const HostTensor& expected) {
    return bool{same_bits(got, expected)};
  };
  jobs.push_back(make_job<HostTensor>(
      "depthwise_conv, reference", [problem] { return reference_result(problem).y; }, same));
  jobs.push_back(make_job<HostTensor>(
      "depthwise_conv_backward, reference",
      [problem] { return reference_gradients(problem).grad_weight; }, same));
  const auto on_cpu = [large] {
    DepthwiseResult result = make_result(large);
    EXPECT_TRUE(
        depthwise_conv(large.options, large.input(), result.output(), Execution::cpu(2)).ok());
    return result.y;
  };
  jobs.push_back(make_job<HostTensor>("depthwise_conv, CPU mode", on_cpu, same));
  const auto gradients_on_cpu = [large] {
    DepthwiseGradients gradients = make_gradients(large);
    EXPECT_TRUE(depthwise_conv_backward(large.options, large.backward_input(), gradients.output(),
                                        Execution::cpu(2))
                    .ok());
    return gradients.grad_weight;
  };
  jobs.push_back(make_job<HostTensor>("depthwise_conv_backward, CPU mode", gradients_on_cpu, same));
  const auto on_device = [problem] {
    const DeviceDepthwise device(problem);
    const Stream stream;
    EXPECT_TRUE(device.enqueue(stream.get()).ok());
    stream.synchronize();
    return device.download().y;
  };
  jobs.push_back(make_job<HostTensor>("depthwise_conv on a device", on_device, same));
}

/// Sizes alone: all four families.
void add_workspace_sizes(std::vector<Job>& jobs) {
  Random random(6);
  const NmsProblem problem = random_nms_problem(random, 2000, 3);
  const MatchProblem matching =
      random_match_problem(random, 500, {20, 30}, BoxDistribution::clustered, MatchOptions());
  const auto sizes = [problem, matching] {
    std::size_t nms_bytes = 0;
    EXPECT_TRUE(nms_workspace_size(problem.options, problem.input(), &nms_bytes).ok());
    std::size_t match_bytes = 0;
    MatchResult result = make_match_result(matching);
    EXPECT_TRUE(match_boxes_workspace_size(matching.options, matching.input(), result.output(),
                                           &match_bytes)
                    .ok());
    return std::vector<std::size_t>{nms_bytes, match_bytes};
  };
  jobs.push_back(make_job<std::vector<std::size_t>>("workspace sizes", sizes, std::equal_to<>()));
}

TEST(Concurrency, ManyThreadsCallEverything) {
  std::vector<Job> jobs;
  add_nms(jobs);
  add_iou(jobs);
  add_matching(jobs);
  add_focal_loss(jobs);
  add_depthwise_conv(jobs);
  add_workspace_sizes(jobs);
  std::vector<std::atomic<int>> wrong(jobs.size());
  std::atomic<int> waiting{kThreads};
  const auto work = [&](std::size_t first) {
    --waiting;
    while (waiting.load() > 0)
      std::this_thread::yield();
    // Every thread begins with another call.
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const std::size_t number = (first + i) % jobs.size();
      wrong[number] += jobs[number].repeat() ? 0 : 1;
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i)
    threads.emplace_back(work, i);
  for (std::thread& thread : threads)
    thread.join();
  for (std::size_t i = 0; i < jobs.size(); ++i)
    EXPECT_EQ(wrong[i].load(), 0) << jobs[i].name;
}

}  // namespace
}  // namespace cudet::test
