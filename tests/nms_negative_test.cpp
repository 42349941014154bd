// What nms() and nms_workspace_size() refuse: one bad argument a row, with the code and the
// sentence that it gets, and nothing written.

#include <cudet/nms.h>

#include "support/host_tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

constexpr std::int64_t kBatch = 2;
constexpr std::int64_t kBoxes = 3;  // an image
constexpr std::int64_t kSlots = 2;

/// A valid call, whose arguments a row of the table spoils.
struct Call {
  HostTensor boxes =
      HostTensor::of_reals(DataType::float32, {kBatch, kBoxes, 4}, std::vector<float>(24, 1.0f));
  HostTensor scores =
      HostTensor::of_reals(DataType::float32, {kBatch, kBoxes}, std::vector<float>(6, 0.5f));
  HostTensor classes =
      HostTensor::of_integers(DataType::int64, {kBatch, kBoxes}, std::vector<std::int64_t>(6, 1));
  HostTensor counts = HostTensor::of_integers(DataType::int32, {kBatch}, {3, 3});
  HostTensor out_count = HostTensor(DataType::int32, {kBatch});
  HostTensor out_indices = HostTensor(DataType::int32, {kBatch, kSlots});
  HostTensor out_boxes = HostTensor(DataType::float32, {kBatch, kSlots, 4});
  HostTensor out_scores = HostTensor(DataType::float32, {kBatch, kSlots});
  HostTensor out_classes = HostTensor(DataType::int64, {kBatch, kSlots});
  HostTensor out_keep = HostTensor(DataType::uint8, {kBatch, kBoxes});
  HostTensor out_suppressed_by = HostTensor(DataType::int32, {kBatch, kBoxes});

  NmsOptions options;
  NmsInput input;
  NmsOutput output;

  Call() {
    options.max_outputs = kSlots;
    input.boxes = boxes.const_tensor();
    input.scores = scores.const_tensor();
    input.classes = classes.const_tensor();
    input.counts = counts.const_tensor();
    output = {out_count.tensor(),        out_indices.tensor(), out_boxes.tensor(),
              out_scores.tensor(),       out_classes.tensor(), out_keep.tensor(),
              out_suppressed_by.tensor()};
  }

  /// The options of a call with rotated boxes.
  NmsOptions& rotate() {
    options.format = BoxFormat::rotated;
    return options;
  }

  bool outputs_untouched() const {
    return out_count.is_all_poison() && out_indices.is_all_poison() && out_boxes.is_all_poison() &&
           out_scores.is_all_poison() && out_classes.is_all_poison() && out_keep.is_all_poison() &&
           out_suppressed_by.is_all_poison();
  }
};

struct Row {
  std::string name;
  std::function<void(Call&)> spoil;
  std::string message;
  StatusCode code = StatusCode::invalid_argument;
};

/// The tensor with another type, at the same place.
Tensor retyped(const Tensor& tensor, DataType type) {
  return Tensor(tensor.data(), type, tensor.rank(), tensor.shape(), nullptr, tensor.read_only());
}
Tensor reshaped(const Tensor& tensor, const std::vector<std::int64_t>& shape) {
  return Tensor(tensor.data(), tensor.type(), static_cast<int>(shape.size()), shape.data(), nullptr,
                tensor.read_only());
}
Tensor moved(const Tensor& tensor, void* data) {
  return Tensor(data, tensor.type(), tensor.rank(), tensor.shape(), nullptr, tensor.read_only());
}
Tensor const_view(const Tensor& tensor) {
  return Tensor(tensor.data(), tensor.type(), tensor.rank(), tensor.shape(), nullptr, true);
}
Tensor with_strides(const Tensor& tensor, const std::vector<std::int64_t>& strides) {
  return Tensor(tensor.data(), tensor.type(), tensor.rank(), tensor.shape(), strides.data(),
                tensor.read_only());
}
/// An address that is one byte, or one int32, off an aligned one; nothing may read there.
void* address(std::uintptr_t value) {
  return reinterpret_cast<void*>(value);
}

/// The same boxes as a ragged batch of two images.
void make_ragged(Call& c) {
  c.input.boxes = reshaped(c.input.boxes, {6, 4});
  c.input.scores = reshaped(c.input.scores, {6});
  c.input.classes = reshaped(c.input.classes, {6});
  c.input.offsets = reshaped(c.input.counts, {2});
  c.input.counts = Tensor();
}

