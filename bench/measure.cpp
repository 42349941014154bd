#include "measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <utility>

namespace cudet::bench {
namespace {

double quantile(const std::vector<double>& sorted, double fraction) {
  const double position = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - std::floor(position)) * (sorted[above] - sorted[below]);
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

double Summary::median_error() const {
  return 1.57 * spread / std::sqrt(static_cast<double>(samples));
}

Summary summarize(std::vector<double> values) {
  Summary summary;
  if (values.empty()) return summary;
  std::sort(values.begin(), values.end());
  summary.samples = static_cast<int>(values.size());
  summary.median = quantile(values, 0.5);
  if (summary.median > 0.0) {
    summary.spread = (quantile(values, 0.75) - quantile(values, 0.25)) / summary.median;
  }
  return summary;
}

Summary combine(const std::vector<Summary>& summaries) {
  std::vector<double> medians;
  Summary combined;
  double widest = 0.0;
  for (const Summary& summary : summaries) {
    medians.push_back(summary.median);
    combined.samples += summary.samples;
    widest = std::max(widest, summary.spread);
  }
  if (medians.empty()) return combined;
  std::sort(medians.begin(), medians.end());
  combined.median = quantile(medians, 0.5);
  if (combined.median > 0.0) {
    combined.spread = std::max(widest, (medians.back() - medians.front()) / combined.median);
  }
  return combined;
}

Summary measure(const Sampling& sampling, const std::function<double()>& sample) {
  for (int i = 0; i < sampling.warm_up; ++i)
    (void)sample();
  std::vector<double> values;
  const auto begin = std::chrono::steady_clock::now();
  double next_look = sampling.min_seconds;
  while (static_cast<int>(values.size()) < sampling.max_samples) {
    values.push_back(sample());
    if (static_cast<int>(values.size()) < sampling.min_samples) continue;
    const double elapsed = seconds_since(begin);
    if (elapsed >= sampling.max_seconds) break;
    if (elapsed < next_look) continue;
    if (summarize(values).median_error() <= sampling.precision) break;
    next_look = elapsed + 0.1 * sampling.min_seconds;  // sorting must not eat the time
  }
  return summarize(std::move(values));
}

}  // namespace cudet::bench
