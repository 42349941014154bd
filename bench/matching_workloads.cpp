// Label assignment in the shapes of real detectors: every anchor finds its box and every box its
// anchor, and as baseline the IoU matrix followed by its largest elements by column and by row.
#include "baselines/matching.h"
#include "device.h"
#include "synthetic.h"
#include "workload.h"

#include <cudet/matching.h>

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <utility>

namespace cudet::bench {
namespace {

constexpr std::uint64_t kSeed = 20240605;
constexpr int kPoison = 0xff;  // a NaN, or -1

/// A level of anchors: the cells of a grid, and anchors of several shapes on each.
struct Level {
  std::int64_t rows, columns;
  float stride;
};

struct Row {
  const char* name;
  const char* description;
  std::int64_t batch;
  std::int64_t boxes;  ///< an image
  std::vector<Level> levels;
  int shapes;              ///< on each cell
  std::int64_t scattered;  ///< anchors in no order, where there are no levels
  bool in_quick_run;

  std::int64_t anchors() const {
    std::int64_t count = scattered;
    for (const Level& level : levels)
      count += level.rows * level.columns * shapes;
    return count;
  }
  double pairs() const { return static_cast<double>(batch * boxes * anchors()); }
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"match/yolo",
       "objects of 16 images and the cells of a YOLO head",
       16,
       100,
       {{80, 80, 8}, {40, 40, 16}, {20, 20, 32}},
       1,
       0,
       true},
      {"match/square", "boxes and anchors without any order", 1, 4096, {}, 0, 4096, true},
      {"match/rpn",
       "objects and the finest level of an RPN's anchors",
       1,
       300,
       {{200, 304, 4}},
       3,
       0,
       false},
      {"match/fpn",
       "objects and all levels of an FPN's anchors",
       1,
       500,
       {{200, 304, 4}, {100, 152, 8}, {50, 76, 16}, {25, 38, 32}, {13, 19, 64}},
       3,
       0,
       false},
  };
  return table;
}

/// Corners of the anchors, level after level, as heads lay them out.
std::vector<float> make_anchors(Random& random, const Row& row) {
  if (row.levels.empty()) return uniform_candidates(random, row.scattered).boxes;
  std::vector<float> anchors;
  for (const Level& level : row.levels) {
    for (std::int64_t cell = 0; cell < level.rows * level.columns; ++cell) {
      const float x = (static_cast<float>(cell % level.columns) + 0.5f) * level.stride;
      const float y = (static_cast<float>(cell / level.columns) + 0.5f) * level.stride;
      for (int shape = 0; shape < row.shapes; ++shape) {
        // Areas of (4 strides)^2, aspects from 1 : 2 to 2 : 1.
        const float aspect = std::exp2(static_cast<float>(2 * shape + 1 - row.shapes) / 2.0f);
        const float half_width = 2.0f * level.stride * std::sqrt(aspect);
        const float half_height = 2.0f * level.stride / std::sqrt(aspect);
        anchors.insert(anchors.end(),
                       {x - half_width, y - half_height, x + half_width, y + half_height});
      }
    }
  }
  return anchors;
}

/// What a call gives, on the host.
struct Matches {
  std::vector<std::int32_t> matches, best_anchors;
  std::vector<float> ious, best_anchor_ious;
};

class MatchingCase final : public Case {
 public:
  MatchingCase(Device& device, const Row& row) : device_(device), row_(row) {
    Random random(kSeed);
    anchors_ = make_anchors(random, row);
    boxes_ = uniform_candidates(random, row.batch * row.boxes).boxes;
    for (std::int64_t b = 0; b <= row.batch; ++b)
      offsets_.push_back(static_cast<std::int32_t>(b * row.boxes));
    const auto by_anchor = static_cast<std::size_t>(row.batch * row.anchors());
    const auto by_box = static_cast<std::size_t>(row.batch * row.boxes);
    reference_.matches.resize(by_anchor);
    reference_.ious.resize(by_anchor);
    reference_.best_anchors.resize(by_box);
    reference_.best_anchor_ious.resize(by_box);
    device_anchors_ = device.input_of(anchors_);
    device_boxes_ = device.input_of(boxes_);
    device_offsets_ = device.input_of(offsets_);
    device_matches_ = device.copy_of(reference_.matches);
    device_ious_ = device.copy_of(reference_.ious);
    device_best_anchors_ = device.copy_of(reference_.best_anchors);
    device_best_anchor_ious_ = device.copy_of(reference_.best_anchor_ious);
    if (!device.is_cuda()) return;
    std::size_t bytes = 0;
    require_ok(match_boxes_workspace_size(options_, device_input(), device_output(), &bytes));
    workspace_ = device.allocate(bytes);
  }

  void poison_outputs() override {
    for (const Buffer* buffer :
         {&device_matches_, &device_ious_, &device_best_anchors_, &device_best_anchor_ious_})
      device_.fill(*buffer, kPoison);
  }

  Status run() override {
    return match_boxes(options_, device_input(), device_output(), device_.execution(workspace_));
  }
  Status run_reference() override {
    return reference::match_boxes(options_, host_input(), output_of(reference_));
  }
  Status run_cpu() override {
    return match_boxes(options_, host_input(), output_of(reference_), Execution::cpu());
  }

