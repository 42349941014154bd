// Argument checks of nms().
#include "check.h"
#include "nms_plan.h"

#include <algorithm>
#include <cinttypes>
#include <limits>

namespace cudet {
namespace {

constexpr const char* kOperation = "nms";
constexpr std::initializer_list<DataType> kIndexTypes = {DataType::int32, DataType::int64};

Status invalid(const char* message) {
  return Status::error(StatusCode::invalid_argument, "%s", message);
}

Status check_count(const char* name, std::int64_t value) {
  if (value >= NmsOptions::kNoLimit) return Status();
  return Status::error(StatusCode::invalid_argument,
                       "nms: %s must be -1 (no limit) or more, got %" PRId64, name, value);
}

Status check_options_of_rotated(const NmsOptions& options) {
  if (!is_enumerator(options.angle_unit, 2)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: angle_unit must be degrees or radians, got %d",
                         static_cast<int>(options.angle_unit));
  }
  if (!is_enumerator(options.angle_direction, 2)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: angle_direction must be counter_clockwise or clockwise, got %d",
                         static_cast<int>(options.angle_direction));
  }
  if (options.metric != OverlapMetric::iou && options.metric != OverlapMetric::min_area) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: metric must be iou or min_area for rotated boxes, got %s",
                         to_string(options.metric));
  }
  if (options.method == NmsMethod::weighted) {
    return invalid("nms: method must not be weighted for rotated boxes, got weighted");
  }
  if (options.legacy_offset) {
    return invalid("nms: legacy_offset must be false for rotated boxes, got true");
  }
  if (options.reorder_corners) {
    return invalid("nms: reorder_corners must be false for rotated boxes, got true");
  }
  return Status();
}

Status check_options(const NmsOptions& options) {
  if (!is_enumerator(options.metric, 5)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: metric must be iou, min_area, giou, diou or ciou, got %d",
                         static_cast<int>(options.metric));
  }
  const bool is_ratio =
      options.metric == OverlapMetric::iou || options.metric == OverlapMetric::min_area;
  if (!is_enumerator(options.method, 6)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: method must be greedy, soft_linear, soft_gaussian, matrix_linear, "
                         "matrix_gaussian or weighted, got %d",
                         static_cast<int>(options.method));
  }
  if (decays_scores(options.method) && !is_ratio) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: metric must be iou or min_area for %s, got %s",
                         to_string(options.method), to_string(options.metric));
  }
  const float lowest = is_ratio ? 0.0f : -1.0f;
  if (!(options.iou_threshold >= lowest && options.iou_threshold <= 1.0f)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: iou_threshold must be in [%d, 1], got %g", is_ratio ? 0 : -1,
                         static_cast<double>(options.iou_threshold));
  }
  if (!(options.sigma > 0.0f && options.sigma <= std::numeric_limits<float>::max())) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: sigma must be positive and finite, got %g",
                         static_cast<double>(options.sigma));
  }
  if (options.decayed_score_threshold != options.decayed_score_threshold) {
    return invalid("nms: decayed_score_threshold must be a number, got nan");
  }
  if (options.score_threshold != options.score_threshold) {
    return invalid("nms: score_threshold must be a number, got nan");
  }
  if (!is_enumerator(options.score_activation, 2)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: score_activation must be none or sigmoid, got %d",
                         static_cast<int>(options.score_activation));
  }
  CUDET_RETURN_IF_ERROR(check_count("pre_nms_top_k", options.pre_nms_top_k));
  CUDET_RETURN_IF_ERROR(check_count("max_outputs", options.max_outputs));
  CUDET_RETURN_IF_ERROR(check_count("max_outputs_per_class", options.max_outputs_per_class));
  if (!is_enumerator(options.score_layout, 2)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: score_layout must be box_class or class_box, got %d",
                         static_cast<int>(options.score_layout));
  }
  if (!is_enumerator(options.format, 4)) {
    return Status::error(StatusCode::invalid_argument,
                         "nms: format must be xyxy, xywh, cxcywh or rotated, got %d",
                         static_cast<int>(options.format));
  }
  return options.format == BoxFormat::rotated ? check_options_of_rotated(options) : Status();
}

using Check = Status (*)(const TensorContract&, const Tensor&) noexcept;

