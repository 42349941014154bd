// Repeated measurement of one quantity and its robust statistics.
#pragma once

#include <functional>
#include <vector>

namespace cudet::bench {

/// When a measurement ends: never before min_samples, at the latest with max_samples or after
/// max_seconds; in between once min_seconds have passed and the median is known to `precision`.
struct Sampling {
  int warm_up = 1;  ///< samples that are thrown away first
  int min_samples = 20;
  int max_samples = 10000;
  double min_seconds = 0.5;
  double max_seconds = 2.5;
  double precision = 0.005;  ///< of the median, relative
};

struct Summary {
  int samples = 0;
  double median = 0.0;
  double spread = 0.0;  ///< interquartile range / median

  /// Half the width of the interval that holds the true median with a probability of about 95 %,
  /// relative to it: 1.57 IQR / sqrt(samples), the notch of McGill, Tukey and Larsen, "Variations
  /// of box plots", The American Statistician 32, 1978.
  double median_error() const;
};

/// Quartiles are interpolated linearly between the sorted values.
Summary summarize(std::vector<double> values);

/// Of several measurements of one quantity: the median of the medians, all samples, and as spread
/// the range of the medians, or the widest single spread where that is more.
Summary combine(const std::vector<Summary>& summaries);

/// Calls `sample`, which returns seconds, as long as `sampling` says.
Summary measure(const Sampling& sampling, const std::function<double()>& sample);

}  // namespace cudet::bench