  /// Its matrix is made room for with the first call.
  Status run_baseline() override {
    const auto bytes = static_cast<std::size_t>(row_.pairs()) * sizeof(float);
    if (matrix_.bytes() == 0) matrix_ = device_.allocate(bytes);
    return bench::run_baseline(
        {device_boxes_.data_as<float>(), device_anchors_.data_as<float>(), row_.batch, row_.boxes,
         row_.anchors(), false, matrix_.data_as<float>(), device_ious_.data_as<float>(),
         device_matches_.data_as<std::int32_t>(), device_best_anchors_.data_as<std::int32_t>(),
         device_best_anchor_ious_.data_as<float>()},
        device_.execution(workspace_));
  }

  Check check() override {
    const Matches measured = download();
    if (measured.matches != reference_.matches) return failure("matches");
    if (measured.best_anchors != reference_.best_anchors) return failure("best anchors");
    if (measured.ious != reference_.ious) return failure("IoUs of anchors");
    if (measured.best_anchor_ious != reference_.best_anchor_ious) return failure("IoUs of boxes");
    Check check;
    check.passed = true;
    check.text = "= reference";
    return check;
  }

  /// IoUs alone: the baseline rounds them differently and may find another of nearly equal ones.
  Check check_baseline() override {
    const Matches measured = download();
    if (!are_close(measured.ious, reference_.ious)) return failure("IoUs of anchors");
    if (!are_close(measured.best_anchor_ious, reference_.best_anchor_ious)) {
      return failure("IoUs of boxes");
    }
    Check check;
    check.passed = true;
    check.text = "~ reference";
    return check;
  }

  /// Boxes and anchors, and 8 bytes of result for each.
  double compulsory_bytes() const override {
    const auto boxes = static_cast<double>(row_.batch * row_.boxes);
    const auto anchors = static_cast<double>(row_.anchors());
    return 24.0 * boxes + 16.0 * anchors + 8.0 * static_cast<double>(row_.batch) * anchors;
  }

 private:
  static bool are_close(const std::vector<float>& values, const std::vector<float>& expected) {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!(std::fabs(values[i] - expected[i]) <= 1e-6f + 1e-5f * expected[i])) return false;
    return true;
  }

  static Check failure(const char* what) {
    Check check;
    check.text = "!= reference";
    check.detail = fmt::format("{} differ from the reference's", what);
    return check;
  }

  MatchInput input_of(const float* anchors, const float* boxes, const std::int32_t* offsets) const {
    MatchInput input;
    input.anchors = Tensor(anchors, {row_.anchors(), 4});
    input.boxes = Tensor(boxes, {row_.batch * row_.boxes, 4});
    input.offsets = Tensor(offsets, {row_.batch + 1});
    return input;
  }
  MatchInput host_input() const {
    return input_of(anchors_.data(), boxes_.data(), offsets_.data());
  }
  MatchInput device_input() const {
    return input_of(device_anchors_.data_as<float>(), device_boxes_.data_as<float>(),
                    device_offsets_.data_as<std::int32_t>());
  }

  MatchOutput output_of(std::int32_t* matches, float* ious, std::int32_t* best_anchors,
                        float* best_anchor_ious) const {
    MatchOutput output;
    output.matches = Tensor(matches, {row_.batch, row_.anchors()});
    output.ious = Tensor(ious, {row_.batch, row_.anchors()});
    output.best_anchors = Tensor(best_anchors, {row_.batch * row_.boxes});
    output.best_anchor_ious = Tensor(best_anchor_ious, {row_.batch * row_.boxes});
    return output;
  }
  MatchOutput output_of(Matches& matches) const {
    return output_of(matches.matches.data(), matches.ious.data(), matches.best_anchors.data(),
                     matches.best_anchor_ious.data());
  }
  MatchOutput device_output() const {
    return output_of(device_matches_.data_as<std::int32_t>(), device_ious_.data_as<float>(),
                     device_best_anchors_.data_as<std::int32_t>(),
                     device_best_anchor_ious_.data_as<float>());
  }

  Matches download() {
    Matches measured = reference_;
    device_.download(measured.matches.data(), device_matches_);
    device_.download(measured.ious.data(), device_ious_);
    device_.download(measured.best_anchors.data(), device_best_anchors_);
    device_.download(measured.best_anchor_ious.data(), device_best_anchor_ious_);
    return measured;
  }

  Device& device_;
  const Row& row_;
  const MatchOptions options_ = {};
  std::vector<float> anchors_, boxes_;
  std::vector<std::int32_t> offsets_;
  Matches reference_;
  Buffer device_anchors_, device_boxes_, device_offsets_;
  Buffer device_matches_, device_ious_, device_best_anchors_, device_best_anchor_ious_;
  Buffer matrix_;
  Buffer workspace_;
};

}  // namespace

std::vector<Workload> matching_workloads() {
  std::vector<Workload> workloads;
  for (const Row& row : rows()) {
    Workload workload;
    workload.name = row.name;
    workload.description = row.description;
    workload.shape = fmt::format("{} x {} x {}", row.batch, row.boxes, row.anchors());
    // The matrix is the baseline's, on the device, and the reference's, of one image.
    workload.device_bytes = static_cast<std::size_t>(4.0 * row.pairs());
    workload.host_bytes = workload.device_bytes;
    workload.in_quick_run = row.in_quick_run;
    workload.build = [&row](Device& device) { return std::make_unique<MatchingCase>(device, row); };
    workloads.push_back(std::move(workload));
  }
  return workloads;
}

}  // namespace cudet::bench
