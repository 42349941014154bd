// nms_workspace_size() over all sizes, and what nms() says to a workspace that does not suffice.

#include <cudet/nms.h>

#include "support/host_tensor.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

NmsInput shapes(std::int64_t batch, std::int64_t n, bool with_classes = false) {
  NmsInput input;
  input.boxes = Tensor(static_cast<const float*>(nullptr), {batch, n, 4});
  input.scores = Tensor(static_cast<const float*>(nullptr), {batch, n});
  if (with_classes) {
    input.classes = Tensor(static_cast<const std::int64_t*>(nullptr), {batch, n});
  }
  return input;
}

std::size_t workspace_bytes(std::int64_t batch, std::int64_t n, bool with_classes = false) {
  std::size_t bytes = 1;
  const Status status = nms_workspace_size(NmsOptions(), shapes(batch, n, with_classes), &bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  return bytes;
}

TEST(NmsWorkspaceSize, IsMonotone) {
  const std::vector<std::int64_t> sizes = {0,    1,    63,   64,   65,   1023, 1024,   1025,
                                           2048, 4095, 4096, 4097, 8192, 8193, 100000, 1000000};
  for (const bool with_classes : {false, true}) {
    for (std::size_t i = 1; i < sizes.size(); ++i) {
      for (const std::int64_t batch : {0, 1, 2, 8, 65, 512}) {
        EXPECT_LE(workspace_bytes(batch, sizes[i - 1], with_classes),
                  workspace_bytes(batch, sizes[i], with_classes))
            << "batch " << batch << ", n " << sizes[i];
        EXPECT_LE(workspace_bytes(batch, sizes[i], with_classes),
                  workspace_bytes(batch + 1, sizes[i], with_classes))
            << "batch " << batch << ", n " << sizes[i];
      }
    }
  }
}

TEST(NmsWorkspaceSize, IsMonotoneInRandomSteps) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t n = random.integer(0, 20000);
    const std::int64_t batch = random.integer(0, 1000);
    EXPECT_LE(workspace_bytes(batch, n),
              workspace_bytes(batch + random.integer(0, 64), n + random.integer(0, 5000)));
  }
}

TEST(NmsWorkspaceSize, KeepsTheDocumentedBound) {
  for (const std::int64_t n : {1, 1024, 1025, 4096, 4097, 50000, 2000000, 2147483583}) {
    for (const std::int64_t batch : {1, 2, 65, 1000}) {
      if (batch * n >= std::int64_t{1} << 31) continue;
      const double bound =
          64.0 * static_cast<double>(batch * n) + 1.1e6 * static_cast<double>(batch);
      EXPECT_LE(static_cast<double>(workspace_bytes(batch, n, true)), bound)
          << "batch " << batch << ", n " << n;
    }
  }
}

TEST(NmsWorkspaceSize, KeepsTheDocumentedBoundWithEveryMethod) {
  for (const NmsMethod method :
       {NmsMethod::greedy, NmsMethod::soft_linear, NmsMethod::matrix_linear, NmsMethod::weighted}) {
    for (const BoxFormat format : {BoxFormat::xyxy, BoxFormat::rotated}) {
      if (method == NmsMethod::weighted && format == BoxFormat::rotated) continue;
      for (const std::int64_t n : {1, 1024, 1025, 4097, 100000, 2147483583}) {
        NmsOptions options;
        options.method = method;
        options.format = format;
        NmsInput input = shapes(1, n, true);
        input.boxes = Tensor(static_cast<const float*>(nullptr), {1, n, numbers_of(format)});
        std::size_t bytes = 0;
        ASSERT_TRUE(nms_workspace_size(options, input, &bytes).ok());
        EXPECT_LE(static_cast<double>(bytes), 64.0 * static_cast<double>(n) + 1.1e6)
            << to_string(method) << " " << to_string(format) << ", n " << n;
      }
    }
  }
}

TEST(NmsWorkspaceSize, AHundredThousandBoxesNeedAMegabyteAndSixtyFourBytesEach) {
  EXPECT_LE(workspace_bytes(1, 100000, true), std::size_t{64} * 100000 + (std::size_t{1} << 20));
}