const char* const kRealTypeNames = "float32 or float16 or bfloat16";

// Rows about options and about shapes and types of inputs, which a workspace query checks as well.
std::vector<Row> rows_of_query() {
  const float nan = std::nanf("");
  return {
      {"iou_threshold_negative", [](Call& c) { c.options.iou_threshold = -0.25f; },
       "nms: iou_threshold must be in [0, 1], got -0.25"},
      {"iou_threshold_above_one", [](Call& c) { c.options.iou_threshold = 1.5f; },
       "nms: iou_threshold must be in [0, 1], got 1.5"},
      {"iou_threshold_nan", [nan](Call& c) { c.options.iou_threshold = nan; },
       "nms: iou_threshold must be in [0, 1], got nan"},
      {"score_threshold_nan", [nan](Call& c) { c.options.score_threshold = nan; },
       "nms: score_threshold must be a number, got nan"},
      {"max_outputs_negative", [](Call& c) { c.options.max_outputs = -2; },
       "nms: max_outputs must be -1 (no limit) or more, got -2"},
      {"metric_unknown", [](Call& c) { c.options.metric = static_cast<OverlapMetric>(5); },
       "nms: metric must be iou, min_area, giou, diou or ciou, got 5"},
      {"method_unknown", [](Call& c) { c.options.method = static_cast<NmsMethod>(6); },
       "nms: method must be greedy, soft_linear, soft_gaussian, matrix_linear, matrix_gaussian or "
       "weighted, got 6"},
      {"soft_metric",
       [](Call& c) {
         c.options.method = NmsMethod::soft_linear;
         c.options.metric = OverlapMetric::giou;
       },
       "nms: metric must be iou or min_area for soft_linear, got giou"},
      {"sigma_zero", [](Call& c) { c.options.sigma = 0.0f; },
       "nms: sigma must be positive and finite, got 0"},
      {"sigma_nan", [nan](Call& c) { c.options.sigma = nan; },
       "nms: sigma must be positive and finite, got nan"},
      {"decayed_score_threshold_nan", [nan](Call& c) { c.options.decayed_score_threshold = nan; },
       "nms: decayed_score_threshold must be a number, got nan"},
      {"min_area_threshold_negative",
       [](Call& c) {
         c.options.metric = OverlapMetric::min_area;
         c.options.iou_threshold = -0.5f;
       },
       "nms: iou_threshold must be in [0, 1], got -0.5"},
      {"giou_threshold_below_minus_one",
       [](Call& c) {
         c.options.metric = OverlapMetric::giou;
         c.options.iou_threshold = -1.5f;
       },
       "nms: iou_threshold must be in [-1, 1], got -1.5"},
      {"activation_unknown",
       [](Call& c) { c.options.score_activation = static_cast<ScoreActivation>(2); },
       "nms: score_activation must be none or sigmoid, got 2"},
      {"layout_unknown", [](Call& c) { c.options.score_layout = static_cast<ScoreLayout>(-1); },
       "nms: score_layout must be box_class or class_box, got -1"},
      {"top_k_negative", [](Call& c) { c.options.pre_nms_top_k = -2; },
       "nms: pre_nms_top_k must be -1 (no limit) or more, got -2"},
      {"max_outputs_per_class_negative", [](Call& c) { c.options.max_outputs_per_class = -5; },
       "nms: max_outputs_per_class must be -1 (no limit) or more, got -5"},
      {"max_image_boxes_negative", [](Call& c) { c.input.max_image_boxes = -2; },
       "nms: max_image_boxes must be -1 (no limit) or more, got -2"},
      {"format_unknown", [](Call& c) { c.options.format = static_cast<BoxFormat>(4); },
       "nms: format must be xyxy, xywh, cxcywh or rotated, got 4"},
      {"format_negative", [](Call& c) { c.options.format = static_cast<BoxFormat>(-1); },
       "nms: format must be xyxy, xywh, cxcywh or rotated, got -1"},
      {"rotated_angle_unit", [](Call& c) { c.rotate().angle_unit = static_cast<AngleUnit>(2); },
       "nms: angle_unit must be degrees or radians, got 2"},
      {"rotated_angle_direction",
       [](Call& c) { c.rotate().angle_direction = static_cast<AngleDirection>(-1); },
       "nms: angle_direction must be counter_clockwise or clockwise, got -1"},
      {"rotated_metric", [](Call& c) { c.rotate().metric = OverlapMetric::giou; },
       "nms: metric must be iou or min_area for rotated boxes, got giou"},
      {"rotated_weighted", [](Call& c) { c.rotate().method = NmsMethod::weighted; },
       "nms: method must not be weighted for rotated boxes, got weighted"},
      {"rotated_legacy_offset", [](Call& c) { c.rotate().legacy_offset = true; },
       "nms: legacy_offset must be false for rotated boxes, got true"},
      {"rotated_reorder_corners", [](Call& c) { c.rotate().reorder_corners = true; },
       "nms: reorder_corners must be false for rotated boxes, got true"},
      {"rotated_boxes_of_four", [](Call& c) { c.rotate(); },
       "nms: boxes must be [batch, n, 5], got [2, 3, 4]"},

      {"boxes_absent", [](Call& c) { c.input.boxes = Tensor(); },
       "nms: boxes must be given as [batch, n, 4], got none"},
      {"boxes_rank",
       [](Call& c) {
         c.input.boxes = reshaped(c.input.boxes, {6, 4});
       },
       "nms: boxes must be [batch, n, 4], got [6, 4]"},
      {"boxes_last_dimension",
       [](Call& c) {
         c.input.boxes = reshaped(c.input.boxes, {2, 3, 5});
       },
       "nms: boxes must be [batch, n, 4], got [2, 3, 5]"},
      {"boxes_negative_size",
       [](Call& c) {
         c.input.boxes = reshaped(c.input.boxes, {2, -3, 4});
       },
       "nms: boxes must be [batch, n, 4], got [2, -3, 4]"},
      {"boxes_type", [](Call& c) { c.input.boxes = retyped(c.input.boxes, DataType::int32); },
       std::string("nms: boxes must be of type ") + kRealTypeNames + ", got int32"},
      {"boxes_size",
       [](Call& c) {
         c.input.boxes = reshaped(c.input.boxes, {4294967296, 2147483648, 4});
       },
       "nms: boxes must have a size in bytes below 2^63, got [4294967296, 2147483648, 4]"},

      {"scores_absent", [](Call& c) { c.input.scores = Tensor(); },
       "nms: scores must be given as [batch, n] = [2, 3], got none"},
      {"scores_rank", [](Call& c) { c.input.scores = reshaped(c.input.scores, {6}); },
       "nms: scores must be [batch, n] = [2, 3], got [6]"},
      {"scores_batch",
       [](Call& c) {
         c.input.scores = reshaped(c.input.scores, {1, 3});
       },
       "nms: scores must be [batch, n] = [2, 3], got [1, 3]"},
      {"scores_n",
       [](Call& c) {
         c.input.scores = reshaped(c.input.scores, {2, 2});
       },
       "nms: scores must be [batch, n] = [2, 3], got [2, 2]"},
      {"scores_type", [](Call& c) { c.input.scores = retyped(c.input.scores, DataType::uint8); },
       std::string("nms: scores must be of type ") + kRealTypeNames + ", got uint8"},

      {"classes_shape",
       [](Call& c) {
         c.input.classes = reshaped(c.input.classes, {3, 2});
       },
       "nms: classes must be [batch, n] = [2, 3], got [3, 2]"},
      {"classes_type",
       [](Call& c) { c.input.classes = retyped(c.input.classes, DataType::float32); },
       "nms: classes must be of type int32 or int64, got float32"},

      {"counts_shape", [](Call& c) { c.input.counts = reshaped(c.input.counts, {1}); },
       "nms: counts must be [batch] = [2], got [1]"},
      {"counts_rank",
       [](Call& c) {
         c.input.counts = reshaped(c.input.counts, {2, 1});
       },
       "nms: counts must be [batch] = [2], got [2, 1]"},
      {"counts_type", [](Call& c) { c.input.counts = retyped(c.input.counts, DataType::int64); },
       "nms: counts must be of type int32, got int64"},

      {"dense_scores_with_classes",
       [](Call& c) {
         c.input.scores = reshaped(c.input.scores, {2, 3, 1});
       },
       "nms: classes must be absent for dense scores, got a tensor"},
      {"dense_scores_n",
       [](Call& c) {
         c.input.scores = reshaped(c.input.scores, {2, 1, 3});
       },
       "nms: scores must be [batch, n, classes] = [2, 3, classes], got [2, 1, 3]"},
      {"dense_scores_of_the_other_layout",
       [](Call& c) {
         c.options.score_layout = ScoreLayout::class_box;
         c.input.scores = reshaped(c.input.scores, {2, 3, 1});
       },
       "nms: scores must be [batch, classes, n] = [2, classes, 3], got [2, 3, 1]"},
      {"dense_scores_without_classes",
       [](Call& c) {
         c.input.scores = reshaped(c.input.scores, {2, 3, 0});
       },
       "nms: scores must have 1 class or more, got 0"},
      {"boxes_of_other_classes",
       [](Call& c) {
         c.input.boxes = reshaped(c.input.boxes, {2, 3, 1, 4});
         c.input.scores = reshaped(c.input.scores, {2, 3, 2});
       },
       "nms: scores must be [batch, n, classes] = [2, 3, 1], got [2, 3, 2]"},
      {"iou_thresholds_shape",
       [](Call& c) {
         c.input.iou_thresholds = reshaped(c.input.scores, {2, 3});
       },
       "nms: iou_thresholds must be [classes], got [2, 3]"},
      {"iou_thresholds_type",
       [](Call& c) {
         c.input.iou_thresholds = reshaped(retyped(c.input.scores, DataType::float16), {6});
       },
       "nms: iou_thresholds must be of type float32, got float16"},
      {"iou_thresholds_class_agnostic",
       [](Call& c) {
         c.options.class_agnostic = true;
         c.input.iou_thresholds = reshaped(c.input.scores, {6});
       },
       "nms: iou_thresholds must be absent with class_agnostic, got a tensor"},
      {"iou_thresholds_without_classes",
       [](Call& c) {
         c.input.classes = Tensor();
         c.input.iou_thresholds = reshaped(c.input.scores, {6});
       },
       "nms: iou_thresholds must be absent for boxes without classes, got a tensor"},
      {"offsets_type",
       [](Call& c) {
         make_ragged(c);
         c.input.offsets = retyped(c.input.offsets, DataType::uint8);
       },
       "nms: offsets must be of type int32 or int64, got uint8"},
      {"offsets_empty",
       [](Call& c) {
         make_ragged(c);
         c.input.offsets = reshaped(c.input.offsets, {0});
       },
       "nms: offsets must be [batch + 1] with batch >= 0, got [0]"},
      {"ragged_boxes_rank",
       [](Call& c) {
         make_ragged(c);
         c.input.boxes = reshaped(c.input.boxes, {2, 3, 4});
       },
       "nms: boxes must be [total, 4], got [2, 3, 4]"},
      {"ragged_scores_total",
       [](Call& c) {
         make_ragged(c);
         c.input.scores = reshaped(c.input.scores, {5});
       },
       "nms: scores must be [total] = [6], got [5]"},
      {"ragged_with_counts",
       [](Call& c) {
         const Tensor counts = c.input.counts;
         make_ragged(c);
         c.input.counts = counts;
       },
       "nms: counts must be absent with offsets, got a tensor"},
      {"ragged_class_box",
       [](Call& c) {
         make_ragged(c);
         c.options.score_layout = ScoreLayout::class_box;
         c.input.scores = reshaped(c.input.scores, {6, 1});
       },
       "nms: score_layout must be box_class for ragged batches, got class_box",
       StatusCode::unsupported},
  };
}

