// Calls whose launches or allocations fail. With the environment variable CUDET_EXPECT_FAULTS=1 an
// injector outside this program makes CUDA runtime calls fail: every call must then answer with ok
// or with cuda_error and a message. On the emulated device the tests inject failures themselves.

#include <cudet/iou.h>
#include <cudet/nms.h>

#include "support/device_nms.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#if defined(CUDET_EMULATED)
#include "../cuda/emulation/device.h"
#endif

namespace cudet::test {
namespace {

bool faults_expected() {
  const char* text = std::getenv("CUDET_EXPECT_FAULTS");
  return text != nullptr && std::string(text) == "1";
}

NmsProblem nms_problem(std::int64_t n) {
  Random random(static_cast<std::uint64_t>(n));
  return make_nms_problem(random_boxes(random, BoxDistribution::clustered, n),
                          random_scores(random, ScoreDistribution::uniform, n), 0.5f);
}

/// An IoU matrix of `n` boxes with themselves.
class DeviceIou {
 public:
  explicit DeviceIou(std::int64_t n)
      : boxes_(nms_problem(n).boxes), values_(HostTensor(DataType::float32, {1, n, n})) {}

  Status enqueue(cudaStream_t stream) const {
    const IouMatrixInput input = {boxes_.const_tensor(), boxes_.const_tensor()};
    return iou_matrix(IouMatrixOptions(), input, {values_.tensor()}, Execution::cuda(stream));
  }

 private:
  DeviceTensor boxes_;
  DeviceTensor values_;
};

void expect_ok_or_fault(const std::string& operation, const Status& status) {
  if (faults_expected() && status.code() == StatusCode::cuda_error) {
    EXPECT_EQ(std::string(status.message()).rfind(operation + ": ", 0), 0u) << status.message();
    return;
  }
  EXPECT_TRUE(status.ok()) << status.message();
}

/// Runs a whole test body; a failure of the test's own CUDA calls is no failure of the library.
void tolerate_faults_of_buffers(const std::function<void()>& body) {
  try {
    body();
  } catch (const CudaFailure& failure) {
    if (!faults_expected()) throw;
    std::printf("A buffer of the test was refused: %s\n", failure.what());
  }
}

TEST(FaultInjection, IouMatrix) {
  tolerate_faults_of_buffers([] {
    const DeviceIou call(300);
    for (int repetition = 0; repetition < 3; ++repetition)
      expect_ok_or_fault("iou_matrix", call.enqueue(nullptr));
    check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  });
}

class FaultInjectionNms : public testing::TestWithParam<std::int64_t> {};

TEST_P(FaultInjectionNms, AnswersWithAStatus) {
  tolerate_faults_of_buffers([] {
    const DeviceNms call(nms_problem(GetParam()));
    for (int repetition = 0; repetition < 3; ++repetition)
      expect_ok_or_fault("nms", call.enqueue(nullptr));
    check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  });
}
INSTANTIATE_TEST_SUITE_P(N, FaultInjectionNms, testing::Values(300, 3000),
                         testing::PrintToStringParamName());

#if defined(CUDET_EMULATED)
/// Lets the first, the second, ... launch of `enqueue` fail, each in a call of its own.
void fail_every_launch(const std::string& operation, const std::function<Status()>& enqueue) {
  emulation::mark();
  const Status undisturbed = enqueue();
  ASSERT_TRUE(undisturbed.ok()) << undisturbed.message();
  const int launches = emulation::counters().launches;
  ASSERT_GE(launches, 1);
  for (int n = 1; n <= launches; ++n) {
    SCOPED_TRACE("launch " + std::to_string(n) + " of " + std::to_string(launches));
    emulation::mark();
    emulation::fail_launch(n, cudaErrorLaunchOutOfResources);
    const Status status = enqueue();
    EXPECT_STREQ(to_string(status.code()), "cuda_error");
    const std::string message = status.message();
    EXPECT_EQ(message.rfind(operation + ": ", 0), 0u) << message;
    EXPECT_NE(message.find(" failed: cudaErrorLaunchOutOfResources"), std::string::npos) << message;
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "the error would surface in a later call";
    // Nothing is launched after the failure.
    EXPECT_LE(emulation::counters().launches, n);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    const Status again = enqueue();
    EXPECT_TRUE(again.ok()) << again.message();
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }
  emulation::reset();
}

TEST(FaultInjection, EveryLaunchOfIouMatrix) {
  const DeviceIou call(300);
  fail_every_launch("iou_matrix", [&] { return call.enqueue(nullptr); });
}

TEST_P(FaultInjectionNms, EveryLaunch) {
  const NmsProblem problem = nms_problem(GetParam());
  DeviceNms call(problem);
  fail_every_launch("nms", [&] { return call.enqueue(nullptr); });
  // Whatever the failures left in the workspace does not matter to the next call.
  call.poison();
  const Status status = call.enqueue(nullptr);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(same_result(call.download(), reference_result(problem)));
}
#endif

}  // namespace
}  // namespace cudet::test
