#include "nms_problem.h"

#include "../../cuda/device/rotated_box.h"
#include "nms_definition.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

namespace cudet::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

std::int64_t NmsProblem::batch() const {
  return ragged() ? offsets.shape()[0] - 1 : boxes.shape()[0];
}

std::int64_t NmsProblem::n() const {
  if (!ragged()) return boxes.shape()[1];
  const std::int64_t total = boxes.shape()[0];
  return max_image_boxes == NmsOptions::kNoLimit ? total : std::min(max_image_boxes, total);
}

std::int64_t NmsProblem::class_count() const {
  if (!dense()) return 1;
  return scores.shape()[ragged() || class_box() ? 1 : 2];
}

NmsInput NmsProblem::input() const {
  NmsInput input;
  input.boxes = boxes.const_tensor();
  input.scores = scores.const_tensor();
  input.classes = classes.const_tensor();
  input.counts = counts.const_tensor();
  input.offsets = offsets.const_tensor();
  input.max_image_boxes = max_image_boxes;
  input.iou_thresholds = iou_thresholds.const_tensor();
  return input;
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
       << yes_no(options.legacy_offset) << ", reorder_corners " << yes_no(options.reorder_corners)
       << ", method " << to_string(options.method) << ", sigma " << options.sigma
       << ", decayed_score_threshold " << options.decayed_score_threshold << ", metric "
       << to_string(options.metric) << ", suppress_equal " << yes_no(options.suppress_equal)
       << ", inclusive " << yes_no(options.score_threshold_inclusive) << ", sigmoid "
       << yes_no(options.score_activation == ScoreActivation::sigmoid) << ", pre_nms_top_k "
       << options.pre_nms_top_k << ", max_outputs_per_class " << options.max_outputs_per_class
       << ", background_class " << options.background_class << ", dense " << class_count()
       << (dense() ? class_box() ? " class_box" : " box_class" : " flat") << ", boxes_per_class "
       << yes_no(boxes_per_class()) << ", ragged " << yes_no(ragged()) << ", max_image_boxes "
       << max_image_boxes << ", iou_thresholds " << yes_no(iou_thresholds.present());
  return text.str();
}

NmsProblem make_nms_problem(const std::vector<float>& boxes, const std::vector<float>& scores,
                            float iou_threshold, std::int64_t numbers) {
  NmsProblem problem;
  problem.options.iou_threshold = iou_threshold;
  const auto n = static_cast<std::int64_t>(scores.size());
  problem.boxes = HostTensor::of_reals(DataType::float32, {1, n, numbers}, boxes);
  problem.scores = HostTensor::of_reals(DataType::float32, {1, n}, scores);
  return problem;
}

NmsOutput NmsResult::output() {
  return {count.tensor(),   indices.tensor(), boxes.tensor(),        scores.tensor(),
          classes.tensor(), keep.tensor(),    suppressed_by.tensor()};
}

std::vector<HostTensor*> NmsResult::all() {
  return {&count, &indices, &boxes, &scores, &classes, &keep, &suppressed_by};
}

