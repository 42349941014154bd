#include "nms_case.h"

#if defined(CUDET_BENCH_WITH_CUDA)
#include "baselines/nms.h"
#endif
#include "device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <utility>

namespace cudet::bench {
namespace {

// Results that were not written: different on the device and on the host, so that they never match.
constexpr int kPoison = 0xa5;
constexpr std::int32_t kUnwritten = -77;

/// The outputs of a call, on the host.
struct HostOutputs {
  std::vector<std::int32_t> count, indices, classes;
  std::vector<float> boxes, scores;

  explicit HostOutputs(const NmsProblem& problem) {
    const auto slots = static_cast<std::size_t>(problem.batch * problem.slots());
    count.resize(static_cast<std::size_t>(problem.batch), kUnwritten);
    indices.resize(slots, kUnwritten);
    boxes.resize(4 * slots, kUnwritten);
    scores.resize(slots, kUnwritten);
    if (problem.has_classes()) classes.resize(slots, kUnwritten);
  }
};

/// Pointers to the arrays of a call, on the host or on the device.
struct NmsArrays {
  const float* boxes;
  const float* scores;
  const std::int32_t* classes;
  const std::int32_t* counts;
  std::int32_t* kept_count;
  std::int32_t* kept_indices;
  float* kept_boxes;
  float* kept_scores;
  std::int32_t* kept_classes;
};

struct NmsCall {
  NmsInput input;
  NmsOutput output;

  NmsCall(const NmsProblem& problem, const NmsArrays& arrays) {
    const std::int64_t batch = problem.batch;
    const std::int64_t slots = problem.slots();
    input.boxes = Tensor(arrays.boxes, {batch, problem.n, 4});
    input.scores = problem.score_classes == 1
                       ? Tensor(arrays.scores, {batch, problem.n})
                       : Tensor(arrays.scores, {batch, problem.n, problem.score_classes});
    if (!problem.classes.empty()) input.classes = Tensor(arrays.classes, {batch, problem.n});
    if (!problem.counts.empty()) input.counts = Tensor(arrays.counts, {batch});
    output.count = Tensor(arrays.kept_count, {batch});
    output.indices = Tensor(arrays.kept_indices, {batch, slots});
    output.boxes = Tensor(arrays.kept_boxes, {batch, slots, 4});
    output.scores = Tensor(arrays.kept_scores, {batch, slots});
    if (problem.has_classes()) output.classes = Tensor(arrays.kept_classes, {batch, slots});
  }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Name of the first output that differs, empty where none does.
std::string first_difference(const HostOutputs& a, const HostOutputs& b) {
  if (!same_bits(a.count, b.count)) return "count";
  if (!same_bits(a.indices, b.indices)) return "indices";
  if (!same_bits(a.boxes, b.boxes)) return "boxes";
  if (!same_bits(a.scores, b.scores)) return "scores";
  if (!same_bits(a.classes, b.classes)) return "classes";
  return std::string();
}

class NmsCase final : public Case {
 public:
  NmsCase(Device& device, NmsProblem problem, std::optional<OfficialResult> official)
      : device_(device),
        problem_(std::move(problem)),
        official_(std::move(official)),
        measured_(problem_),
        reference_(problem_),
        inputs_{device.input_of(problem_.boxes), device.input_of(problem_.scores),
                device.input_of(problem_.classes), device.input_of(problem_.counts)},
        outputs_{device.copy_of(measured_.count), device.copy_of(measured_.indices),
                 device.copy_of(measured_.boxes), device.copy_of(measured_.scores),
                 device.copy_of(measured_.classes)},
        reference_call_(problem_, host_arrays()) {
    if (!device.is_cuda()) return;
    std::size_t bytes = 0;
    require_ok(nms_workspace_size(problem_.options, reference_call_.input, &bytes));
    workspace_ = device.allocate(bytes);
#if defined(CUDET_BENCH_WITH_CUDA)
    if (fits_baseline()) {
      baseline_workspace_ = device.allocate(baseline_workspace_bytes(problem_.n));
    }
#endif
  }

  void poison_outputs() override {
    for (const Buffer& output : outputs_)
      device_.fill(output, kPoison);
  }