/// Checks a tensor of two to four dimensions of which the first two are merged in ragged batches.
Status check_per_box(Check check, const NmsShape& shape, const char* argument,
                     std::initializer_list<DataType> types, const Tensor& tensor,
                     std::initializer_list<Dimension> inner) {
  const Dimension batch = {"batch", shape.batch};
  const Dimension n = {"n", shape.n};
  const Dimension total = {"total", shape.total};
  const Dimension* const d = inner.begin();
  switch (inner.size()) {
    case 0:
      return shape.ragged ? check({kOperation, argument, {total}, types}, tensor)
                          : check({kOperation, argument, {batch, n}, types}, tensor);
    case 1:
      return shape.ragged ? check({kOperation, argument, {total, d[0]}, types}, tensor)
                          : check({kOperation, argument, {batch, n, d[0]}, types}, tensor);
    default:
      return shape.ragged ? check({kOperation, argument, {total, d[0], d[1]}, types}, tensor)
                          : check({kOperation, argument, {batch, n, d[0], d[1]}, types}, tensor);
  }
}

/// Checks a tensor that has an element for each score.
Status check_per_score(Check check, const NmsOptions& options, const NmsShape& shape,
                       const char* argument, std::initializer_list<DataType> types,
                       const Tensor& tensor) {
  if (!shape.dense) return check_per_box(check, shape, argument, types, tensor, {});
  const Dimension classes = {"classes", shape.classes};
  if (options.score_layout == ScoreLayout::class_box) {
    return check({kOperation, argument, {{"batch", shape.batch}, classes, {"n", shape.n}}, types},
                 tensor);
  }
  return check_per_box(check, shape, argument, types, tensor, {classes});
}

std::int64_t saturating_product(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<std::int64_t>::max()
                                                : product;
}

Dimension numbers_of_box(const NmsShape& shape) {
  return shape.rotated ? Dimension{"5", 5} : Dimension{"4", 4};
}

/// Finds out which form the input has, and its sizes as far as the boxes tell them.
Status check_boxes(Check check, const NmsOptions& options, const NmsInput& input, NmsShape* shape) {
  shape->rotated = options.format == BoxFormat::rotated;
  shape->ragged = input.offsets.present();
  const int leading = shape->ragged ? 1 : 2;
  shape->dense = input.scores.present() && input.scores.rank() == leading + 1;
  shape->boxes_per_class = shape->dense && input.boxes.rank() == leading + 2;
  shape->batch = shape->n = shape->total = Dimension::kAny;
  const Dimension numbers = numbers_of_box(*shape);
  std::initializer_list<Dimension> of_boxes = {numbers};
  std::initializer_list<Dimension> of_classes = {{"classes"}, numbers};
  CUDET_RETURN_IF_ERROR(check_per_box(check, *shape, "boxes", kRealTypes, input.boxes,
                                      shape->boxes_per_class ? of_classes : of_boxes));
  shape->classes = shape->boxes_per_class ? input.boxes.size(leading) : 1;
  if (!shape->ragged) {
    shape->batch = input.boxes.size(0);
    shape->n = input.boxes.size(1);
    return Status();
  }
  shape->total = input.boxes.size(0);
  shape->n = input.max_image_boxes == NmsOptions::kNoLimit
                 ? shape->total
                 : std::min(input.max_image_boxes, shape->total);
  CUDET_RETURN_IF_ERROR(
      check({kOperation, "offsets", {{"batch + 1"}}, kIndexTypes}, input.offsets));
  shape->batch = input.offsets.size(0) - 1;
  if (shape->batch < 0) {
    return invalid("nms: offsets must be [batch + 1] with batch >= 0, got [0]");
  }
  return Status();
}

Status check_dense_scores(Check check, const NmsOptions& options, const NmsInput& input,
                          NmsShape* shape) {
  const bool class_box = options.score_layout == ScoreLayout::class_box;
  if (class_box && shape->ragged) {
    return Status::error(StatusCode::unsupported,
                         "nms: score_layout must be box_class for ragged batches, got class_box");
  }
  if (!shape->boxes_per_class) shape->classes = Dimension::kAny;
  CUDET_RETURN_IF_ERROR(
      check_per_score(check, options, *shape, "scores", kRealTypes, input.scores));
  shape->classes = input.scores.size(shape->ragged || class_box ? 1 : 2);
  if (shape->classes == 0) return invalid("nms: scores must have 1 class or more, got 0");
  if (input.classes.present()) {
    return invalid("nms: classes must be absent for dense scores, got a tensor");
  }
  return Status();
}

Status check_iou_thresholds(Check check, const NmsOptions& options, const NmsInput& input,
                            const NmsShape& shape) {
  if (!input.iou_thresholds.present()) return Status();
  CUDET_RETURN_IF_ERROR(check({kOperation,
                               "iou_thresholds",
                               {{"classes", shape.dense ? shape.classes : Dimension::kAny}},
                               {DataType::float32}},
                              input.iou_thresholds));
  if (options.class_agnostic) {
    return invalid("nms: iou_thresholds must be absent with class_agnostic, got a tensor");
  }
  if (!shape.class_aware) {
    return invalid("nms: iou_thresholds must be absent for boxes without classes, got a tensor");
  }
  return Status();
}

}  // namespace

