// Statistics and number formats of gpu_bench.
#include "../measure.h"
#include "../table.h"

#include <gtest/gtest.h>

#include <cmath>

namespace cudet::bench {
namespace {

TEST(Statistics, QuartilesAreInterpolated) {
  const Summary summary = summarize({4.0, 1.0, 3.0, 2.0});
  EXPECT_EQ(summary.samples, 4);
  EXPECT_DOUBLE_EQ(summary.median, 2.5);
  EXPECT_DOUBLE_EQ(summary.spread, (3.25 - 1.75) / 2.5);
}

TEST(Statistics, OutliersDoNotMoveMedianOrSpread) {
  const Summary calm = summarize({10.0, 10.0, 11.0, 11.0, 12.0, 12.0, 13.0});
  const Summary disturbed = summarize({10.0, 10.0, 11.0, 11.0, 12.0, 12.0, 1e6});
  EXPECT_DOUBLE_EQ(calm.median, disturbed.median);
  EXPECT_DOUBLE_EQ(calm.spread, disturbed.spread);
}

TEST(Statistics, OneSampleHasNoSpread) {
  const Summary summary = summarize({3.0});
  EXPECT_EQ(summary.samples, 1);
  EXPECT_DOUBLE_EQ(summary.median, 3.0);
  EXPECT_DOUBLE_EQ(summary.spread, 0.0);
}

TEST(Statistics, NothingIsNoSamples) {
  EXPECT_EQ(summarize({}).samples, 0);
}

TEST(Statistics, RepeatedMeasurementsShowTheirRange) {
  const Summary combined = combine({{5, 10.0, 0.01}, {7, 12.0, 0.02}, {9, 11.0, 0.03}});
  EXPECT_EQ(combined.samples, 21);
  EXPECT_DOUBLE_EQ(combined.median, 11.0);
  EXPECT_DOUBLE_EQ(combined.spread, 2.0 / 11.0);
  EXPECT_DOUBLE_EQ(combine({{5, 10.0, 0.25}, {5, 10.0, 0.5}}).spread, 0.5);
  EXPECT_EQ(combine({}).samples, 0);
}

TEST(Measure, EqualSamplesStopAtTheMinimum) {
  Sampling sampling;
  sampling.warm_up = 3;
  sampling.min_samples = 7;
  sampling.min_seconds = 0.0;
  int calls = 0;
  const Summary summary = measure(sampling, [&calls] {
    ++calls;
    return 1.0;
  });
  EXPECT_EQ(summary.samples, 7);
  EXPECT_EQ(calls, 10);
}

TEST(Measure, ScatteredSamplesStopAtTheMaximum) {
  Sampling sampling;
  sampling.min_samples = 5;
  sampling.max_samples = 50;
  sampling.min_seconds = 0.0;
  sampling.max_seconds = 1e9;
  int calls = 0;
  const Summary summary = measure(sampling, [&calls] { return calls++ % 2 == 0 ? 1.0 : 9.0; });
  EXPECT_EQ(summary.samples, 50);
}

TEST(Measure, TimeEndsAMeasurementThatDoesNotSettle) {
  Sampling sampling;
  sampling.min_samples = 5;
  sampling.min_seconds = 0.0;
  sampling.max_seconds = 0.0;
  int calls = 0;
  const Summary summary = measure(sampling, [&calls] { return calls++ % 2 == 0 ? 1.0 : 9.0; });
  EXPECT_EQ(summary.samples, 5);
}

TEST(Format, FourDigitsAndAUnit) {
  EXPECT_EQ(format_seconds(5.4321e-9), "5.432 ns");
  EXPECT_EQ(format_seconds(12.3456e-6), "12.35 us");
  EXPECT_EQ(format_seconds(0.2), "200.0 ms");
  EXPECT_EQ(format_seconds(1234.5), "1234.5 s");
  EXPECT_EQ(format_bytes(0.0), "0.00 B");
  EXPECT_EQ(format_bytes(1350000.0), "1.35 MB");
}

}  // namespace
}  // namespace cudet::bench