  Status run() override {
    const NmsCall call(problem_, device_arrays());
    return nms(problem_.options, call.input, call.output, device_.execution(workspace_));
  }

  Status run_reference() override {
    return reference::nms(problem_.options, reference_call_.input, reference_call_.output);
  }

  Status run_cpu() override {
    return nms(problem_.options, reference_call_.input, reference_call_.output, Execution::cpu());
  }

  Status run_baseline() override {
#if defined(CUDET_BENCH_WITH_CUDA)
    if (baseline_workspace_.bytes() > 0) return launch_baselines();
#endif
    return Case::run_baseline();
  }

  Check check() override {
    device_.download(measured_.count.data(), outputs_[0]);
    device_.download(measured_.indices.data(), outputs_[1]);
    device_.download(measured_.boxes.data(), outputs_[2]);
    device_.download(measured_.scores.data(), outputs_[3]);
    device_.download(measured_.classes.data(), outputs_[4]);
    Check check;
    const std::string difference = first_difference(measured_, reference_);
    if (!difference.empty()) {
      check.text = "!= reference";
      check.detail = fmt::format("{} differ from the reference", difference);
      return check;
    }
    std::int64_t kept = 0;
    for (const std::int32_t count : measured_.count)
      kept += count;
    check.kept = kept;
    if (official_.has_value()) {
      check.detail = difference_from_official();
      check.text =
          fmt::format("{} official ({})", check.detail.empty() ? "=" : "!=", official_count());
    } else {
      check.text = "= reference";
    }
    check.passed = check.detail.empty();
    return check;
  }

  /// The scores of the boxes that exist; boxes and classes of those with a score that passes the
  /// threshold; all outputs.
  double compulsory_bytes() const override {
    const std::size_t box_bytes =
        4 * sizeof(float) + (problem_.classes.empty() ? 0 : sizeof(std::int32_t));
    const auto score_bytes = static_cast<std::size_t>(problem_.score_classes) * sizeof(float);
    std::size_t bytes = problem_.counts.size() * sizeof(std::int32_t);
    for_every_box([&](std::int64_t passing_scores) {
      bytes += score_bytes + (passing_scores > 0 ? box_bytes : 0);
    });
    for (const Buffer& output : outputs_)
      bytes += output.bytes();
    return static_cast<double>(bytes);
  }

  /// Of the pairs of boxes of a class that are both kept, which nobody can do without: 12 each, as
  /// for the IoU matrix.
  double operations() const override { return 12.0 * pairs_of_kept(); }

  std::string explanation() const override {
    std::int64_t scores = 0;
    for_every_box([&scores](std::int64_t passing_scores) { scores += passing_scores; });
    return fmt::format("{} scores pass the threshold; {:.0f} pairs of kept boxes of a class",
                       scores, pairs_of_kept()) +
           (workspace_.bytes() > 0 ? fmt::format("; workspace {} bytes", workspace_.bytes()) : "");
  }

 private:
#if defined(CUDET_BENCH_WITH_CUDA)
  bool fits_baseline() const {
    return problem_.classes.empty() && problem_.counts.empty() &&
           problem_.options.format == BoxFormat::xyxy && !problem_.options.legacy_offset &&
           problem_.options.method == NmsMethod::greedy;
  }

  /// One image after the other, as its users have to do it.
  Status launch_baselines() const {
    const NmsArrays arrays = device_arrays();
    const Execution execution = device_.execution(baseline_workspace_);
    const std::int64_t n = problem_.n, slots = problem_.slots();
    for (std::int64_t b = 0; b < problem_.batch; ++b) {
      const BaselineNms image = {arrays.boxes + 4 * n * b,
                                 arrays.scores + n * b,
                                 n,
                                 problem_.options.iou_threshold,
                                 problem_.options.score_threshold,
                                 slots,
                                 arrays.kept_count + b,
                                 arrays.kept_indices + slots * b,
                                 arrays.kept_boxes + 4 * slots * b,
                                 arrays.kept_scores + slots * b};
      const Status status = launch_baseline(image, execution.workspace(),
                                            execution.workspace_bytes(), execution.stream());
      if (!status.ok()) return status;
    }
    return Status();
  }
#endif