Status check_nms_input(const NmsOptions& options, const NmsInput& input, bool with_data,
                       NmsShape* shape) noexcept {
  CUDET_RETURN_IF_ERROR(check_options(options));
  CUDET_RETURN_IF_ERROR(check_count("max_image_boxes", input.max_image_boxes));
  const Check check = with_data ? check_input : check_shape_and_type;
  CUDET_RETURN_IF_ERROR(check_boxes(check, options, input, shape));
  if (shape->dense) {
    CUDET_RETURN_IF_ERROR(check_dense_scores(check, options, input, shape));
  } else {
    CUDET_RETURN_IF_ERROR(check_per_box(check, *shape, "scores", kRealTypes, input.scores, {}));
  }
  if (input.classes.present()) {
    CUDET_RETURN_IF_ERROR(check_per_box(check, *shape, "classes", kIndexTypes, input.classes, {}));
  }
  if (input.counts.present()) {
    if (shape->ragged) return invalid("nms: counts must be absent with offsets, got a tensor");
    CUDET_RETURN_IF_ERROR(
        check({kOperation, "counts", {{"batch", shape->batch}}, {DataType::int32}}, input.counts));
  }
  shape->class_aware = (shape->dense || input.classes.present()) && !options.class_agnostic;
  CUDET_RETURN_IF_ERROR(check_iou_thresholds(check, options, input, *shape));

  const auto limited = [&](std::int64_t limit) {
    return limit == NmsOptions::kNoLimit ? shape->elements : limit;
  };
  shape->method = options.method;
  shape->elements = saturating_product(shape->n, shape->classes);
  shape->top_k = limited(options.pre_nms_top_k);
  shape->capacity = limited(options.max_outputs);
  return Status();
}

Status check_nms_output(const NmsOptions& options, const NmsInput& input, const NmsOutput& output,
                        const NmsShape& shape) noexcept {
  const Dimension batch = {"batch", shape.batch};
  const Dimension slots = {"max_outputs", shape.capacity};
  if (output.count.present()) {
    CUDET_RETURN_IF_ERROR(
        check_output({kOperation, "output.count", {batch}, {DataType::int32}}, output.count));
  }
  if (output.indices.present()) {
    CUDET_RETURN_IF_ERROR(
        check_output({kOperation, "output.indices", {batch, slots}, kIndexTypes}, output.indices));
  }
  if (output.boxes.present()) {
    CUDET_RETURN_IF_ERROR(check_output(
        {kOperation, "output.boxes", {batch, slots, numbers_of_box(shape)}, {input.boxes.type()}},
        output.boxes));
  }
  if (output.scores.present()) {
    CUDET_RETURN_IF_ERROR(check_output(
        {kOperation, "output.scores", {batch, slots}, {input.scores.type()}}, output.scores));
  }
  if (output.classes.present()) {
    if (shape.dense) {
      CUDET_RETURN_IF_ERROR(check_output(
          {kOperation, "output.classes", {batch, slots}, kIndexTypes}, output.classes));
    } else if (!input.classes.present()) {
      return invalid("nms: output.classes must be absent where input.classes is, got a tensor");
    } else {
      CUDET_RETURN_IF_ERROR(check_output(
          {kOperation, "output.classes", {batch, slots}, {input.classes.type()}}, output.classes));
    }
  }
  if (output.keep.present()) {
    CUDET_RETURN_IF_ERROR(check_per_score(check_output, options, shape, "output.keep",
                                          {DataType::uint8}, output.keep));
  }
  if (output.suppressed_by.present()) {
    if (decays_scores(options.method)) {
      return Status::error(StatusCode::invalid_argument,
                           "nms: output.suppressed_by must be absent for %s, got a tensor",
                           to_string(options.method));
    }
    CUDET_RETURN_IF_ERROR(check_per_score(check_output, options, shape, "output.suppressed_by",
                                          kIndexTypes, output.suppressed_by));
  }
  return check_no_overlap(kOperation,
                          {{"boxes", &input.boxes},
                           {"scores", &input.scores},
                           {"classes", &input.classes},
                           {"counts", &input.counts},
                           {"offsets", &input.offsets},
                           {"iou_thresholds", &input.iou_thresholds}},
                          {{"output.count", &output.count},
                           {"output.indices", &output.indices},
                           {"output.boxes", &output.boxes},
                           {"output.scores", &output.scores},
                           {"output.classes", &output.classes},
                           {"output.keep", &output.keep},
                           {"output.suppressed_by", &output.suppressed_by}});
}

}  // namespace cudet
