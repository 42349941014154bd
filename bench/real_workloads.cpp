// NMS on the candidates of real detectors; the kept boxes must be those of the detector's own
// post-processing. data/PROVENANCE.md says where the files come from and describes index.json.
#include "nms_case.h"
#include "workload.h"

#include "../tests/support/npy.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace cudet::bench {
namespace {

using Json = nlohmann::json;

/// Candidates of one image and what its detector keeps of them: files of the data directory.
struct ImageFiles {
  std::int64_t rows = 0;  ///< candidates: this many rows of the files, from the first
  std::string boxes;
  std::string scores;
  std::string classes;  ///< empty where there is one class
  std::string keep;
};

/// One entry of index.json.
struct Entry {
  std::string directory;
  NmsOptions options;
  bool ordered = true;
  std::int64_t repeat = 1;  ///< the batch is the list of images this many times
  std::vector<ImageFiles> images;

  std::int64_t batch() const { return repeat * static_cast<std::int64_t>(images.size()); }
  std::int64_t n() const {
    std::int64_t most = 0;
    for (const ImageFiles& image : images)
      most = std::max(most, image.rows);
    return most;
  }
};

BoxFormat box_format(const std::string& name) {
  for (const BoxFormat format : {BoxFormat::xyxy, BoxFormat::xywh, BoxFormat::cxcywh}) {
    if (name == to_string(format)) return format;
  }
  throw std::runtime_error("unknown box format " + name);
}

bool is_ordered(const std::string& compare) {
  if (compare != "list" && compare != "set") {
    throw std::runtime_error("compare must be list or set, got " + compare);
  }
  return compare == "list";
}

Entry read_entry(const Json& json, const std::string& directory) {
  Entry entry;
  entry.directory = directory;
  NmsOptions& options = entry.options;
  options.iou_threshold = json.at("iou_threshold").get<float>();
  options.score_threshold = json.value("score_threshold", options.score_threshold);
  options.max_outputs = json.value("max_outputs", NmsOptions::kNoLimit);
  options.class_agnostic = json.value("class_agnostic", false);
  options.format = box_format(json.value("format", "xyxy"));
  options.legacy_offset = json.value("legacy_offset", false);
  entry.ordered = is_ordered(json.at("compare").get<std::string>());
  entry.repeat = json.value("repeat", entry.repeat);
  for (const Json& image : json.at("images")) {
    entry.images.push_back({image.at("rows").get<std::int64_t>(),
                            image.at("boxes").get<std::string>(),
                            image.at("scores").get<std::string>(), image.value("classes", ""),
                            image.at("keep").get<std::string>()});
  }
  if (entry.images.empty() || entry.repeat < 1) throw std::runtime_error("no images");
  return entry;
}

/// The first `count` elements of a file, zeros up to `padded` elements after them.
template <class T>
std::vector<T> read_padded(const std::string& path, std::int64_t count, std::int64_t padded) {
  std::vector<T> values = test::Array::read(path).values<T>();
  if (static_cast<std::int64_t>(values.size()) < count) {
    throw std::runtime_error(
        fmt::format("{}: has {} elements, index.json asks for {}", path, values.size(), count));
  }
  values.resize(static_cast<std::size_t>(count));
  values.resize(static_cast<std::size_t>(padded), T(0));
  return values;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

std::unique_ptr<Case> build(Device& device, const Entry& entry) {
  NmsProblem problem;
  problem.options = entry.options;
  problem.batch = entry.batch();
  problem.n = entry.n();
  OfficialResult official;
  official.ordered = entry.ordered;
  for (std::int64_t i = 0; i < entry.repeat; ++i) {
    for (const ImageFiles& image : entry.images) {
      const auto path = [&entry](const std::string& file) { return entry.directory + "/" + file; };
      append(problem.boxes, read_padded<float>(path(image.boxes), 4 * image.rows, 4 * problem.n));
      append(problem.scores, read_padded<float>(path(image.scores), image.rows, problem.n));
      if (!image.classes.empty()) {
        append(problem.classes,
               read_padded<std::int32_t>(path(image.classes), image.rows, problem.n));
      }
      if (problem.batch > 1) problem.counts.push_back(static_cast<std::int32_t>(image.rows));
      official.keep.push_back(test::Array::read(path(image.keep)).values<std::int32_t>());
    }
  }
  return make_nms_case(device, std::move(problem), std::move(official));
}

Workload make_workload(const Json& json, const std::string& directory) {
  const Entry entry = read_entry(json, directory);
  Workload workload;
  workload.name = "real/" + json.at("name").get<std::string>();
  workload.description = json.at("description").get<std::string>();
  workload.shape = fmt::format("{} x {}", entry.batch(), entry.n());
  if (json.contains("num_classes")) {
    workload.shape += fmt::format(", {} classes", json.at("num_classes").get<int>());
  }
  workload.build = [entry](Device& device) { return build(device, entry); };
  return workload;
}

}  // namespace

std::vector<Workload> real_workloads(const std::string& directory) {
  const std::string path = directory + "/index.json";
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  std::vector<Workload> workloads;
  try {
    const Json index = Json::parse(file);
    for (const Json& json : index.at("workloads"))
      workloads.push_back(make_workload(json, directory));
  } catch (const std::exception& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
  return workloads;
}

}  // namespace cudet::bench
