// Comparison with an earlier run: what counts as a change.
#include "../compare.h"

#include <gtest/gtest.h>

namespace cudet::bench {
namespace {

Result timed(const std::string& name, double median, double spread = 0.0, int samples = 100) {
  Result result;
  result.name = name;
  result.outcome = Outcome::timed;
  result.times.warm = {samples, median, spread};
  return result;
}

Change change_between(const Result& before, const Result& now, double tolerance) {
  const std::vector<Comparison> rows = compare({"", {before}}, {now}, tolerance);
  return rows.size() == 1 ? rows[0].change : Change::none;
}

TEST(Compare, ToleranceIsRelativeToTheEarlierTime) {
  const Result before = timed("a", 100.0);
  EXPECT_EQ(change_between(before, timed("a", 104.0), 0.05), Change::none);
  EXPECT_EQ(change_between(before, timed("a", 106.0), 0.05), Change::slower);
  EXPECT_EQ(change_between(before, timed("a", 94.0), 0.05), Change::faster);
  EXPECT_EQ(change_between(before, timed("a", 106.0), 0.1), Change::none);
}

TEST(Compare, ScatterIsNoChange) {
  // The notch of 1.57 x 0.5 / sqrt(25) is 16 % of each median, 22 % of both together.
  const Result before = timed("a", 100.0, 0.5, 25);
  EXPECT_EQ(change_between(before, timed("a", 120.0, 0.5, 25), 0.0), Change::none);
  EXPECT_EQ(change_between(before, timed("a", 130.0, 0.5, 25), 0.0), Change::slower);
}

TEST(Compare, OnlyWhatBothRunsTimed) {
  Result failed = timed("c", 0.0);
  failed.outcome = Outcome::failed;
  const std::vector<Comparison> rows = compare({"", {timed("a", 1.0), timed("c", 1.0)}},
                                               {timed("b", 1.0), failed, timed("a", 3.0)}, 0.05);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].name, "a");
  EXPECT_DOUBLE_EQ(rows[0].before.median, 1.0);
  EXPECT_DOUBLE_EQ(rows[0].now.median, 3.0);
}

TEST(Compare, UnreadableFilesSayWhy) {
  EXPECT_THROW(read_earlier_run("/nowhere/before.json"), std::runtime_error);
}

}  // namespace
}  // namespace cudet::bench
