#include "nms_definition.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

namespace cudet::test {
namespace {

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
float ratio(float a, float b) {
  if (b == 0.0f) return 0.0f;
  return static_cast<float>(static_cast<double>(a) / static_cast<double>(b));
}

float box_area(const Corners& box) {
  return multiply(subtract(box.x2, box.x1), subtract(box.y2, box.y1));
}

/// DIoU minus the aspect term of CIoU, in double from the float32 corners.
double ciou_of(const Corners& a, const Corners& b) {
  const auto d = [](float value) { return static_cast<double>(value); };
  const auto angle = [&](const Corners& box) {
    return std::atan2(d(box.x2) - d(box.x1), d(box.y2) - d(box.y1));
  };
  const double iou = d(float32_iou(a, b));
  const double difference = angle(b) - angle(a);
  const double v = 4.0 / (M_PI * M_PI) * difference * difference;
  const double alpha = v == 0.0 ? 0.0 : v / (1.0 - iou + v);
  return d(float32_overlap(OverlapMetric::diou, a, b)) - alpha * v;
}

enum class Decision { no, either, yes };

/// Copies of an image, read once, for the quadratic loops below; by element.
struct Image {
  std::int64_t index = 0;
  std::vector<Corners> corners;
  std::vector<float> scores;
  std::vector<std::int64_t> classes;
  std::vector<std::size_t> score_elements;
  std::vector<std::size_t> box_elements;
  std::vector<std::int64_t> candidates;   ///< in order
  std::vector<std::int64_t> position_of;  ///< in `candidates`, -1 for the others
};

std::int64_t first_box_of(const NmsProblem& problem, std::int64_t image) {
  if (!problem.ragged()) return image * problem.n();
  const std::int64_t total = problem.boxes.shape()[0];
  return std::clamp<std::int64_t>(problem.offsets.integer(static_cast<std::size_t>(image)), 0,
                                  total);
}

std::size_t score_element(const NmsProblem& problem, std::int64_t image, std::int64_t element) {
  const std::int64_t classes = problem.class_count();
  if (problem.class_box()) {
    return static_cast<std::size_t>((image * classes + element % classes) * problem.n() +
                                    element / classes);
  }
  return static_cast<std::size_t>(first_box_of(problem, image) * classes + element);
}

std::size_t box_element(const NmsProblem& problem, std::int64_t image, std::int64_t element) {
  const std::int64_t first = first_box_of(problem, image);
  if (problem.boxes_per_class()) {
    return static_cast<std::size_t>(first * problem.class_count() + element);
  }
  return static_cast<std::size_t>(first + element / problem.class_count());
}

bool passes(const NmsOptions& options, float score) {
  long double value = static_cast<long double>(score);
  const auto threshold = static_cast<long double>(options.score_threshold);
  if (options.score_activation == ScoreActivation::sigmoid && !std::isnan(value)) {
    // Of the forms the one that does not cancel: sigmoid(x) is tanh(x / 2) / 2 away from 1/2, and
    // sigmoid(-x) away from 1.
    if (std::fabs(value) < 1) {
      const long double half = 0.5L;
      const long double excess = half * std::tanh(half * value);
      return excess > threshold - half ||
             (options.score_threshold_inclusive && excess == threshold - half);
    }
    // Only of an infinite logit the sigmoid is 0 or 1.
    const long double least =
        std::isinf(value) ? 0.0L : std::numeric_limits<long double>::denorm_min();
    if (value > 0) {
      const long double rest = std::fmax(std::exp(-value) / (1 + std::exp(-value)), least);
      return rest < 1 - threshold || (options.score_threshold_inclusive && rest == 1 - threshold);
    }
    value = std::fmax(std::exp(value) / (1 + std::exp(value)), least);
  }
  return value > threshold || (options.score_threshold_inclusive && value == threshold);
}

Image read_image(const NmsProblem& problem, std::int64_t index) {
  Image image;
  image.index = index;
  const std::int64_t classes = problem.class_count();
  const std::int64_t elements = boxes_of_image(problem, index) * classes;
  for (std::int64_t e = 0; e < elements; ++e) {
    image.corners.push_back(corners_of(problem, index, e));
    image.score_elements.push_back(score_element(problem, index, e));
    image.box_elements.push_back(box_element(problem, index, e));
    image.scores.push_back(problem.scores.real(image.score_elements.back()));
    std::int64_t class_id = e % classes;
    if (problem.classes.present()) class_id = problem.classes.integer(image.score_elements.back());
    image.classes.push_back(class_id);
    const bool has_classes = problem.dense() || problem.classes.present();
    const bool background = has_classes && class_id == problem.options.background_class &&
                            class_id != NmsOptions::kNoClass;
    if (passes(problem.options, image.scores.back()) && !background) image.candidates.push_back(e);
  }
  std::stable_sort(image.candidates.begin(), image.candidates.end(),
                   [&](std::int64_t a, std::int64_t b) {
                     return image.scores[static_cast<std::size_t>(a)] >
                            image.scores[static_cast<std::size_t>(b)];
                   });
  const std::int64_t top_k = problem.options.pre_nms_top_k;
  if (top_k >= 0 && static_cast<std::int64_t>(image.candidates.size()) > top_k) {
    image.candidates.resize(static_cast<std::size_t>(top_k));
  }
  image.position_of.assign(static_cast<std::size_t>(elements), -1);
  for (std::size_t p = 0; p < image.candidates.size(); ++p)
    image.position_of[static_cast<std::size_t>(image.candidates[p])] = static_cast<std::int64_t>(p);
  return image;
}

Decision suppresses(const NmsProblem& problem, const Image& image, std::int64_t a, std::int64_t b) {
  const auto first = static_cast<std::size_t>(a);
  const auto second = static_cast<std::size_t>(b);
  const std::int64_t class_id = image.classes[second];
  if (problem.class_aware() && image.classes[first] != class_id) return Decision::no;
  const Corners& box_a = image.corners[first];
  const Corners& box_b = image.corners[second];
  if (!box_a.valid || !box_b.valid) return Decision::no;
  float threshold = problem.options.iou_threshold;
  if (problem.iou_thresholds.present() && class_id >= 0 &&
      class_id < problem.iou_thresholds.shape()[0]) {
    threshold = problem.iou_thresholds.real(static_cast<std::size_t>(class_id));
  }
  const float value = float32_overlap(problem.options.metric, box_a, box_b);
  if (problem.options.metric == OverlapMetric::ciou &&
      std::fabs(static_cast<double>(value) - static_cast<double>(threshold)) <= 2e-6) {
    return Decision::either;
  }
  const bool exceeds = value > threshold || (problem.options.suppress_equal && value == threshold);
  return exceeds ? Decision::yes : Decision::no;
}

/// The kept elements against the definition.
std::string wrong_selection(const NmsProblem& problem, const Image& image,
                            const std::vector<std::int64_t>& kept) {
  const std::int64_t class_limit = problem.options.max_outputs_per_class;
  std::map<std::int64_t, std::int64_t> kept_of_class;
  std::size_t next = 0;  // kept element that comes next
  for (const std::int64_t candidate : image.candidates) {
    if (static_cast<std::int64_t>(next) == problem.capacity()) break;
    const auto c = static_cast<std::size_t>(candidate);
    std::int64_t& in_class = kept_of_class[problem.class_aware() ? image.classes[c] : 0];
    const bool full = class_limit >= 0 && in_class >= class_limit;
    Decision decision = full ? Decision::yes : Decision::no;
    for (std::size_t k = 0; k < next; ++k)
      decision = std::max(decision, suppresses(problem, image, kept[k], candidate));
    const bool is_kept = next < kept.size() && kept[next] == candidate;
    if (is_kept && decision == Decision::yes) {
      return "element " + std::to_string(candidate) + " is kept, but something drops it";
    }
    if (!is_kept && decision == Decision::no) {
      return "element " + std::to_string(candidate) + " is dropped, but nothing suppresses it";
    }
    if (is_kept) {
      ++next;
      ++in_class;
    }
  }
  if (next == kept.size()) return "";
  return "kept element " + std::to_string(kept[next]) + " is no candidate or out of order";
}

/// Elements [slot] of an output against element [source] of its input, or against padding.
std::string wrong_copy(const char* name, const HostTensor& output, std::size_t slot,
                       const HostTensor& input, std::int64_t source, int width) {
  const auto bytes = static_cast<std::size_t>(size_of(input.type()) * width);
  const std::uint8_t* got = output.data() + slot * bytes;
  std::vector<std::uint8_t> expected(bytes, 0);
  if (source >= 0) {
    std::memcpy(expected.data(), input.data() + static_cast<std::size_t>(source) * bytes, bytes);
  }
  if (std::memcmp(got, expected.data(), bytes) == 0) return "";
  return "slot " + std::to_string(slot) + " of " + name + " is not " +
         (source >= 0 ? "element " + std::to_string(source) + " of the input" : "padding");
}

std::string wrong_score(const NmsResult& result, const NmsProblem& problem, std::size_t slot,
                        std::int64_t source) {
  if (problem.options.score_activation == ScoreActivation::none || source < 0) {
    return wrong_copy("scores", result.scores, slot, problem.scores, source, 1);
  }
  const auto logit = static_cast<double>(problem.scores.real(static_cast<std::size_t>(source)));
  const double expected = 1.0 / (1.0 + std::exp(-logit));
  const double unit = problem.scores.type() == DataType::float32   ? 4.0 * 0x1p-24
                      : problem.scores.type() == DataType::float16 ? 1.01 * 0x1p-11
                                                                   : 1.01 * 0x1p-8;
  const double smallest = problem.scores.type() == DataType::float16 ? 0x1p-25 : 0x1p-148;
  const auto got = static_cast<double>(result.scores.real(slot));
  if (std::fabs(got - expected) <= unit * expected + smallest) return "";
  return "slot " + std::to_string(slot) + " of scores is not the sigmoid of " +
         std::to_string(logit);
}

std::string wrong_slots(const NmsResult& result, const NmsProblem& problem, const Image& image,
                        const std::vector<std::int64_t>& kept) {
  for (std::int64_t k = 0; k < problem.capacity(); ++k) {
    const auto slot = static_cast<std::size_t>(image.index * problem.capacity() + k);
    const bool padding = k >= static_cast<std::int64_t>(kept.size());
    std::int64_t box = -1;
    std::int64_t score = -1;
    std::int64_t class_id = -1;
    if (!padding) {
      const auto element = static_cast<std::size_t>(kept[static_cast<std::size_t>(k)]);
      box = static_cast<std::int64_t>(image.box_elements[element]);
      score = static_cast<std::int64_t>(image.score_elements[element]);
      class_id = image.classes[element];
    } else if (result.indices.integer(slot) != -1) {
      return "indices are not padded with -1";
    }
    std::string wrong = wrong_copy("boxes", result.boxes, slot, problem.boxes, box, 4);
    if (wrong.empty()) wrong = wrong_score(result, problem, slot, score);
    if (wrong.empty() && result.classes.present() && result.classes.integer(slot) != class_id) {
      wrong = "slot " + std::to_string(slot) + " of classes is not " + std::to_string(class_id);
    }
    if (!wrong.empty()) return wrong;
  }
  return "";
}

/// Why the entry of an element in suppressed_by is wrong.
std::string wrong_suppressor(const NmsProblem& problem, const Image& image,
                             const std::vector<std::int64_t>& kept, std::int64_t element,
                             std::int64_t got) {
  const std::int64_t position = image.position_of[static_cast<std::size_t>(element)];
  bool found = false;
  if (position >= 0 && std::find(kept.begin(), kept.end(), element) == kept.end()) {
    for (const std::int64_t k : kept) {
      if (image.position_of[static_cast<std::size_t>(k)] >= position) break;
      const Decision decision = suppresses(problem, image, k, element);
      found = found || (decision != Decision::no && got == k / problem.class_count());
      if (decision == Decision::yes) {
        if (found) return "";
        return "element " + std::to_string(element) + " is suppressed by " + std::to_string(k);
      }
    }
  }
  return found || got == -1 ? "" : "element " + std::to_string(element) + " is not suppressed";
}

std::string wrong_masks(const NmsResult& result, const NmsProblem& problem, const Image& image,
                        const std::vector<std::int64_t>& kept) {
  const std::int64_t elements = static_cast<std::int64_t>(image.scores.size());
  const std::int64_t written = problem.ragged() ? elements : problem.elements();
  for (std::int64_t e = 0; e < written; ++e) {
    const std::size_t entry = score_element(problem, image.index, e);
    const bool is_kept = std::find(kept.begin(), kept.end(), e) != kept.end();
    if (result.keep.data()[entry] != (is_kept ? 1 : 0)) {
      return "keep of element " + std::to_string(e) + " is wrong";
    }
    const std::int64_t suppressor = result.suppressed_by.integer(entry);
    if (e >= elements) {
      if (suppressor != -1) return "suppressed_by behind the image is not -1";
      continue;
    }
    const std::string wrong = wrong_suppressor(problem, image, kept, e, suppressor);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace

std::int64_t boxes_of_image(const NmsProblem& problem, std::int64_t image) {
  const auto b = static_cast<std::size_t>(image);
  if (problem.ragged()) {
    const std::int64_t total = problem.boxes.shape()[0];
    const std::int64_t first = first_box_of(problem, image);
    const std::int64_t end = std::clamp(problem.offsets.integer(b + 1), first, total);
    return std::min(end - first, problem.n());
  }
  if (!problem.counts.present()) return problem.n();
  return std::clamp<std::int64_t>(problem.counts.integer(b), 0, problem.n());
}

Corners corners_of(const NmsProblem& problem, std::int64_t image, std::int64_t element) {
  const std::size_t first = 4 * box_element(problem, image, element);
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
  if (problem.options.reorder_corners) {
    if (box.x1 > box.x2) std::swap(box.x1, box.x2);
    if (box.y1 > box.y2) std::swap(box.y1, box.y2);
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
  return float32_overlap(OverlapMetric::iou, a, b);
}

float float32_overlap(OverlapMetric metric, const Corners& a, const Corners& b) {
  const float common_width = subtract(std::fmin(a.x2, b.x2), std::fmax(a.x1, b.x1));
  const float common_height = subtract(std::fmin(a.y2, b.y2), std::fmax(a.y1, b.y1));
  const bool apart = common_width <= 0.0f || common_height <= 0.0f;
  const float intersection = apart ? 0.0f : multiply(common_width, common_height);
  const float box_union = subtract(add(box_area(a), box_area(b)), intersection);
  const float iou = ratio(intersection, box_union);
  const float width = subtract(std::fmax(a.x2, b.x2), std::fmin(a.x1, b.x1));
  const float height = subtract(std::fmax(a.y2, b.y2), std::fmin(a.y1, b.y1));
  switch (metric) {
    case OverlapMetric::min_area:
      return ratio(intersection, std::fmin(box_area(a), box_area(b)));
    case OverlapMetric::giou: {
      const float enclosing = multiply(width, height);
      return subtract(iou, ratio(subtract(enclosing, box_union), enclosing));
    }
    case OverlapMetric::diou: {
      const float dx = multiply(0.5f, add(subtract(a.x1, b.x1), subtract(a.x2, b.x2)));
      const float dy = multiply(0.5f, add(subtract(a.y1, b.y1), subtract(a.y2, b.y2)));
      return subtract(iou, ratio(std::fma(dx, dx, multiply(dy, dy)),
                                 std::fma(width, width, multiply(height, height))));
    }
    case OverlapMetric::ciou:
      return static_cast<float>(ciou_of(a, b));
    default:
      return iou;
  }
}

testing::AssertionResult is_nms_of(const NmsResult& result, const NmsProblem& problem) {
  for (std::int64_t index = 0; index < problem.batch(); ++index) {
    const std::int64_t count = result.count.integer(static_cast<std::size_t>(index));
    if (count < 0 || count > problem.capacity()) {
      return testing::AssertionFailure() << "count " << count << " of image " << index;
    }
    const Image image = read_image(problem, index);
    std::vector<std::int64_t> kept;  // as elements
    std::string wrong;
    for (std::int64_t k = 0; k < count; ++k) {
      const auto slot = static_cast<std::size_t>(index * problem.capacity() + k);
      std::int64_t element = result.indices.integer(slot);
      if (problem.dense()) {
        element = element * problem.class_count() + result.classes.integer(slot);
      }
      if (element < 0 || element >= static_cast<std::int64_t>(image.scores.size())) {
        return testing::AssertionFailure()
               << "kept element " << element << " of image " << index << "; " << problem.describe();
      }
      kept.push_back(element);
    }
    wrong = wrong_selection(problem, image, kept);
    if (wrong.empty()) wrong = wrong_slots(result, problem, image, kept);
    if (wrong.empty()) wrong = wrong_masks(result, problem, image, kept);
    if (!wrong.empty()) {
      return testing::AssertionFailure()
             << "image " << index << ": " << wrong << "; " << problem.describe();
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace cudet::test
