// What the gradients of the depthwise convolution plan, on the host: kernels and workspace.
#include <cudet/depthwise_conv.h>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace cudet::test {
namespace {

struct Sizes {
  std::int64_t n, c, h, w, kernel;
};

/// A call without data; only shapes are looked at.
struct Call {
  DepthwiseConvOptions options;
  DepthwiseConvBackwardInput input;
  DepthwiseConvBackwardOutput output;

  Call(ImageLayout layout, const Sizes& sizes, std::int64_t stride = 1,
       Activation activation = Activation::none) {
    options.layout = layout;
    options.stride_h = options.stride_w = stride;
    options.pad_top = options.pad_left = options.pad_bottom = options.pad_right = sizes.kernel / 2;
    options.activation = activation;
    const bool nchw = layout == ImageLayout::nchw;
    const std::int64_t oh = (sizes.h - 1) / stride + 1, ow = (sizes.w - 1) / stride + 1;
    float* const none = nullptr;
    input.x = nchw ? Tensor(none, {sizes.n, sizes.c, sizes.h, sizes.w})
                   : Tensor(none, {sizes.n, sizes.h, sizes.w, sizes.c});
    input.grad_output =
        nchw ? Tensor(none, {sizes.n, sizes.c, oh, ow}) : Tensor(none, {sizes.n, oh, ow, sizes.c});
    input.weight = nchw ? Tensor(none, {sizes.c, sizes.kernel, sizes.kernel})
                        : Tensor(none, {sizes.kernel, sizes.kernel, sizes.c});
    output.grad_x = input.x;
    output.grad_weight = input.weight;
    output.grad_bias = Tensor(none, {sizes.c});
  }

  std::size_t workspace() const {
    std::size_t bytes = 0;
    const Status status = depthwise_conv_backward_workspace_size(options, input, output, &bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    return bytes;
  }
  DepthwiseConvBackwardKernels kernels() const {
    DepthwiseConvBackwardKernels kernels;
    const Status status = depthwise_conv_backward_kernels(options, input, output, &kernels);
    EXPECT_TRUE(status.ok()) << status.message();
    return kernels;
  }
};

constexpr ImageLayout kLayouts[] = {ImageLayout::nchw, ImageLayout::nhwc};

TEST(DepthwiseBackwardPlan, WindowsForTheirSizesAndGenericForTheRest) {
  for (const ImageLayout layout : kLayouts) {
    const DepthwiseConvKernel window =
        layout == ImageLayout::nchw ? DepthwiseConvKernel::rows : DepthwiseConvKernel::channels;
    for (std::int64_t kernel = 1; kernel <= 31; kernel += 2) {
      for (std::int64_t stride = 1; stride <= 3; ++stride) {
        const bool has_window = kernel >= 3 && kernel <= 7 && stride <= 2;
        const DepthwiseConvKernel expected = has_window ? window : DepthwiseConvKernel::generic;
        const Call call(layout, {2, 8, 32, 32, kernel}, stride);
        EXPECT_EQ(call.kernels().grad_x, expected) << kernel << " " << stride;
        EXPECT_EQ(call.kernels().grad_weight, expected) << kernel << " " << stride;
      }
    }
    Call call(layout, {2, 8, 32, 32, 3});
    call.output.grad_x = Tensor();
    EXPECT_EQ(call.kernels().grad_x, DepthwiseConvKernel::automatic);
    EXPECT_EQ(call.kernels().grad_weight, window);
    call.options.dilation_h = call.options.dilation_w = 2;
    call.options.pad_top = call.options.pad_bottom = 2;
    call.options.pad_left = call.options.pad_right = 2;
    EXPECT_EQ(call.kernels().grad_weight, DepthwiseConvKernel::generic);
  }
}

TEST(DepthwiseBackwardPlan, OtherKernelsAreRefused) {
  for (const DepthwiseConvKernel kernel :
       {DepthwiseConvKernel::channels, DepthwiseConvKernel::planes, DepthwiseConvKernel::tiles}) {
    Call call(ImageLayout::nchw, {2, 8, 32, 32, 3});
    call.options.kernel = kernel;
    std::size_t bytes = 0;
    const Status status =
        depthwise_conv_backward_workspace_size(call.options, call.input, call.output, &bytes);
    EXPECT_EQ(status.code(), StatusCode::unsupported);
    EXPECT_EQ(std::string(status.message()), std::string("depthwise_conv_backward: kernel ") +
                                                 to_string(kernel) + " does not take this call");
  }
}

TEST(DepthwiseBackwardPlan, WorkspaceIsMonotone) {
  for (const ImageLayout layout : kLayouts) {
    for (const std::int64_t kernel : {1, 3, 7, 31}) {
      for (const Activation activation : {Activation::none, Activation::silu}) {
        const auto bytes = [&](const Sizes& sizes) {
          return Call(layout, sizes, 1, activation).workspace();
        };
        for (const std::int64_t n : {1, 2, 31, 32, 1000}) {
          for (const std::int64_t c : {1, 31, 32, 33, 255, 1024}) {
            for (const std::int64_t size : {1, 7, 8, 16, 55, 56, 57, 300}) {
              const Sizes sizes = {n, c, size, size, kernel};
              const std::size_t least = bytes(sizes);
              EXPECT_LE(least, bytes({n + 1, c, size, size, kernel}))
                  << n << " " << c << " " << size;
              EXPECT_LE(least, bytes({n, c + 1, size, size, kernel}))
                  << n << " " << c << " " << size;
              EXPECT_LE(least, bytes({n, c, size + 1, size, kernel}))
                  << n << " " << c << " " << size;
              EXPECT_LE(least, bytes({n, c, size, size + 1, kernel}))
                  << n << " " << c << " " << size;
            }
          }
        }
      }
    }
  }
}

// Partial sums are small beside what is summed, and a saved pre-activation leaves it at that.
TEST(DepthwiseBackwardPlan, WorkspaceIsSmall) {
  for (const ImageLayout layout : kLayouts) {
    Call call(layout, {32, 144, 56, 56, 3}, 1, Activation::relu6);
    const std::size_t image_bytes = std::size_t{32} * 144 * 56 * 56 * 4;
    EXPECT_GE(call.workspace(), image_bytes);
    call.input.pre_activation = call.input.grad_output;
    EXPECT_LE(call.workspace(), image_bytes / 20);
    call.output.grad_weight = call.output.grad_bias = Tensor();
    EXPECT_EQ(call.workspace(), std::size_t{0});
  }
}

TEST(DepthwiseBackwardPlan, MoreThanTwoToThe31Elements) {
  for (const ImageLayout layout : kLayouts) {
    const Call call(layout, {4096, 1024, 112, 112, 7});
    const std::size_t image_bytes = std::size_t{4096} * 1024 * 112 * 112 * 4;
    EXPECT_GT(call.workspace(), std::size_t{0});
    EXPECT_LT(call.workspace(), image_bytes / 100);
  }
}

}  // namespace
}  // namespace cudet::test
