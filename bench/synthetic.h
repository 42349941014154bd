// Made-up candidates with the statistics of a detector's output, the same on every machine.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace cudet::bench {

/// Random numbers that are the same with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  float uniform(float low, float high);
  /// In 0 ... count - 1.
  std::int64_t below(std::int64_t count);
  /// Mean 0, standard deviation 1: the sum of 12 uniform numbers, less 6.
  float normal();

 private:
  std::mt19937_64 engine_;
};

struct Candidates {
  std::vector<float> boxes;  ///< [count, 4], xyxy in pixels
  std::vector<float> scores;
  std::vector<std::int32_t> classes;
};

/// Corners and sizes uniform in an image of 1024 x 1024, sides of 8 to 128, all classes alike: few
/// boxes overlap, so that most stay.
Candidates uniform_candidates(Random& random, std::int64_t count, std::int32_t classes = 1);

/// What a dense head gives: nine boxes of ten lie round one of `objects` objects of the image,
/// scattered by a tenth of its size and with scores that fall with the distance; the tenth is
/// background with a low score. An object has one class, and one candidate in twenty a wrong one.
Candidates clustered_candidates(Random& random, std::int64_t count, std::int64_t objects,
                                std::int32_t classes = 1);

/// Scores [count, classes] of a head: of the candidate's class its own, of the others what a
/// trained head leaves there, one in fifty above 0.03.
std::vector<float> dense_scores(Random& random, const Candidates& candidates, std::int32_t classes);

}  // namespace cudet::bench
