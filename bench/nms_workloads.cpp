// Made-up NMS workloads in the shapes of well-known detectors.
#include "nms_case.h"
#include "synthetic.h"
#include "workload.h"

#include <fmt/format.h>

#include <cstddef>
#include <limits>
#include <utility>

namespace cudet::bench {
namespace {

constexpr std::uint64_t kSeed = 20240601;

/// Boxes of an image for which the reference takes seconds.
constexpr std::int64_t kNoQuickRun = 100000;

enum class Layout { uniform, clustered, pyramid, dense };

/// One row of the table of workloads.
struct Row {
  const char* name;
  const char* description;
  std::int64_t batch;
  std::int64_t n;
  std::int32_t classes;
  Layout layout;
  std::int64_t objects;  ///< in an image, but for the layout uniform
  float iou_threshold;
  float score_threshold;
  std::int64_t max_outputs;
};

constexpr float kAllScores = -std::numeric_limits<float>::infinity();
constexpr std::int64_t kNoLimit = NmsOptions::kNoLimit;

// clang-format off
constexpr Row kRows[] = {
    {"nms/yolo", "one class, all cells of a 640 x 640 YOLO head, best 300",
     1, 8400, 1, Layout::clustered, 60, 0.7f, 0.001f, 300},
    {"nms/yolo-dense", "scores of 80 classes of the same head, above 0.25, best 300",
     1, 8400, 80, Layout::dense, 60, 0.7f, 0.25f, 300},
    {"nms/yolo-dense-low", "the same above 0.001, as when mAP is measured",
     1, 8400, 80, Layout::dense, 60, 0.7f, 0.001f, 300},
    {"nms/batch64", "64 images of one class, best 100",
     64, 1000, 1, Layout::clustered, 20, 0.5f, 0.05f, 100},
    {"nms/batch64-coco", "64 images of 80 classes, best 100",
     64, 1000, 80, Layout::clustered, 20, 0.5f, 0.05f, 100},
    {"nms/tiny", "the last boxes of a two-stage detector, 16 images of 80 classes",
     16, 100, 80, Layout::clustered, 10, 0.5f, 0.05f, 100},
    {"nms/rpn", "proposals of 2 images, pyramid levels as classes, best 1000",
     2, 4741, 5, Layout::pyramid, 100, 0.7f, kAllScores, 1000},
    {"nms/lvis", "1203 classes", 1, 20000, 1203, Layout::clustered, 200, 0.5f, kAllScores, 300},
    {"nms/uniform-0.5/4096", "few overlaps: most boxes stay",
     1, 4096, 1, Layout::uniform, 0, 0.5f, kAllScores, kNoLimit},
    {"nms/uniform-0.5/8192", "few overlaps: most boxes stay",
     1, 8192, 1, Layout::uniform, 0, 0.5f, kAllScores, kNoLimit},
    {"nms/uniform-0.7/4096", "few overlaps: most boxes stay",
     1, 4096, 1, Layout::uniform, 0, 0.7f, kAllScores, kNoLimit},
    {"nms/uniform-0.7/8192", "few overlaps: most boxes stay",
     1, 8192, 1, Layout::uniform, 0, 0.7f, kAllScores, kNoLimit},
    {"nms/clustered-0.5/100", "many boxes round each of 5 objects",
     1, 100, 1, Layout::clustered, 5, 0.5f, kAllScores, kNoLimit},
    {"nms/clustered-0.5/1000", "many boxes round each of 25 objects",
     1, 1000, 1, Layout::clustered, 25, 0.5f, kAllScores, kNoLimit},
    {"nms/clustered-0.5/4096", "many boxes round each of 100 objects",
     1, 4096, 1, Layout::clustered, 100, 0.5f, kAllScores, kNoLimit},
    {"nms/clustered-0.5/8192", "many boxes round each of 150 objects",
     1, 8192, 1, Layout::clustered, 150, 0.5f, kAllScores, kNoLimit},
    {"nms/clustered-0.5/20000", "many boxes round each of 200 objects",
     1, 20000, 1, Layout::clustered, 200, 0.5f, kAllScores, kNoLimit},
    {"nms/clustered-0.5/100000", "many boxes round each of 500 objects",
     1, 100000, 1, Layout::clustered, 500, 0.5f, kAllScores, kNoLimit},
    {"nms/clustered-0.7/4096", "many boxes round each of 100 objects",
     1, 4096, 1, Layout::clustered, 100, 0.7f, kAllScores, kNoLimit},
    {"nms/clustered-0.7/8192", "many boxes round each of 150 objects",
     1, 8192, 1, Layout::clustered, 150, 0.7f, kAllScores, kNoLimit},
};
// clang-format on

/// The best 1000 of each level of a feature pyramid, the coarsest of which has 19 x 13 cells with 3
/// anchors; the level takes the place of the class.
Candidates pyramid_candidates(Random& random, std::int64_t count, std::int64_t objects) {
  Candidates candidates = clustered_candidates(random, count, objects);
  for (std::size_t i = 0; i < candidates.classes.size(); ++i)
    candidates.classes[i] = static_cast<std::int32_t>(i / 1000);
  return candidates;
}

NmsProblem make_problem(const Row& row) {
  NmsProblem problem;
  problem.options.iou_threshold = row.iou_threshold;
  problem.options.score_threshold = row.score_threshold;
  problem.options.max_outputs = row.max_outputs;
  problem.batch = row.batch;
  problem.n = row.n;
  Random random(kSeed);
  for (std::int64_t b = 0; b < row.batch; ++b) {
    const Candidates image = row.layout == Layout::uniform
                                 ? uniform_candidates(random, row.n, row.classes)
                             : row.layout == Layout::pyramid
                                 ? pyramid_candidates(random, row.n, row.objects)
                                 : clustered_candidates(random, row.n, row.objects, row.classes);
    problem.boxes.insert(problem.boxes.end(), image.boxes.begin(), image.boxes.end());
    if (row.layout == Layout::dense) {
      const std::vector<float> scores = dense_scores(random, image, row.classes);
      problem.scores.insert(problem.scores.end(), scores.begin(), scores.end());
      problem.score_classes = row.classes;
      continue;
    }
    problem.scores.insert(problem.scores.end(), image.scores.begin(), image.scores.end());
    if (row.classes == 1) continue;
    problem.classes.insert(problem.classes.end(), image.classes.begin(), image.classes.end());
  }
  return problem;
}

}  // namespace

std::vector<Workload> nms_workloads() {
  std::vector<Workload> workloads;
  for (const Row& row : kRows) {
    Workload workload;
    workload.name = row.name;
    workload.description = fmt::format("{}; IoU > {:g}", row.description, row.iou_threshold);
    workload.shape = row.classes == 1
                         ? fmt::format("{} x {}", row.batch, row.n)
                         : fmt::format("{} x {}, {} classes", row.batch, row.n, row.classes);
    workload.in_quick_run = row.n < kNoQuickRun;
    workload.build = [&row](Device& device) { return make_nms_case(device, make_problem(row)); };
    workloads.push_back(std::move(workload));
  }
  return workloads;
}

}  // namespace cudet::bench