TEST(NmsWorkspaceSize, DoesNotDependOnTheLimit) {
  NmsOptions options;
  std::size_t without_limit = 0;
  ASSERT_TRUE(nms_workspace_size(options, shapes(2, 5000), &without_limit).ok());
  for (const std::int64_t limit : {0, 1, 100, 5000, 6000}) {
    options.max_outputs = limit;
    std::size_t bytes = 0;
    ASSERT_TRUE(nms_workspace_size(options, shapes(2, 5000), &bytes).ok());
    EXPECT_LE(bytes, without_limit);
  }
}

TEST(NmsWorkspaceSize, LargestShapes) {
  EXPECT_GT(workspace_bytes(1, 2147483583), std::size_t{2147483583} * 28);
  EXPECT_GT(workspace_bytes(2000000, 1073), std::size_t{2000000} * 1073 * 28);
}

TEST(NmsWorkspaceSize, RefusesWhatKernelsCannotIndex) {
  struct Case {
    std::int64_t batch, n;
  };
  for (const Case& c :
       {Case{1, 2147483584}, Case{1, 2147483648}, Case{2, 1073741824}, Case{2147483648, 1},
        Case{65536, 32768}, Case{1, 4294967296}, Case{4294967296, 0},
        Case{1, std::int64_t{1} << 58}, Case{std::int64_t{1} << 40, std::int64_t{1} << 18}}) {
    SCOPED_TRACE("batch " + std::to_string(c.batch) + ", n " + std::to_string(c.n));
    std::size_t bytes = 777;
    const Status status = nms_workspace_size(NmsOptions(), shapes(c.batch, c.n), &bytes);
    EXPECT_STREQ(to_string(status.code()), "unsupported");
    EXPECT_NE(std::string(status.message()).find("nms: "), std::string::npos);
    EXPECT_EQ(bytes, 777u);
  }
}

TEST(NmsWorkspaceSize, NamesTheLimit) {
  std::size_t bytes = 0;
  const Status status = nms_workspace_size(NmsOptions(), shapes(65536, 32768), &bytes);
  EXPECT_STREQ(status.message(),
               "nms: batch * n must be below 2^31 on a device, got 65536 * 32768");
  NmsOptions options;
  options.max_outputs = std::int64_t{1} << 30;
  const Status slots = nms_workspace_size(options, shapes(2, 10), &bytes);
  EXPECT_STREQ(slots.message(),
               "nms: batch * max_outputs must be below 2^31 on a device, got 2 * 1073741824");
  EXPECT_STREQ(to_string(slots.code()), "unsupported");
}

/// A call that needs a workspace. The arrays are in host memory: it must be refused before anything
/// is launched.
struct LargeCall {
  static constexpr std::int64_t kN = 1500;
  HostTensor boxes =
      HostTensor::of_reals(DataType::float32, {1, kN, 4}, std::vector<float>(4 * kN, 1.0f));
  HostTensor scores =
      HostTensor::of_reals(DataType::float32, {1, kN}, std::vector<float>(kN, 0.5f));
  HostTensor count = HostTensor(DataType::int32, {1});

  Status run(void* workspace, std::size_t bytes) {
    NmsInput input;
    input.boxes = boxes.const_tensor();
    input.scores = scores.const_tensor();
    NmsOutput output;
    output.count = count.tensor();
    return nms(NmsOptions(), input, output, Execution::cuda(nullptr, workspace, bytes));
  }
};

TEST(NmsWorkspace, OneByteTooSmall) {
  const std::size_t required = workspace_bytes(1, LargeCall::kN);
  ASSERT_GT(required, 0u);
  std::vector<char> memory(required);
  LargeCall call;
  for (const std::size_t bytes : {std::size_t{0}, required / 2, required - 1}) {
    const Status status = call.run(memory.data(), bytes);
    EXPECT_STREQ(to_string(status.code()), "invalid_argument");
    EXPECT_EQ(status.message(), "nms: workspace must have " + std::to_string(required) +
                                    " bytes or more, got " + std::to_string(bytes));
    EXPECT_TRUE(call.count.is_all_poison());
  }
}

TEST(NmsWorkspace, NullPointer) {
  const std::size_t required = workspace_bytes(1, LargeCall::kN);
  LargeCall call;
  const Status status = call.run(nullptr, required);
  EXPECT_STREQ(to_string(status.code()), "invalid_argument");
  EXPECT_EQ(status.message(), "nms: workspace must have " + std::to_string(required) +
                                  " bytes or more, got a null pointer");
  EXPECT_TRUE(call.count.is_all_poison());
}

}  // namespace
}  // namespace cudet::test
