// The device side of a library that was built without a CUDA compiler: every call says so.
#include "box_regression_loss.h"
#include "depthwise_conv.h"
#include "depthwise_conv_backward.h"
#include "focal_loss.h"
#include "iou.h"
#include "iou_loss.h"
#include "matching.h"
#include "nms.h"

namespace cudet::device {
namespace {

Status unavailable(const char* operation) noexcept {
  return Status::error(StatusCode::unsupported, "%s: unsupported: built without CUDA", operation);
}

}  // namespace

Status depthwise_conv(const DepthwiseConvPlan&, const DepthwiseConvOptions&,
                      const DepthwiseConvInput&, const DepthwiseConvOutput&,
                      const Execution&) noexcept {
  return unavailable("depthwise_conv");
}

Status depthwise_conv_backward(const DepthwiseConvBackwardPlan&, const DepthwiseConvOptions&,
                               const DepthwiseConvBackwardInput&,
                               const DepthwiseConvBackwardOutput&, const Execution&) noexcept {
  return unavailable("depthwise_conv_backward");
}

Status sigmoid_focal_loss(const SigmoidFocalPlan&, const SigmoidFocalLossOptions&,
                          const SigmoidFocalLossInput&, const SigmoidFocalLossOutput&,
                          const Execution&) noexcept {
  return unavailable("sigmoid_focal_loss");
}

Status softmax_focal_loss(const SoftmaxPlan&, const SoftmaxFocalLossOptions&,
                          const SoftmaxFocalLossInput&, const SoftmaxFocalLossOutput&,
                          const Execution&) noexcept {
  return unavailable("softmax_focal_loss");
}

Status distribution_focal_loss(const SoftmaxPlan&, const DistributionFocalLossOptions&,
                               const DistributionFocalLossInput&,
                               const DistributionFocalLossOutput&, const Execution&) noexcept {
  return unavailable("distribution_focal_loss");
}

Status box_regression_loss(const LossReductionPlan&, const BoxRegressionLossOptions&,
                           const BoxRegressionLossInput&, const BoxRegressionLossOutput&,
                           const Execution&) noexcept {
  return unavailable("box_regression_loss");
}

Status iou_matrix(const IouMatrixPlan&, const IouMatrixOptions&, const IouMatrixInput&,
                  const IouMatrixOutput&, const Execution&) noexcept {
  return unavailable("iou_matrix");
}

Status iou_pairs(const IouMatrixOptions&, const IouPairsInput&, const IouPairsOutput&,
                 const Execution&) noexcept {
  return unavailable("iou_pairs");
}

Status iou_loss(const LossReductionPlan&, const IouLossOptions&, const IouLossInput&,
                const IouLossOutput&, const Execution&) noexcept {
  return unavailable("iou_loss");
}

Status match_boxes(const MatchPlan&, const MatchOptions&, const MatchInput&, const MatchOutput&,
                   const Execution&) noexcept {
  return unavailable("match_boxes");
}

Status nms(const NmsPlan&, const NmsOptions&, const NmsInput&, const NmsOutput&,
           const Execution&) noexcept {
  return unavailable("nms");
}

}  // namespace cudet::device
