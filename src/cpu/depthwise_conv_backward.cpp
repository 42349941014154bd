// Depthwise convolution on the CPU: gradients, as lines where images are not computed where they
// lie (depthwise_pixels.h). A group of channels goes through all images, so that
// the sums of its weights' gradients have one order whatever the number of threads is.
#include "depthwise_conv.h"

#include "depthwise_groups.h"
#include "depthwise_lines.h"
#include "depthwise_pixels.h"
#include "parallel.h"

#include <cstdint>
#include <vector>

namespace cudet::cpu {
namespace {

class GroupGradients {
 public:
  GroupGradients(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                 const DepthwiseConvBackwardInput& input, const DepthwiseConvBackwardOutput& output,
                 const DepthwiseLines& lines, const ChannelGroups& groups)
      : shape_(shape),
        options_(options),
        input_(input),
        output_(output),
        lines_(lines),
        groups_(groups),
        y_(reference::index_of_y(shape)),
        recomputes_(options.activation != Activation::none && !input.pre_activation.present()),
        into_planes_(output.grad_x.present() && output.grad_x.type() == DataType::float32 &&
                     groups.lanes() == 1 && shape.multiplier == 1 && shape.stride_h == 1 &&
                     shape.stride_w == 1),
        buffers_(lines, groups.lanes()),
        gradient_(static_cast<std::size_t>(shape.ow * groups.lanes())) {}

  void run(std::int64_t number) {
    const auto lanes = static_cast<std::size_t>(groups_.lanes());
    const std::size_t weights = lines_.taps.size() * lanes;
    const auto copies = static_cast<std::size_t>(shape_.multiplier);
    weight_sums_.assign(weights * copies, 0.0);
    bias_sums_.assign(lanes * copies, 0.0);
    const ChannelGroup of_x = groups_.of_x(number);
    for (std::int64_t b = 0; b < shape_.n; ++b) {
      if (output_.grad_weight.present() || recomputes_) buffers_.load_x(input_.x, b, of_x, 0);
      for (std::size_t copy = 0; copy < copies; ++copy) {
        const ChannelGroup group = groups_.of_y(number, static_cast<std::int64_t>(copy));
        buffers_.load_weights(input_.weight, recomputes_ ? input_.bias : Tensor(), group);
        if (recomputes_) {
          buffers_.convolve(0, shape_.oh, buffers_.output_row(0), buffers_.output_step());
        }
        load_gradients(b, group, bias_sums_.data() + copy * lanes);
        if (output_.grad_weight.present()) {
          buffers_.correlate(weight_sums_.data() + copy * weights);
        }
        if (into_planes_) {
          const std::int64_t first = reference::index_of_x(shape_)(b, of_x.first, 0, 0);
          buffers_.convolve_gradients_into(output_.grad_x.data_as<float>() + first);
        } else if (output_.grad_x.present()) {
          buffers_.convolve_gradients(copy > 0);
        }
      }
      if (output_.grad_x.present() && !into_planes_) {
        buffers_.store_grad_x(output_.grad_x, b, of_x);
      }
    }
    for (std::size_t copy = 0; copy < copies; ++copy) {
      store_sums(groups_.of_y(number, static_cast<std::int64_t>(copy)),
                 weight_sums_.data() + copy * weights, bias_sums_.data() + copy * lanes);
    }
  }

 private:
  /// Puts the gradients of what goes into the activation in the outputs' place, and adds them to
  /// those of the bias.
  void load_gradients(std::int64_t b, const ChannelGroup& group, double* bias_sums) {
    const std::int64_t count = shape_.ow * group.lanes;
    const auto negative_slope = static_cast<double>(options_.negative_slope);
    for (std::int64_t i = 0; i < shape_.oh; ++i) {
      float* const row = buffers_.output_row(i);
      if (options_.activation == Activation::none) {
        load_row(input_.grad_output, y_, b, group, i, row);
      } else {
        if (!recomputes_) load_row(input_.pre_activation, y_, b, group, i, row);
        load_row(input_.grad_output, y_, b, group, i, gradient_.data());
        for (std::int64_t k = 0; k < count; ++k) {
          const double slope = reference::activation_slope(options_.activation, negative_slope,
                                                           static_cast<double>(row[k]));
          row[k] = static_cast<float>(slope *
                                      static_cast<double>(gradient_[static_cast<std::size_t>(k)]));
        }
      }
    }
    if (output_.grad_bias.present())
      buffers_.add_up(buffers_.output_row(0), buffers_.output_places(), bias_sums);
  }

  void store_sums(const ChannelGroup& group, const double* weight_sums,
                  const double* bias_sums) const {
    for (int k = 0; k < group.count; ++k) {
      const std::int64_t o = group.first + k * group.step;
      if (output_.grad_bias.present()) {
        reference::store_real(output_.grad_bias, o, static_cast<float>(bias_sums[k]));
      }
      for (std::size_t t = 0; output_.grad_weight.present() && t < lines_.taps.size(); ++t) {
        const TapPlace& tap = lines_.taps[t];
        const double sum =
            weight_sums[t * static_cast<std::size_t>(group.lanes) + static_cast<std::size_t>(k)];
        reference::store_real(output_.grad_weight, reference::weight_index(shape_, o, tap.p, tap.q),
                              static_cast<float>(sum));
      }
    }
  }

  const DepthwiseConvShape& shape_;
  const DepthwiseConvOptions& options_;
  const DepthwiseConvBackwardInput& input_;
  const DepthwiseConvBackwardOutput& output_;
  const DepthwiseLines& lines_;
  const ChannelGroups& groups_;
  reference::ImageIndex y_;
  bool recomputes_;
  bool into_planes_;  ///< gradients of x are computed where they lie
  LineBuffers buffers_;
  std::vector<float> gradient_;  ///< a row
  std::vector<double> weight_sums_;
  std::vector<double> bias_sums_;
};

}  // namespace

Status depthwise_conv_backward(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                               const DepthwiseConvBackwardInput& input,
                               const DepthwiseConvBackwardOutput& output, int threads) {
  if (!suits_lines(shape)) return reference::depthwise_conv_backward(options, input, output);
  if (suits_pixel_gradients(shape, options, output)) {
    pixel_gradients(shape, input, output, threads);
    return Status();
  }
  const ChannelGroups groups(shape);
  const DepthwiseLines lines(shape, groups.lanes(), shape.oh);
  parallel_for(threads, groups.count(), stretch_of(shape, groups.count(), threads),
               [&](std::int64_t begin, std::int64_t end) {
                 GroupGradients gradients(shape, options, input, output, lines, groups);
                 for (std::int64_t number = begin; number < end; ++number)
                   gradients.run(number);
               });
  return Status();
}

}  // namespace cudet::cpu