std::vector<const HostTensor*> NmsResult::all() const {
  return {&count, &indices, &boxes, &scores, &classes, &keep, &suppressed_by};
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
  result.boxes =
      HostTensor(problem.boxes.type(), {batch, slots, numbers_of(problem.options.format)});
  result.scores = HostTensor(problem.scores.type(), {batch, slots});
  if (problem.dense() || problem.classes.present()) {
    result.classes =
        HostTensor(problem.dense() ? index_type : problem.classes.type(), {batch, slots});
  }
  result.keep = HostTensor(DataType::uint8, problem.scores.shape());
  const NmsMethod method = problem.options.method;
  if (method == NmsMethod::greedy || method == NmsMethod::weighted) {
    result.suppressed_by = HostTensor(index_type, problem.scores.shape());
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
  static const char* const names[] = {"count",   "indices", "boxes",        "scores",
                                      "classes", "keep",    "suppressed_by"};
  for (std::size_t i = 0; i < got.all().size(); ++i) {
    const testing::AssertionResult same = same_bits(*got.all()[i], *expected.all()[i]);
    if (!same) return testing::AssertionFailure() << names[i] << ": " << same.message();
  }
  return testing::AssertionSuccess();
}

NmsResult reference_result(const NmsProblem& problem, DataType index_type) {
  NmsResult expected = make_nms_result(problem, index_type);
  Status status = reference::nms(problem.options, problem.input(), expected.output());
  EXPECT_TRUE(status.ok()) << status.message();
  constexpr int kThreads = 2;
  NmsResult on_cpu = make_nms_result(problem, index_type);
  status = nms(problem.options, problem.input(), on_cpu.output(), Execution::cpu(kThreads));
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(same_result(on_cpu, expected)) << problem.describe() << ", the CPU mode";
  return expected;
}

NmsProblem random_images(Random& random, std::int64_t batch, std::int64_t n,
                         BoxDistribution distribution, ScoreDistribution score_distribution) {
  NmsProblem problem;
  problem.boxes = HostTensor::of_reals(DataType::float32, {batch, n, 4},
                                       random_boxes(random, distribution, batch * n));
  problem.scores = HostTensor::of_reals(DataType::float32, {batch, n},
                                        random_scores(random, score_distribution, batch * n));
  return problem;
}

NmsProblem random_flat_problem(Random& random, std::int64_t largest_n, std::int64_t largest_batch) {
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

namespace {

const std::vector<DataType> kIntegers = {DataType::int32, DataType::int64};

/// The same boxes with scores for several classes.
void make_dense(Random& random, NmsProblem& problem) {
  const std::int64_t batch = problem.batch();
  const std::int64_t classes = random.integer(1, random.chance(0.2) ? 20 : 4);
  const std::int64_t n = problem.n() / (random.chance(0.5) ? classes : 1);
  const auto distribution = static_cast<BoxDistribution>(random.integer(0, kBoxDistributions - 1));
  const auto score_distribution =
      static_cast<ScoreDistribution>(random.integer(0, kScoreDistributions - 1));
  const bool class_box = random.chance(0.4);
  problem.options.score_layout = class_box ? ScoreLayout::class_box : ScoreLayout::box_class;
  problem.classes = HostTensor();
  problem.scores = HostTensor::of_reals(
      problem.scores.type(), {batch, class_box ? classes : n, class_box ? n : classes},
      random_scores(random, score_distribution, batch * n * classes));
  std::vector<std::int64_t> shape = {batch, n, 4};
  if (random.chance(0.3)) shape.insert(shape.begin() + 2, classes);
  const std::int64_t boxes = shape.size() == 4 ? batch * n * classes : batch * n;
  problem.boxes =
      HostTensor::of_reals(problem.boxes.type(), shape,
                           random_boxes(random, distribution, boxes, problem.options.format));
}

/// The same arrays with the batch and n merged, and images of different sizes.
void make_ragged(Random& random, NmsProblem& problem) {
  const auto merged = [](const HostTensor& tensor) {
    if (!tensor.present()) return tensor;
    std::vector<std::int64_t> shape = tensor.shape();
    shape[1] *= shape[0];
    shape.erase(shape.begin());
    HostTensor copy(tensor.type(), shape);
    std::copy(tensor.data(), tensor.data() + tensor.byte_count(), copy.data());
    return copy;
  };
  const std::int64_t total = problem.batch() * problem.n();
  const std::int64_t batch = random.integer(0, 5);
  problem.options.score_layout = ScoreLayout::box_class;
  problem.boxes = merged(problem.boxes);
  problem.scores = merged(problem.scores);
  problem.classes = merged(problem.classes);
  problem.counts = HostTensor();
  std::vector<std::int64_t> offsets;
  for (std::int64_t b = 0; b <= batch; ++b)
    offsets.push_back(random.integer(0, total));
  std::sort(offsets.begin(), offsets.end());
  if (random.chance(0.2)) offsets.front() = -3;
  if (random.chance(0.2)) offsets.back() = total + 5;
  problem.offsets = HostTensor::of_integers(random.pick(kIntegers), {batch + 1}, offsets);
  if (random.chance(0.3)) problem.max_image_boxes = random.integer(0, total + 1);
}

void pick_score_options(Random& random, NmsProblem& problem) {
  NmsOptions& options = problem.options;
  options.score_threshold_inclusive = random.chance(0.3);
  if (random.chance(0.3)) {
    options.score_activation = ScoreActivation::sigmoid;
    if (random.chance(0.7)) {
      options.score_threshold = random.pick(std::vector<float>{
          -1.0f, 0.0f, 1e-30f, 0.05f, 0.5f, 0.6f, 0.625f, std::nextafterf(1.0f, 0.0f), 1.0f, 2.0f});
    }
  }
  if (random.chance(0.3)) {
    options.pre_nms_top_k =
        random.integer(0, random.chance(0.1) ? 2 * problem.elements() : problem.elements() / 2 + 1);
  }
}

void pick_class_options(Random& random, NmsProblem& problem) {
  NmsOptions& options = problem.options;
  if (random.chance(0.3)) options.max_outputs_per_class = random.integer(0, 6);
  if (random.chance(0.3)) options.background_class = random.integer(-1, 2);
  if (problem.class_aware() && random.chance(0.3)) {
    std::vector<float> thresholds;
    const std::int64_t count = problem.dense() ? problem.class_count() : random.integer(0, 4);
    for (std::int64_t c = 0; c < count; ++c) {
      thresholds.push_back(
          random.pick(std::vector<float>{options.iou_threshold, 0.0f, 0.3f, 1.0f, std::nanf("")}));
    }
    problem.iou_thresholds = HostTensor::of_reals(DataType::float32, {count}, thresholds);
  }
}

/// A metric, and sometimes a threshold that two boxes of the problem meet exactly.
void pick_metric(Random& random, NmsProblem& problem) {
  NmsOptions& options = problem.options;
  options.suppress_equal = random.chance(0.3);
  if (random.chance(0.6)) return;
  options.metric = static_cast<OverlapMetric>(random.integer(0, 4));
  const bool signed_metric =
      options.metric != OverlapMetric::iou && options.metric != OverlapMetric::min_area;
  if (signed_metric) options.iou_threshold = random.uniform_float(-1.0f, 1.0f);
  if (problem.batch() == 0 || random.chance(0.3)) return;
  const std::int64_t image = random.integer(0, problem.batch() - 1);
  const std::int64_t boxes = boxes_of_image(problem, image) * problem.class_count();
  if (boxes == 0) return;
  const Corners a = corners_of(problem, image, random.integer(0, boxes - 1));
  const Corners b = corners_of(problem, image, random.integer(0, boxes - 1));
  if (!a.valid || !b.valid) return;
  const float value = float32_overlap(options.metric, a, b);
  if (value >= (signed_metric ? -1.0f : 0.0f) && value <= 1.0f) options.iou_threshold = value;
}

}  // namespace

NmsProblem random_nms_problem(Random& random, std::int64_t largest_n, std::int64_t largest_batch) {
  NmsProblem problem = random_flat_problem(random, largest_n, largest_batch);
  if (random.chance(0.3)) return problem;
  if (random.chance(0.4)) make_dense(random, problem);
  if (!problem.class_box() && random.chance(0.3)) make_ragged(random, problem);
  problem.options.reorder_corners = random.chance(0.2);
  pick_score_options(random, problem);
  pick_class_options(random, problem);
  pick_metric(random, problem);
  return problem;
}

NmsProblem random_method_problem(Random& random, std::int64_t largest_n,
                                 std::int64_t largest_batch) {
  NmsProblem problem = random_nms_problem(random, largest_n, largest_batch);
  NmsOptions& options = problem.options;
  options.method = static_cast<NmsMethod>(random.integer(0, 5));
  options.sigma = random.pick(std::vector<float>{0.5f, 0.05f, 2.0f});
  options.decayed_score_threshold =
      random.pick(std::vector<float>{0.001f, 0.0f, -1.0f, 0.3f, -kInfinity});
  const bool decays = options.method != NmsMethod::greedy && options.method != NmsMethod::weighted;
  if (decays && options.metric != OverlapMetric::iou) {
    options.metric = OverlapMetric::min_area;
    options.iou_threshold = std::fabs(options.iou_threshold);
  }
  return problem;
}

namespace {

pinned::RotatedBox rotated_box_of(const NmsProblem& problem, std::int64_t box) {
  const auto first = static_cast<std::size_t>(5 * box);
  const NmsOptions& options = problem.options;
  return pinned::make_rotated_box(problem.boxes.real(first), problem.boxes.real(first + 1),
                                  problem.boxes.real(first + 2), problem.boxes.real(first + 3),
                                  problem.boxes.real(first + 4), options.angle_unit,
                                  options.angle_direction);
}

}  // namespace

NmsProblem random_rotated_problem(Random& random, std::int64_t largest_n,
                                  std::int64_t largest_batch) {
  NmsProblem problem = random_method_problem(random, largest_n, largest_batch);
  NmsOptions& options = problem.options;
  if (options.method == NmsMethod::weighted) options.method = NmsMethod::greedy;
  options.format = BoxFormat::rotated;
  options.legacy_offset = false;
  options.reorder_corners = false;
  options.metric = random.chance(0.8) ? OverlapMetric::iou : OverlapMetric::min_area;
  options.iou_threshold = std::min(std::fabs(options.iou_threshold), 1.0f);
  options.angle_unit = random.chance(0.7) ? AngleUnit::degrees : AngleUnit::radians;
  options.angle_direction = static_cast<AngleDirection>(random.integer(0, 1));

  std::vector<std::int64_t> shape = problem.boxes.shape();
  std::int64_t count = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i)
    count *= shape[i];
  shape.back() = 5;
  const auto distribution = static_cast<BoxDistribution>(random.integer(0, kBoxDistributions - 1));
  const std::vector<float> boxes = random_boxes(random, distribution, count, BoxFormat::cxcywh);
  const bool few_angles = random.chance(0.3);
  std::vector<float> numbers;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    numbers.insert(numbers.end(), boxes.begin() + static_cast<std::ptrdiff_t>(4 * i),
                   boxes.begin() + static_cast<std::ptrdiff_t>(4 * i + 4));
    numbers.push_back(few_angles
                          ? random.pick(std::vector<float>{0.0f, 45.0f, -90.0f, 1e6f, kInfinity})
                          : random.uniform_float(-200.0f, 200.0f));
  }
  problem.boxes = HostTensor::of_reals(problem.boxes.type(), shape, numbers);
  if (count > 1 && options.metric == OverlapMetric::iou && random.chance(0.5)) {
    const float iou = pinned::rotated_iou(rotated_box_of(problem, random.integer(0, count - 1)),
                                          rotated_box_of(problem, random.integer(0, count - 1)));
    if (iou > 0.0f) options.iou_threshold = iou;  // met exactly
  }
  return problem;
}

}  // namespace cudet::test
