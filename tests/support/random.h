// Seeded random inputs. The seed comes from the environment variable CUDET_TEST_SEED or is a fixed
// default; a test that puts
//   SCOPED_TRACE(random.trace());
// prints on failure how to run the same case again.
#pragma once

#include <cudet/box.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace cudet::test {

/// Seed of this run of the test program.
std::uint64_t test_seed();

/// Factor from the environment variable CUDET_TEST_SCALE, 1 by default, by which slow builds shrink
/// their number of random cases.
double test_scale();

/// `count` scaled by test_scale(), at least 1.
int scaled(int count);

/// Which of a test's cases to run: all of them, or where test_scale() is below 1 every k-th, with k
/// the square root of its reciprocal. A test of several rows gives each another `first`, so that
/// together they leave out less.
class SomeCases {
 public:
  explicit SomeCases(std::int64_t first = 0);
  bool takes_next();

 private:
  std::int64_t step_;
  std::int64_t next_;
};

/// Random numbers that are the same with every standard library.
class Random {
 public:
  /// Different streams of one seed are independent of each other.
  explicit Random(std::uint64_t stream);

  /// In [low, high).
  double uniform(double low, double high);
  float uniform_float(float low, float high) { return static_cast<float>(uniform(low, high)); }
  /// In low ... high, both included.
  std::int64_t integer(std::int64_t low, std::int64_t high);
  bool chance(double probability) { return uniform(0.0, 1.0) < probability; }
  template <class T>
  const T& pick(const std::vector<T>& values) {
    return values[static_cast<std::size_t>(
        integer(0, static_cast<std::int64_t>(values.size()) - 1))];
  }
  std::vector<std::int64_t> permutation(std::int64_t count);

  /// Seed and stream, and how to run the current test again with them.
  std::string trace() const;

 private:
  std::uint64_t stream_;
  std::mt19937_64 engine_;
};

enum class BoxDistribution {
  uniform,       ///< sizes and places uniform in an image of 640 x 480
  clustered,     ///< many boxes round few centres, as detectors give them
  integer_grid,  ///< small integer corners: duplicates, zero areas, IoUs that are small fractions
  special        ///< NaN, infinite, inverted, empty, huge and tiny boxes among clustered ones
};
inline constexpr int kBoxDistributions = 4;

enum class ScoreDistribution {
  uniform,  ///< in [0, 1), nearly all distinct
  ties,     ///< few distinct values, -0 and 0 among them
  special   ///< ties, NaN, infinities, subnormal and negative numbers
};
inline constexpr int kScoreDistributions = 3;

/// [count, 4] boxes as four numbers in `format`; the distributions describe their corners.
std::vector<float> random_boxes(Random& random, BoxDistribution distribution, std::int64_t count,
                                BoxFormat format = BoxFormat::xyxy);

std::vector<float> random_scores(Random& random, ScoreDistribution distribution,
                                 std::int64_t count);

}  // namespace cudet::test
