#include "random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <utility>

namespace cudet::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using BoxNumbers = std::array<float, 4>;

BoxNumbers uniform_box(Random& random) {
  const double x = random.uniform(0.0, 600.0);
  const double y = random.uniform(0.0, 440.0);
  return {static_cast<float>(x), static_cast<float>(y),
          static_cast<float>(x + random.uniform(1.0, 200.0)),
          static_cast<float>(y + random.uniform(1.0, 200.0))};
}

BoxNumbers clustered_box(Random& random, const BoxNumbers& centre) {
  const float width = centre[2] - centre[0];
  const float height = centre[3] - centre[1];
  BoxNumbers box = centre;
  for (std::size_t i = 0; i < 4; ++i) {
    const float size = i % 2 == 0 ? width : height;
    box[i] += random.uniform_float(-0.2f, 0.2f) * size;
  }
  return box;
}

BoxNumbers integer_box(Random& random) {
  const auto x = static_cast<float>(random.integer(0, 12));
  const auto y = static_cast<float>(random.integer(0, 12));
  return {x, y, x + static_cast<float>(random.integer(0, 8)),
          y + static_cast<float>(random.integer(0, 8))};
}

BoxNumbers special_box(Random& random, const BoxNumbers& ordinary) {
  BoxNumbers box = ordinary;
  const auto corner = static_cast<std::size_t>(random.integer(0, 3));
  switch (random.integer(0, 12)) {
    case 0:
      box[corner] = kNaN;
      break;
    case 1:
      box[corner] = random.chance(0.5) ? kInfinity : -kInfinity;
      break;
    case 2:
      std::swap(box[0], box[2]);  // inverted in x
      break;
    case 3:
      std::swap(box[1], box[3]);
      break;
    case 4:
      std::swap(box[0], box[2]);
      std::swap(box[1], box[3]);
      break;
    case 5:
      box[2] = box[0];  // zero width
      break;
    case 6:
      box = {box[0], box[1], box[0], box[1]};  // a point
      break;
    case 7:
      box = {-0x1p62f, -0x1p62f, 0x1p62f, 0x1p62f};  // the largest valid one
      break;
    case 8:
      box[corner] = std::nextafterf(0x1p62f, kInfinity) * (corner < 2 ? -1.0f : 1.0f);
      break;
    case 9:
      box = {-3e38f, -3e38f, 3e38f, 3e38f};
      break;
    case 10:
      box = {1e-30f, 1e-30f, 2e-30f, 3e-30f};  // the area is below the smallest subnormal number
      break;
    case 11:
      box = {-0.0f, 0.0f, 1e-20f, 1e-20f};  // the area is subnormal
      break;
    default:
      break;
  }
  return box;
}

BoxNumbers in_format(const BoxNumbers& corners, BoxFormat format) {
  const float width = corners[2] - corners[0];
  const float height = corners[3] - corners[1];
  switch (format) {
    case BoxFormat::xywh:
      return {corners[0], corners[1], width, height};
    case BoxFormat::cxcywh:
      return {corners[0] + width / 2.0f, corners[1] + height / 2.0f, width, height};
    default:
      return corners;
  }
}

}  // namespace

std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* text = std::getenv("CUDET_TEST_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 0) : 20240229ull;
  }();
  return seed;
}

double test_scale() {
  const char* text = std::getenv("CUDET_TEST_SCALE");
  return text != nullptr ? std::strtod(text, nullptr) : 1.0;
}

int scaled(int count) {
  return std::max(1, static_cast<int>(count * test_scale()));
}

SomeCases::SomeCases(std::int64_t first)
    : step_(std::max<std::int64_t>(1, std::llround(std::sqrt(1.0 / test_scale())))), next_(first) {}

bool SomeCases::takes_next() {
  return next_++ % step_ == 0;
}

Random::Random(std::uint64_t stream) : stream_(stream) {
  const std::uint64_t seed = test_seed();
  std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                         static_cast<std::uint32_t>(stream),
                         static_cast<std::uint32_t>(stream >> 32)};
  engine_.seed(sequence);
}

double Random::uniform(double low, double high) {
  const double unit = static_cast<double>(engine_() >> 11) * 0x1p-53;
  return low + unit * (high - low);
}

std::int64_t Random::integer(std::int64_t low, std::int64_t high) {
  const auto range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1u;
  const std::uint64_t draw = range == 0u ? engine_() : engine_() % range;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + draw);
}

std::vector<std::int64_t> Random::permutation(std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    const auto j = static_cast<std::size_t>(integer(0, static_cast<std::int64_t>(i) - 1));
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

std::string Random::trace() const {
  std::string text = "seed " + std::to_string(test_seed()) + ", stream " + std::to_string(stream_);
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  if (test != nullptr) {
    text += "; run again with CUDET_TEST_SEED=" + std::to_string(test_seed()) +
            " and --gtest_filter=" + test->test_suite_name() + "." + test->name();
  }
  return text;
}

std::vector<float> random_boxes(Random& random, BoxDistribution distribution, std::int64_t count,
                                BoxFormat format) {
  const std::int64_t centre_count = 1 + count / 8;
  std::vector<BoxNumbers> centres;
  for (std::int64_t i = 0; i < centre_count; ++i)
    centres.push_back(uniform_box(random));

  std::vector<float> numbers;
  numbers.reserve(static_cast<std::size_t>(4 * count));
  for (std::int64_t i = 0; i < count; ++i) {
    BoxNumbers box = {};
    switch (distribution) {
      case BoxDistribution::uniform:
        box = uniform_box(random);
        break;
      case BoxDistribution::clustered:
        box = clustered_box(random, random.pick(centres));
        break;
      case BoxDistribution::integer_grid:
        box = integer_box(random);
        break;
      case BoxDistribution::special:
        box = clustered_box(random, random.pick(centres));
        if (random.chance(0.4)) box = special_box(random, box);
        break;
    }
    box = in_format(box, format);
    numbers.insert(numbers.end(), box.begin(), box.end());
  }
  return numbers;
}

std::vector<float> random_scores(Random& random, ScoreDistribution distribution,
                                 std::int64_t count) {
  static const std::vector<float> ties = {-0.0f, 0.0f, 0.25f, 0.5f, 0.5f, 0.75f, 1.0f};
  static const std::vector<float> special = {kNaN,  -kNaN,   kInfinity, -kInfinity,
                                             -0.0f, 0.0f,    1e-45f,    -1e-45f,
                                             -1.0f, 3.4e38f, -3.4e38f,  0.5f};
  std::vector<float> scores;
  scores.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    switch (distribution) {
      case ScoreDistribution::uniform:
        scores.push_back(random.uniform_float(0.0f, 1.0f));
        break;
      case ScoreDistribution::ties:
        scores.push_back(random.pick(ties));
        break;
      case ScoreDistribution::special:
        scores.push_back(random.chance(0.5) ? random.pick(special)
                                            : random.uniform_float(-1.0f, 1.0f));
        break;
    }
  }
  return scores;
}

}  // namespace cudet::test