// Rows that only the call itself can refuse, wherever it runs.
std::vector<Row> rows_of_call() {
  return {
      {"boxes_null", [](Call& c) { c.input.boxes = moved(c.input.boxes, nullptr); },
       "nms: boxes must have data for its shape [2, 3, 4], got a null pointer"},
      {"boxes_alignment", [](Call& c) { c.input.boxes = moved(c.input.boxes, address(0x1002)); },
       "nms: boxes must be aligned to 4 bytes, got address 0x1002"},
      {"boxes_strides",
       [](Call& c) {
         c.input.boxes = with_strides(c.input.boxes, {12, 1, 3});
       },
       "nms: boxes must be contiguous, got strides [12, 1, 3]", StatusCode::unsupported},
      {"scores_null", [](Call& c) { c.input.scores = moved(c.input.scores, nullptr); },
       "nms: scores must have data for its shape [2, 3], got a null pointer"},
      {"scores_alignment",
       [](Call& c) {
         c.input.scores = moved(retyped(c.input.scores, DataType::float16), address(0x1001));
       },
       "nms: scores must be aligned to 2 bytes, got address 0x1001"},
      {"scores_strides",
       [](Call& c) {
         c.input.scores = with_strides(c.input.scores, {1, 2});
       },
       "nms: scores must be contiguous, got strides [1, 2]", StatusCode::unsupported},
      {"classes_null", [](Call& c) { c.input.classes = moved(c.input.classes, nullptr); },
       "nms: classes must have data for its shape [2, 3], got a null pointer"},
      {"classes_alignment",
       [](Call& c) { c.input.classes = moved(c.input.classes, address(0x1004)); },
       "nms: classes must be aligned to 8 bytes, got address 0x1004"},
      {"classes_strides",
       [](Call& c) {
         c.input.classes = with_strides(c.input.classes, {0, 1});
       },
       "nms: classes must be contiguous, got strides [0, 1]", StatusCode::unsupported},
      {"counts_null", [](Call& c) { c.input.counts = moved(c.input.counts, nullptr); },
       "nms: counts must have data for its shape [2], got a null pointer"},
      {"counts_alignment", [](Call& c) { c.input.counts = moved(c.input.counts, address(0x1003)); },
       "nms: counts must be aligned to 4 bytes, got address 0x1003"},
      {"counts_strides", [](Call& c) { c.input.counts = with_strides(c.input.counts, {2}); },
       "nms: counts must be contiguous, got strides [2]", StatusCode::unsupported},

      {"count_shape", [](Call& c) { c.output.count = reshaped(c.output.count, {1}); },
       "nms: output.count must be [batch] = [2], got [1]"},
      {"count_type", [](Call& c) { c.output.count = retyped(c.output.count, DataType::int64); },
       "nms: output.count must be of type int32, got int64"},
      {"count_null", [](Call& c) { c.output.count = moved(c.output.count, nullptr); },
       "nms: output.count must have data for its shape [2], got a null pointer"},
      {"count_read_only", [](Call& c) { c.output.count = const_view(c.output.count); },
       "nms: output.count must be writable, got a view of const data"},
      {"count_alignment", [](Call& c) { c.output.count = moved(c.output.count, address(0x1002)); },
       "nms: output.count must be aligned to 4 bytes, got address 0x1002"},
      {"count_strides", [](Call& c) { c.output.count = with_strides(c.output.count, {3}); },
       "nms: output.count must be contiguous, got strides [3]", StatusCode::unsupported},

      {"indices_shape",
       [](Call& c) {
         c.output.indices = reshaped(c.output.indices, {2, 3});
       },
       "nms: output.indices must be [batch, max_outputs] = [2, 2], got [2, 3]"},
      {"indices_shape_without_limit", [](Call& c) { c.options.max_outputs = NmsOptions::kNoLimit; },
       "nms: output.indices must be [batch, max_outputs] = [2, 3], got [2, 2]"},
      {"indices_type",
       [](Call& c) { c.output.indices = retyped(c.output.indices, DataType::float32); },
       "nms: output.indices must be of type int32 or int64, got float32"},
      {"indices_null", [](Call& c) { c.output.indices = moved(c.output.indices, nullptr); },
       "nms: output.indices must have data for its shape [2, 2], got a null pointer"},
      {"indices_read_only", [](Call& c) { c.output.indices = const_view(c.output.indices); },
       "nms: output.indices must be writable, got a view of const data"},
      {"indices_strides",
       [](Call& c) {
         c.output.indices = with_strides(c.output.indices, {1, 2});
       },
       "nms: output.indices must be contiguous, got strides [1, 2]", StatusCode::unsupported},

      {"out_boxes_shape",
       [](Call& c) {
         c.output.boxes = reshaped(c.output.boxes, {2, 4, 2});
       },
       "nms: output.boxes must be [batch, max_outputs, 4] = [2, 2, 4], got [2, 4, 2]"},
      {"out_boxes_type",
       [](Call& c) { c.output.boxes = retyped(c.output.boxes, DataType::float16); },
       "nms: output.boxes must be of type float32, got float16"},
      {"out_boxes_null", [](Call& c) { c.output.boxes = moved(c.output.boxes, nullptr); },
       "nms: output.boxes must have data for its shape [2, 2, 4], got a null pointer"},
      {"out_boxes_read_only", [](Call& c) { c.output.boxes = const_view(c.output.boxes); },
       "nms: output.boxes must be writable, got a view of const data"},
      {"out_boxes_strides",
       [](Call& c) {
         c.output.boxes = with_strides(c.output.boxes, {16, 4, 1});
       },
       "nms: output.boxes must be contiguous, got strides [16, 4, 1]", StatusCode::unsupported},

      {"out_scores_shape",
       [](Call& c) {
         c.output.scores = reshaped(c.output.scores, {1, 2});
       },
       "nms: output.scores must be [batch, max_outputs] = [2, 2], got [1, 2]"},
      {"out_scores_type",
       [](Call& c) { c.output.scores = retyped(c.output.scores, DataType::bfloat16); },
       "nms: output.scores must be of type float32, got bfloat16"},
      {"out_scores_null", [](Call& c) { c.output.scores = moved(c.output.scores, nullptr); },
       "nms: output.scores must have data for its shape [2, 2], got a null pointer"},
      {"out_scores_read_only", [](Call& c) { c.output.scores = const_view(c.output.scores); },
       "nms: output.scores must be writable, got a view of const data"},
      {"out_scores_strides",
       [](Call& c) {
         c.output.scores = with_strides(c.output.scores, {4, 1});
       },
       "nms: output.scores must be contiguous, got strides [4, 1]", StatusCode::unsupported},

      {"out_classes_without_input", [](Call& c) { c.input.classes = Tensor(); },
       "nms: output.classes must be absent where input.classes is, got a tensor"},
      {"out_classes_shape", [](Call& c) { c.output.classes = reshaped(c.output.classes, {4}); },
       "nms: output.classes must be [batch, max_outputs] = [2, 2], got [4]"},
      {"out_classes_type",
       [](Call& c) { c.output.classes = retyped(c.output.classes, DataType::int32); },
       "nms: output.classes must be of type int64, got int32"},
      {"out_classes_null", [](Call& c) { c.output.classes = moved(c.output.classes, nullptr); },
       "nms: output.classes must have data for its shape [2, 2], got a null pointer"},
      {"out_classes_read_only", [](Call& c) { c.output.classes = const_view(c.output.classes); },
       "nms: output.classes must be writable, got a view of const data"},
      {"out_classes_strides",
       [](Call& c) {
         c.output.classes = with_strides(c.output.classes, {1, 2});
       },
       "nms: output.classes must be contiguous, got strides [1, 2]", StatusCode::unsupported},

      {"keep_shape", [](Call& c) { c.output.keep = reshaped(c.output.keep, {6}); },
       "nms: output.keep must be [batch, n] = [2, 3], got [6]"},
      {"keep_type", [](Call& c) { c.output.keep = retyped(c.output.keep, DataType::int32); },
       "nms: output.keep must be of type uint8, got int32"},
      {"suppressed_by_shape",
       [](Call& c) {
         c.output.suppressed_by = reshaped(c.output.suppressed_by, {2, 2});
       },
       "nms: output.suppressed_by must be [batch, n] = [2, 3], got [2, 2]"},
      {"suppressed_by_type",
       [](Call& c) { c.output.suppressed_by = retyped(c.output.suppressed_by, DataType::uint8); },
       "nms: output.suppressed_by must be of type int32 or int64, got uint8"},
      {"suppressed_by_overlaps_scores",
       [](Call& c) { c.output.suppressed_by = moved(c.output.suppressed_by, c.scores.data()); },
       "nms: output.suppressed_by must not overlap scores, got memory shared by both"},
      {"suppressed_by_of_a_matrix_method",
       [](Call& c) { c.options.method = NmsMethod::matrix_gaussian; },
       "nms: output.suppressed_by must be absent for matrix_gaussian, got a tensor"},
      {"keep_read_only", [](Call& c) { c.output.keep = const_view(c.output.keep); },
       "nms: output.keep must be writable, got a view of const data"},
      {"out_boxes_overlap_boxes",
       [](Call& c) { c.output.boxes = moved(c.output.boxes, c.boxes.data()); },
       "nms: output.boxes must not overlap boxes, got memory shared by both"},
      {"out_scores_overlap_scores",
       [](Call& c) { c.output.scores = moved(c.output.scores, c.scores.data() + 4); },
       "nms: output.scores must not overlap scores, got memory shared by both"},
      {"out_classes_overlap_classes",
       [](Call& c) { c.output.classes = moved(c.output.classes, c.classes.data()); },
       "nms: output.classes must not overlap classes, got memory shared by both"},
      {"count_overlaps_counts",
       [](Call& c) { c.output.count = moved(c.output.count, c.counts.data()); },
       "nms: output.count must not overlap counts, got memory shared by both"},
      {"indices_overlap_count",
       [](Call& c) { c.output.count = moved(c.output.count, c.out_indices.data() + 8); },
       "nms: output.indices must not overlap output.count, got memory shared by both"},
      {"out_classes_overlap_out_boxes",
       [](Call& c) { c.output.classes = moved(c.output.classes, c.out_boxes.data()); },
       "nms: output.classes must not overlap output.boxes, got memory shared by both"},
  };
}

