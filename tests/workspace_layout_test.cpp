#include "../src/workspace_layout.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace cudet {
namespace {

constexpr std::size_t kAlignment = WorkspaceLayout::kAlignment;
constexpr std::size_t kLargestSize = std::numeric_limits<std::size_t>::max();

TEST(WorkspaceLayout, NeedsNothingWhereNothingIsReserved) {
  WorkspaceLayout layout;
  EXPECT_TRUE(layout.ok());
  EXPECT_EQ(layout.total(), 0u);
  EXPECT_EQ(layout.add(0, 8), 0u);
  EXPECT_TRUE(layout.ok());
  EXPECT_EQ(layout.total(), 0u);
}

TEST(WorkspaceLayout, PiecesAreAlignedAndApart) {
  struct Piece {
    std::int64_t count;
    std::size_t element_size;
  };
  const Piece pieces[] = {{1, 1}, {255, 1}, {256, 1}, {257, 1},
                          {0, 4}, {100, 4}, {3, 8},   {64, 512}};
  WorkspaceLayout layout;
  std::size_t end = 0;
  for (const Piece& piece : pieces) {
    const std::size_t offset = layout.add(piece.count, piece.element_size);
    EXPECT_EQ(offset % kAlignment, 0u);
    EXPECT_GE(offset, end);
    end = offset + static_cast<std::size_t>(piece.count) * piece.element_size;
  }
  EXPECT_TRUE(layout.ok());
  EXPECT_GE(layout.total(), end);
}

TEST(WorkspaceLayout, TotalServesEveryAddress) {
  WorkspaceLayout layout;
  (void)layout.add(10, 4);
  const std::size_t last = layout.add(1000, 1);
  std::vector<char> buffer(layout.total() + kAlignment);
  for (std::size_t start = 0; start < kAlignment; ++start) {
    char* begin = buffer.data() + start;
    char* aligned = WorkspaceLayout::align(begin);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned) % kAlignment, 0u);
    EXPECT_GE(aligned, begin);
    EXPECT_LE(aligned + last + 1000, begin + layout.total());
  }
}

TEST(WorkspaceLayout, AlignKeepsAnAlignedAddress) {
  alignas(256) char buffer[512];
  EXPECT_EQ(WorkspaceLayout::align(buffer), buffer);
  EXPECT_EQ(WorkspaceLayout::align(buffer + 1), buffer + 256);
}

TEST(WorkspaceLayout, CountsBeyond32Bits) {
  for (const std::int64_t count :
       {(std::int64_t{1} << 31) - 1, std::int64_t{1} << 31, std::int64_t{1} << 32,
        (std::int64_t{1} << 32) + 1, std::int64_t{1} << 40}) {
    for (const std::size_t element_size : {std::size_t{1}, std::size_t{8}, std::size_t{4096}}) {
      WorkspaceLayout layout;
      (void)layout.add(count, element_size);
      const std::size_t behind = layout.add(1, 1);
      EXPECT_TRUE(layout.ok());
      EXPECT_GE(behind, static_cast<std::size_t>(count) * element_size);
      EXPECT_LT(behind, static_cast<std::size_t>(count) * element_size + kAlignment);
    }
  }
}

TEST(WorkspaceLayout, OverflowOfAProductShows) {
  for (const std::size_t element_size : {std::size_t{8}, std::size_t{512}, kLargestSize}) {
    WorkspaceLayout layout;
    (void)layout.add(std::int64_t{1} << 61, element_size);
    EXPECT_FALSE(layout.ok());
  }
}

TEST(WorkspaceLayout, OverflowOfRoundingUpShows) {
  WorkspaceLayout layout;
  (void)layout.add(1, kLargestSize);
  EXPECT_FALSE(layout.ok());
}

TEST(WorkspaceLayout, OverflowOfASumShowsAndSticks) {
  WorkspaceLayout layout;
  (void)layout.add(std::int64_t{1} << 62, 2);
  EXPECT_TRUE(layout.ok());
  (void)layout.add(std::int64_t{1} << 62, 2);
  EXPECT_FALSE(layout.ok());
  (void)layout.add(1, 1);
  EXPECT_FALSE(layout.ok());
}

TEST(WorkspaceLayout, LargestTotalDoesNotWrap) {
  WorkspaceLayout layout;
  (void)layout.add(1, kLargestSize - kAlignment + 1);
  EXPECT_TRUE(layout.ok());
  EXPECT_GE(layout.total(), kLargestSize - kAlignment + 1);
}

TEST(WorkspaceLayout, RefusesNegativeCounts) {
  for (const std::int64_t count : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()}) {
    WorkspaceLayout layout;
    (void)layout.add(count, 1);
    EXPECT_FALSE(layout.ok());
  }
}

}  // namespace
}  // namespace cudet