  NmsArrays device_arrays() const {
    return {inputs_[0].data_as<float>(),         inputs_[1].data_as<float>(),
            inputs_[2].data_as<std::int32_t>(),  inputs_[3].data_as<std::int32_t>(),
            outputs_[0].data_as<std::int32_t>(), outputs_[1].data_as<std::int32_t>(),
            outputs_[2].data_as<float>(),        outputs_[3].data_as<float>(),
            outputs_[4].data_as<std::int32_t>()};
  }

  NmsArrays host_arrays() {
    return {problem_.boxes.data(),   problem_.scores.data(),   problem_.classes.data(),
            problem_.counts.data(),  reference_.count.data(),  reference_.indices.data(),
            reference_.boxes.data(), reference_.scores.data(), reference_.classes.data()};
  }

  std::int64_t boxes_of(std::int64_t image) const {
    return problem_.counts.empty() ? problem_.n : problem_.counts[static_cast<std::size_t>(image)];
  }

  /// Calls body(number of scores that pass the threshold) for every box that exists.
  template <class Body>
  void for_every_box(const Body& body) const {
    const std::int64_t classes = problem_.score_classes;
    for (std::int64_t b = 0; b < problem_.batch; ++b) {
      for (std::int64_t i = 0; i < boxes_of(b); ++i) {
        const float* const scores = problem_.scores.data() + (b * problem_.n + i) * classes;
        body(std::count_if(scores, scores + classes, [this](float score) {
          return score > problem_.options.score_threshold;
        }));
      }
    }
  }

  /// Of the reference's result.
  double pairs_of_kept() const {
    double pairs = 0.0;
    const bool by_class = problem_.has_classes() && !problem_.options.class_agnostic;
    for (std::int64_t b = 0; b < problem_.batch; ++b) {
      std::map<std::int32_t, double> kept;
      for (std::int32_t k = 0; k < reference_.count[static_cast<std::size_t>(b)]; ++k) {
        const auto slot = static_cast<std::size_t>(b * problem_.slots() + k);
        pairs += kept[by_class ? reference_.classes[slot] : 0]++;
      }
    }
    return pairs;
  }

  std::size_t official_count() const {
    std::size_t count = 0;
    for (const auto& keep : official_->keep)
      count += keep.size();
    return count;
  }

  /// Empty where the kept boxes are the official ones.
  std::string difference_from_official() const {
    for (std::size_t b = 0; b < official_->keep.size(); ++b) {
      std::vector<std::int32_t> expected = official_->keep[b];
      const auto begin =
          measured_.indices.begin() + static_cast<std::ptrdiff_t>(b) * problem_.slots();
      std::vector<std::int32_t> kept(begin, begin + measured_.count[b]);
      if (kept.size() != expected.size()) {
        return fmt::format("image {}: {} boxes kept, officially {}", b, kept.size(),
                           expected.size());
      }
      if (!official_->ordered) {
        std::sort(expected.begin(), expected.end());
        std::sort(kept.begin(), kept.end());
      }
      const auto [mine, theirs] = std::mismatch(kept.begin(), kept.end(), expected.begin());
      if (mine != kept.end()) {
        return fmt::format("image {}: box {} kept at position {}, officially {}", b, *mine,
                           mine - kept.begin(), *theirs);
      }
    }
    return std::string();
  }

  Device& device_;
  const NmsProblem problem_;
  const std::optional<OfficialResult> official_;
  HostOutputs measured_;
  HostOutputs reference_;
  Buffer inputs_[4];   // boxes, scores, classes, counts
  Buffer outputs_[5];  // count, indices, boxes, scores, classes
  NmsCall reference_call_;
  Buffer workspace_;
  Buffer baseline_workspace_;  // empty where the problem is none for it
};

}  // namespace

std::unique_ptr<Case> make_nms_case(Device& device, NmsProblem problem,
                                    std::optional<OfficialResult> official) {
  return std::make_unique<NmsCase>(device, std::move(problem), std::move(official));
}

}  // namespace cudet::bench