std::vector<Row> all_rows() {
  std::vector<Row> rows = rows_of_query();
  for (Row& row : rows_of_call())
    rows.push_back(std::move(row));
  return rows;
}

void expect_refusal(const Status& status, const Row& row, const Call& call) {
  EXPECT_EQ(status.message(), row.message);
  EXPECT_STREQ(to_string(status.code()), to_string(row.code));
  EXPECT_TRUE(call.outputs_untouched());
}

std::string row_name(const testing::TestParamInfo<Row>& info) {
  return info.param.name;
}
void PrintTo(const Row& row, std::ostream* stream) {
  *stream << row.name;
}

class NmsRefuses : public testing::TestWithParam<Row> {};

TEST_P(NmsRefuses, InTheReference) {
  Call call;
  GetParam().spoil(call);
  expect_refusal(reference::nms(call.options, call.input, call.output), GetParam(), call);
}

TEST_P(NmsRefuses, OnTheCpu) {
  Call call;
  GetParam().spoil(call);
  expect_refusal(nms(call.options, call.input, call.output, Execution::cpu()), GetParam(), call);
}

// Arguments are checked before anything is launched: no device is needed.
TEST_P(NmsRefuses, OnADevice) {
  Call call;
  GetParam().spoil(call);
  expect_refusal(nms(call.options, call.input, call.output, Execution::cuda(nullptr)), GetParam(),
                 call);
}
INSTANTIATE_TEST_SUITE_P(Rows, NmsRefuses, testing::ValuesIn(all_rows()), row_name);

