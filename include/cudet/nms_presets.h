// Options with which nms() gives the results of other libraries, and where it still differs.
#pragma once

#include <cudet/nms.h>

#include <cstdint>
#include <limits>

namespace cudet {

/// torchvision.ops.nms(boxes, scores, iou_threshold). Input: boxes [1, n, 4], scores [1, n].
/// output.indices are its result.
///   - torchvision compares with the threshold in double on the CPU and in float32 on a GPU; this
///     is the GPU's answer. They differ where an IoU equals a threshold that float32 cannot hold.
///   - NaN scores come first there and never here. Boxes that are inverted in both directions have
///     an area there and overlap nothing here.
inline NmsOptions torchvision_nms(float iou_threshold) noexcept {
  NmsOptions options;
  options.iou_threshold = iou_threshold;
  options.class_agnostic = true;
  return options;
}

/// torchvision.ops.batched_nms(boxes, scores, idxs, iou_threshold), with idxs as input.classes.
/// What torchvision's offset of coordinates rounds away for distant classes is exact here.
inline NmsOptions torchvision_batched_nms(float iou_threshold) noexcept {
  NmsOptions options;
  options.iou_threshold = iou_threshold;
  return options;
}

/// The operator NonMaxSuppression of ONNX. Input: boxes [batch, n, 4], dense scores
/// [batch, classes, n]. Its rows (batch, class, box) are the numbers of the images with
/// output.classes and output.indices. Leave score_threshold out where the operator's input is.
///   - Rows of an image are by score here; the operator groups them by class: a stable sort by
///     class makes them equal.
///   - The operator's limit is 0 by default, which gives no rows; so does 0 here.
inline NmsOptions onnx_non_max_suppression(
    std::int64_t max_output_boxes_per_class, float iou_threshold,
    float score_threshold = -std::numeric_limits<float>::infinity(),
    bool center_point_box = false) noexcept {
  NmsOptions options;
  options.iou_threshold = iou_threshold;
  options.score_threshold = score_threshold;
  options.max_outputs_per_class = max_output_boxes_per_class;
  options.score_layout = ScoreLayout::class_box;
  // (y1, x1, y2, x2): which axis comes first does not matter to an IoU.
  options.format = center_point_box ? BoxFormat::cxcywh : BoxFormat::xyxy;
  options.reorder_corners = !center_point_box;
  return options;
}

/// TensorRT's plugin EfficientNMS_TRT without fused anchors. Input: boxes [batch, n, 4] or
/// [batch, n, classes, 4], dense scores [batch, n, classes]. background_class -1 stands for none.
///   - No limit of 5000 boxes an image, and equal scores by index: the plugin takes them in any
///     order.
///   - Unused slots hold class -1 here and 0 there, and output.boxes are the input's four numbers,
///     where the plugin gives corners.
///   - An invalid box is never suppressed; the plugin suppresses it where iou_threshold is 0.
inline NmsOptions efficient_nms(float score_threshold, float iou_threshold,
                                std::int64_t max_output_boxes, bool score_activation = false,
                                bool class_agnostic = false, std::int64_t background_class = -1,
                                bool center_size_boxes = false) noexcept {
  NmsOptions options;
  options.iou_threshold = iou_threshold;
  options.suppress_equal = true;
  options.score_threshold = score_threshold;
  options.score_threshold_inclusive = true;
  options.score_activation = score_activation ? ScoreActivation::sigmoid : ScoreActivation::none;
  options.max_outputs = max_output_boxes;
  options.class_agnostic = class_agnostic;
  if (background_class >= 0) options.background_class = background_class;
  options.format = center_size_boxes ? BoxFormat::cxcywh : BoxFormat::xyxy;
  options.reorder_corners = !center_size_boxes;
  return options;
}

/// cv::dnn::NMSBoxes(boxes, scores, score_threshold, nms_threshold, eta = 1, top_k). Input: boxes
/// [1, n, 4], scores [1, n]; top_k <= 0 stands for all. With an eta below 1 OpenCV lowers the
/// threshold from box to box, which is not offered here.
inline NmsOptions opencv_nms_boxes(float score_threshold, float nms_threshold,
                                   std::int64_t top_k = 0) noexcept {
  NmsOptions options;
  options.iou_threshold = nms_threshold;
  options.score_threshold = score_threshold;
  if (top_k > 0) options.pre_nms_top_k = top_k;
  options.class_agnostic = true;
  options.format = BoxFormat::xywh;
  return options;
}

/// cv::dnn::NMSBoxes() for rotated boxes, with the numbers of cv::RotatedRect: boxes [1, n, 5].
inline NmsOptions opencv_nms_boxes_rotated(float score_threshold, float nms_threshold,
                                           std::int64_t top_k = 0) noexcept {
  NmsOptions options = opencv_nms_boxes(score_threshold, nms_threshold, top_k);
  options.format = BoxFormat::rotated;
  options.angle_direction = AngleDirection::clockwise;
  return options;
}

/// nms_rotated(boxes, scores, iou_threshold) of detectron2, and with input.classes its
/// batched_nms_rotated(). What its clipping of nearly equal boxes gets wrong is right here.
inline NmsOptions detectron2_nms_rotated(float iou_threshold) noexcept {
  NmsOptions options;
  options.iou_threshold = iou_threshold;
  options.format = BoxFormat::rotated;
  return options;
}

/// nms(dets, thresh) of py-faster-rcnn, one class at a time; with input.classes, all of them at
/// once. Widths and heights count one more. Equal scores are by index here and in any order there.
inline NmsOptions py_faster_rcnn(float threshold) noexcept {
  NmsOptions options;
  options.iou_threshold = threshold;
  options.legacy_offset = true;
  return options;
}

}  // namespace cudet
