#include "nms_problem.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

namespace cudet::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Every operation in double and then rounded to float32: double has more than twice the digits, so
// this is the correctly rounded float32 operation whatever the compiler contracts.
float subtract(float a, float b) {
  return static_cast<float>(static_cast<double>(a) - static_cast<double>(b));
}
float add(float a, float b) {
  return static_cast<float>(static_cast<double>(a) + static_cast<double>(b));
}
float multiply(float a, float b) {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b));
}

float box_area(const Corners& box) {
  return multiply(subtract(box.x2, box.x1), subtract(box.y2, box.y1));
}

std::int64_t existing_boxes(const NmsProblem& problem, std::int64_t image) {
  if (!problem.counts.present()) return problem.n();
  const std::int64_t count = problem.counts.integer(static_cast<std::size_t>(image));
  return std::min(std::max<std::int64_t>(count, 0), problem.n());
}

bool is_candidate(const NmsProblem& problem, std::int64_t image, std::int64_t index) {
  if (index >= existing_boxes(problem, image)) return false;
  return problem.scores.real(static_cast<std::size_t>(image * problem.n() + index)) >
         problem.options.score_threshold;
}

/// Copies of image `image`, read once, for the quadratic loops below.
struct Image {
  std::vector<Corners> corners;
  std::vector<float> scores;
  std::vector<std::int64_t> classes;
};

Image read_image(const NmsProblem& problem, std::int64_t image) {
  Image copy;
  const bool with_classes = problem.classes.present() && !problem.options.class_agnostic;
  for (std::int64_t i = 0; i < problem.n(); ++i) {
    const auto element = static_cast<std::size_t>(image * problem.n() + i);
    copy.corners.push_back(corners_of(problem, image, i));
    copy.scores.push_back(problem.scores.real(element));
    copy.classes.push_back(with_classes ? problem.classes.integer(element) : 0);
  }
  return copy;
}

bool visited_before(const Image& image, std::int64_t a, std::int64_t b) {
  const float score_a = image.scores[static_cast<std::size_t>(a)];
  const float score_b = image.scores[static_cast<std::size_t>(b)];
  return score_a > score_b || (score_a == score_b && a < b);
}

bool suppresses(const Image& image, std::int64_t a, std::int64_t b, float iou_threshold) {
  const auto first = static_cast<std::size_t>(a);
  const auto second = static_cast<std::size_t>(b);
  return image.classes[first] == image.classes[second] &&
         float32_iou(image.corners[first], image.corners[second]) > iou_threshold;
}

/// The kept indices against the definition.
std::string wrong_selection(const NmsProblem& problem, std::int64_t image_index,
                            const std::vector<std::int64_t>& kept) {
  const Image image = read_image(problem, image_index);
  const float threshold = problem.options.iou_threshold;
  std::vector<bool> is_kept(static_cast<std::size_t>(problem.n()), false);
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const std::int64_t index = kept[k];
    if (index < 0 || index >= problem.n()) return "kept index out of range";
    if (is_kept[static_cast<std::size_t>(index)]) return "an index is kept twice";
    is_kept[static_cast<std::size_t>(index)] = true;
    if (!is_candidate(problem, image_index, index)) {
      return "kept box " + std::to_string(index) + " is no candidate";
    }
    if (k > 0 && !visited_before(image, kept[k - 1], index)) {
      return "slots " + std::to_string(k - 1) + " and " + std::to_string(k) + " are out of order";
    }
    for (std::size_t j = 0; j < k; ++j) {
      if (suppresses(image, kept[j], index, threshold)) {
        return "box " + std::to_string(index) + " is kept, but " + std::to_string(kept[j]) +
               " suppresses it";
      }
    }
  }
  const bool full = static_cast<std::int64_t>(kept.size()) == problem.capacity();
  for (std::int64_t i = 0; i < problem.n(); ++i) {
    if (is_kept[static_cast<std::size_t>(i)] || !is_candidate(problem, image_index, i)) continue;
    if (full && (kept.empty() || visited_before(image, kept.back(), i))) continue;
    const bool suppressed = std::any_of(kept.begin(), kept.end(), [&](std::int64_t k) {
      return visited_before(image, k, i) && suppresses(image, k, i, threshold);
    });
    if (!suppressed) return "box " + std::to_string(i) + " is dropped, but nothing suppresses it";
  }
  return "";
}

