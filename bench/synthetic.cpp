#include "synthetic.h"

#include <array>
#include <cmath>
#include <cstddef>

namespace cudet::bench {
namespace {

constexpr float kImageSize = 1024.0f;

struct Box {
  float x1, y1, x2, y2;
};

Box random_box(Random& random) {
  const float x = random.uniform(0.0f, kImageSize - 128.0f);
  const float y = random.uniform(0.0f, kImageSize - 128.0f);
  return {x, y, x + random.uniform(8.0f, 128.0f), y + random.uniform(8.0f, 128.0f)};
}

void append(Candidates& candidates, const Box& box, float score, std::int32_t label) {
  candidates.boxes.insert(candidates.boxes.end(), {box.x1, box.y1, box.x2, box.y2});
  candidates.scores.push_back(score);
  candidates.classes.push_back(label);
}

}  // namespace

float Random::uniform(float low, float high) {
  const float fraction = static_cast<float>(engine_() >> 40) * 0x1p-24f;
  return low + (high - low) * fraction;
}

std::int64_t Random::below(std::int64_t count) {
  return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(count));
}

float Random::normal() {
  float sum = -6.0f;
  for (int i = 0; i < 12; ++i)
    sum += uniform(0.0f, 1.0f);
  return sum;
}

Candidates uniform_candidates(Random& random, std::int64_t count, std::int32_t classes) {
  Candidates candidates;
  for (std::int64_t i = 0; i < count; ++i) {
    const Box box = random_box(random);
    const float score = random.uniform(0.0f, 1.0f);
    append(candidates, box, score, static_cast<std::int32_t>(random.below(classes)));
  }
  return candidates;
}

Candidates clustered_candidates(Random& random, std::int64_t count, std::int64_t objects,
                                std::int32_t classes) {
  struct Object {
    Box box;
    std::int32_t label;
  };
  std::vector<Object> scene;
  for (std::int64_t i = 0; i < objects; ++i) {
    const Box box = random_box(random);
    scene.push_back({box, static_cast<std::int32_t>(random.below(classes))});
  }
  Candidates candidates;
  for (std::int64_t i = 0; i < count; ++i) {
    if (random.below(10) == 0) {
      const Box box = random_box(random);
      const float score = random.uniform(0.0f, 0.1f);
      append(candidates, box, score, static_cast<std::int32_t>(random.below(classes)));
      continue;
    }
    const Object& object = scene[static_cast<std::size_t>(random.below(objects))];
    const float width = object.box.x2 - object.box.x1;
    const float height = object.box.y2 - object.box.y1;
    std::array<float, 4> shift = {};  // of the corners, in sizes of the object
    float distance = 0.0f;
    for (float& part : shift) {
      part = 0.1f * random.normal();
      distance += std::fabs(part);
    }
    const Box box = {object.box.x1 + shift[0] * width, object.box.y1 + shift[1] * height,
                     object.box.x2 + shift[2] * width, object.box.y2 + shift[3] * height};
    const float score = random.uniform(0.5f, 1.0f) / (1.0f + 4.0f * distance);
    const bool wrong = random.below(20) == 0;
    append(candidates, box, score,
           wrong ? static_cast<std::int32_t>(random.below(classes)) : object.label);
  }
  return candidates;
}

std::vector<float> dense_scores(Random& random, const Candidates& candidates,
                                std::int32_t classes) {
  constexpr float kMean = 0.0077f;  // exp(-0.03 / kMean) = 1 / 50
  std::vector<float> scores;
  scores.reserve(candidates.scores.size() * static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < candidates.scores.size(); ++i) {
    for (std::int32_t c = 0; c < classes; ++c) {
      const float other = -kMean * std::log(random.uniform(1e-6f, 1.0f));
      scores.push_back(c == candidates.classes[i] ? candidates.scores[i] : other);
    }
  }
  return scores;
}

}  // namespace cudet::bench
