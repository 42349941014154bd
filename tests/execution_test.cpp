#include <cudet/cudet.h>

#include <gtest/gtest.h>

namespace cudet {
namespace {

TEST(Execution, OnTheCpu) {
  const Execution all = Execution::cpu();
  EXPECT_FALSE(all.is_cuda());
  EXPECT_EQ(all.threads(), 0);
  EXPECT_EQ(Execution::cpu(3).threads(), 3);
  EXPECT_EQ(all.workspace(), nullptr);
  EXPECT_EQ(all.workspace_bytes(), 0u);
}

TEST(Execution, OnAStream) {
  char memory[8];
  const auto stream = reinterpret_cast<cudaStream_t>(memory);
  const Execution execution = Execution::cuda(stream, memory, sizeof(memory));
  EXPECT_TRUE(execution.is_cuda());
  EXPECT_EQ(execution.stream(), stream);
  EXPECT_EQ(execution.workspace(), static_cast<void*>(memory));
  EXPECT_EQ(execution.workspace_bytes(), sizeof(memory));

  const Execution without_workspace = Execution::cuda(nullptr);
  EXPECT_TRUE(without_workspace.is_cuda());
  EXPECT_EQ(without_workspace.stream(), nullptr);
  EXPECT_EQ(without_workspace.workspace(), nullptr);
  EXPECT_EQ(without_workspace.workspace_bytes(), 0u);
}

TEST(Version, OfTheLibraryIsThatOfTheHeaders) {
  EXPECT_EQ(version(), CUDET_VERSION);
  EXPECT_EQ(CUDET_VERSION,
            CUDET_VERSION_MAJOR * 10000 + CUDET_VERSION_MINOR * 100 + CUDET_VERSION_PATCH);
  EXPECT_LT(CUDET_VERSION_MINOR, 100);
  EXPECT_LT(CUDET_VERSION_PATCH, 100);
}

}  // namespace
}  // namespace cudet