/// Elements [slot] of an output against element [source] of its input, or against padding.
std::string wrong_copy(const char* name, const HostTensor& output, std::size_t slot,
                       const HostTensor& input, std::int64_t source, int width,
                       std::int64_t padding) {
  const auto bytes = static_cast<std::size_t>(size_of(input.type()) * width);
  const std::uint8_t* got = output.data() + slot * bytes;
  std::vector<std::uint8_t> expected(bytes);
  if (source >= 0) {
    std::memcpy(expected.data(), input.data() + static_cast<std::size_t>(source) * bytes, bytes);
  } else {
    std::fill(expected.begin(), expected.end(), padding == 0 ? 0x00 : 0xff);  // 0 or -1
  }
  if (std::memcmp(got, expected.data(), bytes) == 0) return "";
  return "slot " + std::to_string(slot) + " of " + name + " is not " +
         (source >= 0 ? "element " + std::to_string(source) + " of the input" : "padding");
}

std::string wrong_slots(const NmsResult& result, const NmsProblem& problem, std::int64_t image,
                        std::int64_t count) {
  for (std::int64_t k = 0; k < problem.capacity(); ++k) {
    const auto slot = static_cast<std::size_t>(image * problem.capacity() + k);
    const std::int64_t index = result.indices.integer(slot);
    if (k >= count && index != -1) return "indices are not padded with -1";
    const std::int64_t source = k < count ? image * problem.n() + index : -1;
    std::string wrong = wrong_copy("boxes", result.boxes, slot, problem.boxes, source, 4, 0);
    if (wrong.empty()) {
      wrong = wrong_copy("scores", result.scores, slot, problem.scores, source, 1, 0);
    }
    if (wrong.empty() && problem.classes.present()) {
      wrong = wrong_copy("classes", result.classes, slot, problem.classes, source, 1, -1);
    }
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::vector<std::int64_t> random_classes(Random& random, DataType type, std::int64_t count) {
  static const std::vector<std::int64_t> narrow = {0, 1, 2, -1, 2147483647, -2147483647 - 1};
  // Equal in their lower or in their upper halves.
  static const std::vector<std::int64_t> wide = {0,
                                                 1,
                                                 std::int64_t{1} << 32,
                                                 (std::int64_t{1} << 32) + 1,
                                                 std::int64_t{1} << 33,
                                                 -1,
                                                 std::numeric_limits<std::int64_t>::min(),
                                                 std::numeric_limits<std::int64_t>::max()};
  const bool extreme = random.chance(0.4);
  const std::int64_t largest = random.pick(std::vector<std::int64_t>{0, 1, 4, 80});
  std::vector<std::int64_t> classes;
  for (std::int64_t i = 0; i < count; ++i) {
    classes.push_back(!extreme                  ? random.integer(0, largest)
                      : type == DataType::int64 ? random.pick(wide)
                                                : random.pick(narrow));
  }
  return classes;
}

/// Sometimes the IoU of two boxes of the problem, or one of its neighbours.
float random_iou_threshold(Random& random, const NmsProblem& problem) {
  static const std::vector<float> usual = {0.0f, 0.25f, 0.3f, 0.45f, 0.5f, 0.7f, 1.0f};
  if (problem.batch() == 0 || problem.n() < 2 || random.chance(0.4)) return random.pick(usual);
  for (int attempt = 0; attempt < 20; ++attempt) {
    const std::int64_t image = random.integer(0, problem.batch() - 1);
    const float iou = float32_iou(corners_of(problem, image, random.integer(0, problem.n() - 1)),
                                  corners_of(problem, image, random.integer(0, problem.n() - 1)));
    if (iou <= 0.0f || (iou == 1.0f && attempt < 19)) continue;
    const std::int64_t neighbour = random.integer(-1, 1);
    if (neighbour == 0) return iou;
    return std::min(std::nextafterf(iou, neighbour < 0 ? 0.0f : 2.0f), 1.0f);
  }
  return random.uniform_float(0.0f, 1.0f);
}

const char* yes_no(bool value) {
  return value ? "yes" : "no";
}

}  // namespace

NmsInput NmsProblem::input() const {
  return {boxes.const_tensor(), scores.const_tensor(), classes.const_tensor(),
          counts.const_tensor()};
}

std::string NmsProblem::describe() const {
  std::ostringstream text;
  text.precision(9);
  text << "batch " << batch() << ", n " << n() << ", boxes " << to_string(boxes.type()) << " "
       << to_string(options.format) << ", scores " << to_string(scores.type()) << ", classes "
       << (classes.present() ? to_string(classes.type()) : "none") << ", counts "
       << yes_no(counts.present()) << ", iou_threshold " << options.iou_threshold
       << ", score_threshold " << options.score_threshold << ", max_outputs " << options.max_outputs
       << ", class_agnostic " << yes_no(options.class_agnostic) << ", legacy_offset "
       << yes_no(options.legacy_offset);
  return text.str();
}

NmsProblem make_nms_problem(const std::vector<float>& boxes, const std::vector<float>& scores,
                            float iou_threshold) {
  NmsProblem problem;
  problem.options.iou_threshold = iou_threshold;
  const auto n = static_cast<std::int64_t>(scores.size());
  problem.boxes = HostTensor::of_reals(DataType::float32, {1, n, 4}, boxes);
  problem.scores = HostTensor::of_reals(DataType::float32, {1, n}, scores);
  return problem;
}

NmsOutput NmsResult::output() {
  return {count.tensor(), indices.tensor(), boxes.tensor(), scores.tensor(), classes.tensor()};
}

std::vector<std::int64_t> NmsResult::kept(std::int64_t image) const {
  const std::int64_t kept_count = count.integer(static_cast<std::size_t>(image));
  const std::int64_t slots = indices.shape()[1];
  std::vector<std::int64_t> kept_indices;
  for (std::int64_t k = 0; k < std::min(kept_count, slots); ++k)
    kept_indices.push_back(indices.integer(static_cast<std::size_t>(image * slots + k)));
  return kept_indices;
}

NmsResult make_nms_result(const NmsProblem& problem, DataType index_type) {
  const std::int64_t batch = problem.batch();
  const std::int64_t slots = problem.capacity();
  NmsResult result;
  result.count = HostTensor(DataType::int32, {batch});
  result.indices = HostTensor(index_type, {batch, slots});
  result.boxes = HostTensor(problem.boxes.type(), {batch, slots, 4});
  result.scores = HostTensor(problem.scores.type(), {batch, slots});
  if (problem.classes.present()) {
    result.classes = HostTensor(problem.classes.type(), {batch, slots});
  }
  return result;
}

void rescale_boxes(Random& random, std::vector<float>* boxes) {
  const int exponent =
      static_cast<int>(random.chance(0.75) ? random.integer(-85, -65) : random.integer(45, 55));
  for (float& number : *boxes)
    number = std::ldexp(number, exponent);
}

testing::AssertionResult same_result(const NmsResult& got, const NmsResult& expected) {
  struct Pair {
    const char* name;
    const HostTensor* got;
    const HostTensor* expected;
  };
  for (const Pair& pair :
       {Pair{"count", &got.count, &expected.count},
        Pair{"indices", &got.indices, &expected.indices},
        Pair{"boxes", &got.boxes, &expected.boxes}, Pair{"scores", &got.scores, &expected.scores},
        Pair{"classes", &got.classes, &expected.classes}}) {
    const testing::AssertionResult same = same_bits(*pair.got, *pair.expected);
    if (!same) return testing::AssertionFailure() << pair.name << ": " << same.message();
  }
  return testing::AssertionSuccess();
}

NmsProblem random_nms_problem(Random& random, std::int64_t largest_n, std::int64_t largest_batch) {
  static const std::vector<DataType> real_types = {DataType::float32, DataType::float32,
                                                   DataType::float16, DataType::bfloat16};
  NmsProblem problem;
  NmsOptions& options = problem.options;
  options.format = static_cast<BoxFormat>(random.integer(0, 2));
  options.legacy_offset = random.chance(0.2);
  options.class_agnostic = random.chance(0.2);

  const std::int64_t batch = random.chance(0.7) ? 1 : random.integer(0, largest_batch);
  const std::int64_t n = random.integer(0, random.chance(0.5) ? largest_n / 8 : largest_n);
  const auto distribution = static_cast<BoxDistribution>(random.integer(0, kBoxDistributions - 1));
  const auto score_distribution =
      static_cast<ScoreDistribution>(random.integer(0, kScoreDistributions - 1));
  std::vector<float> boxes = random_boxes(random, distribution, batch * n, options.format);
  if (random.chance(0.1)) rescale_boxes(random, &boxes);
  problem.boxes = HostTensor::of_reals(random.pick(real_types), {batch, n, 4}, boxes);
  problem.scores = HostTensor::of_reals(random.pick(real_types), {batch, n},
                                        random_scores(random, score_distribution, batch * n));
  if (random.chance(0.5)) {
    const DataType type = random.chance(0.5) ? DataType::int32 : DataType::int64;
    problem.classes =
        HostTensor::of_integers(type, {batch, n}, random_classes(random, type, batch * n));
  }
  if (random.chance(0.25)) {
    std::vector<std::int64_t> counts;
    for (std::int64_t b = 0; b < batch; ++b)
      counts.push_back(random.integer(-2, n + 2));
    problem.counts = HostTensor::of_integers(DataType::int32, {batch}, counts);
  }

  options.iou_threshold = random_iou_threshold(random, problem);
  if (random.chance(0.4)) {
    std::vector<float> thresholds = {0.0f, -0.0f, 0.5f, -1.0f, kInfinity};
    if (batch * n > 0) {
      // Twice, for a score that is met exactly.
      const auto element = static_cast<std::size_t>(random.integer(0, batch * n - 1));
      thresholds.insert(thresholds.end(), 2, problem.scores.real(element));
    }
    const float threshold = random.pick(thresholds);
    if (!std::isnan(threshold)) options.score_threshold = threshold;
  }
  if (random.chance(0.4)) {
    options.max_outputs =
        random.chance(0.1) ? n + 3 : random.integer(0, std::max<std::int64_t>(n / 2, 1));
  }
  return problem;
}

Corners corners_of(const NmsProblem& problem, std::int64_t image, std::int64_t index) {
  const auto first = static_cast<std::size_t>(4 * (image * problem.n() + index));
  const float a = problem.boxes.real(first);
  const float b = problem.boxes.real(first + 1);
  const float c = problem.boxes.real(first + 2);
  const float d = problem.boxes.real(first + 3);
  Corners box = {a, b, c, d, false};
  if (problem.options.format == BoxFormat::xywh) box = {a, b, add(a, c), add(b, d), false};
  if (problem.options.format == BoxFormat::cxcywh) {
    const float half_width = multiply(0.5f, c);
    const float half_height = multiply(0.5f, d);
    box = {subtract(a, half_width), subtract(b, half_height), add(a, half_width),
           add(b, half_height), false};
  }
  if (problem.options.legacy_offset) {
    box.x2 = add(box.x2, 1.0f);
    box.y2 = add(box.y2, 1.0f);
  }
  box.valid = box.x1 <= box.x2 && box.y1 <= box.y2;
  for (const float corner : {box.x1, box.y1, box.x2, box.y2})
    box.valid = box.valid && std::fabs(corner) <= 0x1p62f;
  return box;
}

float float32_iou(const Corners& a, const Corners& b) {
  if (!a.valid || !b.valid) return 0.0f;
  const float width = subtract(std::fmin(a.x2, b.x2), std::fmax(a.x1, b.x1));
  const float height = subtract(std::fmin(a.y2, b.y2), std::fmax(a.y1, b.y1));
  if (width <= 0.0f || height <= 0.0f) return 0.0f;
  const float intersection = multiply(width, height);
  const float box_union = subtract(add(box_area(a), box_area(b)), intersection);
  if (box_union == 0.0f) return 0.0f;
  return static_cast<float>(static_cast<double>(intersection) / static_cast<double>(box_union));
}

testing::AssertionResult is_nms_of(const NmsResult& result, const NmsProblem& problem) {
  for (std::int64_t image = 0; image < problem.batch(); ++image) {
    const std::int64_t count = result.count.integer(static_cast<std::size_t>(image));
    if (count < 0 || count > problem.capacity()) {
      return testing::AssertionFailure() << "count " << count << " of image " << image;
    }
    std::string wrong = wrong_selection(problem, image, result.kept(image));
    if (wrong.empty()) wrong = wrong_slots(result, problem, image, count);
    if (!wrong.empty()) {
      return testing::AssertionFailure()
             << "image " << image << ": " << wrong << "; " << problem.describe();
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace cudet::test
