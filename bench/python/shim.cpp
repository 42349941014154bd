// The calls of compare_python.py, for Python's ctypes: the CPU mode with plain pointers and sizes.
// Each returns null, or what is wrong.
#include <cudet/depthwise_conv.h>
#include <cudet/focal_loss.h>
#include <cudet/iou.h>
#include <cudet/nms.h>

#include <cstdint>

#define CUDET_SHIM extern "C" __attribute__((visibility("default")))

namespace {

const char* message_of(const cudet::Status& status) {
  static thread_local cudet::Status last;
  last = status;
  return last.ok() ? nullptr : last.message();
}

}  // namespace

/// Boxes of one image, [n, 4] as xyxy; scores [n, classes], 1 class being no class at all. The
/// outputs have room for max_outputs boxes.
CUDET_SHIM const char* cudet_shim_nms(const float* boxes, const float* scores, std::int64_t n,
                                      std::int64_t classes, float score_threshold,
                                      float iou_threshold, std::int64_t max_outputs, int threads,
                                      std::int32_t* count, std::int32_t* indices,
                                      std::int32_t* labels) {
  cudet::NmsOptions options;
  options.score_threshold = score_threshold;
  options.iou_threshold = iou_threshold;
  options.max_outputs = max_outputs;
  cudet::NmsInput input;
  input.boxes = cudet::Tensor(boxes, {1, n, 4});
  cudet::NmsOutput output;
  if (classes == 1) {
    input.scores = cudet::Tensor(scores, {1, n});
  } else {
    input.scores = cudet::Tensor(scores, {1, n, classes});
    output.classes = cudet::Tensor(labels, {1, max_outputs});
  }
  output.count = cudet::Tensor(count, {1});
  output.indices = cudet::Tensor(indices, {1, max_outputs});
  return message_of(cudet::nms(options, input, output, cudet::Execution::cpu(threads)));
}

CUDET_SHIM const char* cudet_shim_iou_matrix(const float* boxes1, const float* boxes2,
                                             std::int64_t n, std::int64_t m, int threads,
                                             float* values) {
  cudet::IouMatrixInput input;
  input.boxes1 = cudet::Tensor(boxes1, {1, n, 4});
  input.boxes2 = cudet::Tensor(boxes2, {1, m, 4});
  cudet::IouMatrixOutput output;
  output.values = cudet::Tensor(values, {1, n, m});
  return message_of(cudet::iou_matrix({}, input, output, cudet::Execution::cpu(threads)));
}

/// Sum of the losses and gradient of the logits; a target of -1 is background.
CUDET_SHIM const char* cudet_shim_focal_loss(const float* logits, const std::int32_t* targets,
                                             std::int64_t rows, std::int64_t classes, int threads,
                                             float* loss, float* gradient) {
  cudet::SigmoidFocalLossInput input;
  input.logits[0] = cudet::Tensor(logits, {rows, classes});
  input.targets[0] = cudet::Tensor(targets, {rows});
  cudet::SigmoidFocalLossOutput output;
  output.loss[0] = cudet::Tensor(loss, {1});
  output.grad_logits[0] = cudet::Tensor(gradient, {rows, classes});
  return message_of(cudet::sigmoid_focal_loss({}, input, output, cudet::Execution::cpu(threads)));
}

/// x [n, c, h, w], weight [c, k, k], or with channels_last [n, h, w, c], [k, k, c]; bias [c];
/// padding k / 2. With `grad_y` also the gradients.
CUDET_SHIM const char* cudet_shim_depthwise_conv(
    const float* x, const float* weight, const float* bias, const float* grad_y, std::int64_t n,
    std::int64_t c, std::int64_t h, std::int64_t w, std::int64_t k, std::int64_t stride,
    int channels_last, int threads, float* y, float* grad_x, float* grad_weight, float* grad_bias) {
  const bool nhwc = channels_last != 0;
  cudet::DepthwiseConvOptions options;
  options.layout = nhwc ? cudet::ImageLayout::nhwc : cudet::ImageLayout::nchw;
  options.stride_h = options.stride_w = stride;
  options.pad_top = options.pad_left = options.pad_bottom = options.pad_right = k / 2;
  const auto image = [nhwc, n, c](auto* values, std::int64_t rows, std::int64_t columns) {
    return nhwc ? cudet::Tensor(values, {n, rows, columns, c})
                : cudet::Tensor(values, {n, c, rows, columns});
  };
  const auto taps = [nhwc, c, k](auto* values) {
    return nhwc ? cudet::Tensor(values, {k, k, c}) : cudet::Tensor(values, {c, k, k});
  };
  cudet::DepthwiseConvInput input;
  input.x = image(x, h, w);
  input.weight = taps(weight);
  input.bias = cudet::Tensor(bias, {c});
  std::int64_t shape[4] = {};
  cudet::Status status = cudet::depthwise_conv_output_shape(options, input, shape);
  if (!status.ok()) return message_of(status);
  const std::int64_t oh = shape[nhwc ? 1 : 2];
  const std::int64_t ow = shape[nhwc ? 2 : 3];
  const cudet::Execution execution = cudet::Execution::cpu(threads);
  cudet::DepthwiseConvOutput output;
  output.y = image(y, oh, ow);
  status = cudet::depthwise_conv(options, input, output, execution);
  if (!status.ok() || grad_y == nullptr) return message_of(status);
  cudet::DepthwiseConvBackwardInput backward;
  backward.grad_output = image(grad_y, oh, ow);
  backward.x = input.x;
  backward.weight = input.weight;
  cudet::DepthwiseConvBackwardOutput gradients;
  gradients.grad_x = image(grad_x, h, w);
  gradients.grad_weight = taps(grad_weight);
  gradients.grad_bias = cudet::Tensor(grad_bias, {c});
  return message_of(cudet::depthwise_conv_backward(options, backward, gradients, execution));
}