class NmsWorkspaceSizeRefuses : public testing::TestWithParam<Row> {};

TEST_P(NmsWorkspaceSizeRefuses, Row) {
  Call call;
  GetParam().spoil(call);
  std::size_t bytes = 12345;
  expect_refusal(nms_workspace_size(call.options, call.input, &bytes), GetParam(), call);
  EXPECT_EQ(bytes, 12345u);
}
INSTANTIATE_TEST_SUITE_P(Rows, NmsWorkspaceSizeRefuses, testing::ValuesIn(rows_of_query()),
                         row_name);

TEST(NmsRefusals, TheCallThatRowsSpoilIsValid) {
  Call call;
  const Status status = reference::nms(call.options, call.input, call.output);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_FALSE(call.outputs_untouched());
}

TEST(NmsRefusals, TheFirstBadArgumentDecides) {
  Call call;
  call.output.count = Tensor(static_cast<float*>(nullptr), {7});
  call.input.counts = reshaped(call.input.counts, {9});
  call.input.scores = reshaped(call.input.scores, {9, 9});
  call.options.iou_threshold = 2.0f;
  const auto message = [&] {
    return std::string(reference::nms(call.options, call.input, call.output).message());
  };
  EXPECT_EQ(message(), "nms: iou_threshold must be in [0, 1], got 2");
  call.options.iou_threshold = 0.5f;
  EXPECT_EQ(message(), "nms: scores must be [batch, n] = [2, 3], got [9, 9]");
  call.input.scores = call.scores.const_tensor();
  EXPECT_EQ(message(), "nms: counts must be [batch] = [2], got [9]");
  call.input.counts = call.counts.const_tensor();
  EXPECT_EQ(message(), "nms: output.count must be [batch] = [2], got [7]");
}

TEST(NmsRefusals, NegativeThreads) {
  Call call;
  const Status status = nms(call.options, call.input, call.output, Execution::cpu(-1));
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_STREQ(status.message(), "nms: threads must be 0 (all) or more, got -1");
  EXPECT_TRUE(call.outputs_untouched());
}

TEST(NmsRefusals, TheResultOfAQueryMustNotBeNull) {
  Call call;
  const Status status = nms_workspace_size(call.options, call.input, nullptr);
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_STREQ(status.message(), "nms: bytes must point to the result, got a null pointer");
}

}  // namespace
}  // namespace cudet::test
