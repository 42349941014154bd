// Folding: the folded layer equals the layers that were folded.
#include "support/depthwise_problem.h"

#include <cudet/depthwise_conv_fold.h>

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

using Shape = std::vector<std::int64_t>;

HostTensor random_floats(Random& random, Shape shape, float low = -1.0f, float high = 1.0f) {
  HostTensor tensor(DataType::float32, std::move(shape));
  for (std::size_t i = 0; i < tensor.count(); ++i)
    tensor.set_real(i, random.uniform_float(low, high));
  return tensor;
}

struct Norm {
  HostTensor mean, variance, gamma, beta;
  BatchNorm view() const {
    return {mean.const_tensor(), variance.const_tensor(), gamma.const_tensor(), beta.const_tensor(),
            1e-3f};
  }
  /// gamma (v - mean) / sqrt(variance + epsilon) + beta
  double apply(double v, std::size_t o) const {
    return static_cast<double>(gamma.real(o)) * (v - static_cast<double>(mean.real(o))) /
               std::sqrt(static_cast<double>(variance.real(o)) + 1e-3) +
           static_cast<double>(beta.real(o));
  }
};
Norm random_norm(Random& random, std::int64_t channels) {
  return {random_floats(random, {channels}), random_floats(random, {channels}, 0.1f, 2.0f),
          random_floats(random, {channels}), random_floats(random, {channels})};
}

Shape kernel_shape(ImageLayout layout, std::int64_t channels, std::int64_t h, std::int64_t w) {
  return layout == ImageLayout::nchw ? Shape{channels, h, w} : Shape{h, w, channels};
}

/// Channel of element i of an image.
std::size_t channel_of(ImageLayout layout, const Shape& shape, std::size_t i) {
  return layout == ImageLayout::nchw ? i / static_cast<std::size_t>(shape[2] * shape[3]) %
                                           static_cast<std::size_t>(shape[1])
                                     : i % static_cast<std::size_t>(shape[3]);
}

/// A convolution padded by half of its kernel.
HostTensor convolve(ImageLayout layout, std::int64_t stride, const HostTensor& x,
                    const HostTensor& weight, const HostTensor& bias) {
  DepthwiseProblem problem;
  problem.options.layout = layout;
  problem.options.stride_h = problem.options.stride_w = stride;
  const std::size_t first = layout == ImageLayout::nchw ? weight.shape().size() - 2 : 0;
  problem.options.pad_top = problem.options.pad_bottom = weight.shape()[first] / 2;
  problem.options.pad_left = problem.options.pad_right = weight.shape()[first + 1] / 2;
  problem.x = x;
  problem.weight = weight;
  problem.bias = bias;
  return reference_result(problem).y;
}

class DepthwiseConvFold : public testing::TestWithParam<ImageLayout> {};
INSTANTIATE_TEST_SUITE_P(Layouts, DepthwiseConvFold,
                         testing::Values(ImageLayout::nchw, ImageLayout::nhwc),
                         [](const auto& layout) { return std::string(to_string(layout.param)); });

TEST_P(DepthwiseConvFold, BatchNormEqualsTwoLayers) {
  const ImageLayout layout = GetParam();
  Random random(61);
  for (const bool has_bias : {false, true}) {
    const HostTensor x =
        random_floats(random, layout == ImageLayout::nchw ? Shape{2, 6, 7, 8} : Shape{2, 7, 8, 6});
    HostTensor weight = random_floats(random, kernel_shape(layout, 6, 3, 5));
    HostTensor bias = has_bias ? random_floats(random, {6}) : HostTensor();
    const Norm norm = random_norm(random, 6);
    const HostTensor unfolded = convolve(layout, 1, x, weight, bias);
    HostTensor folded_bias(DataType::float32, {6});
    // In place for the weight.
    const Status status = fold_batch_norm(layout, weight.tensor(), bias.const_tensor(), norm.view(),
                                          weight.tensor(), folded_bias.tensor());
    ASSERT_TRUE(status.ok()) << status.message();
    const HostTensor folded = convolve(layout, 1, x, weight, folded_bias);
    for (std::size_t i = 0; i < folded.count(); ++i) {
      const std::size_t o = channel_of(layout, folded.shape(), i);
      EXPECT_NEAR(static_cast<double>(folded.real(i)),
                  norm.apply(static_cast<double>(unfolded.real(i)), o), 1e-5);
    }
  }
}

TEST_P(DepthwiseConvFold, BranchesEqualTheirSum) {
  const ImageLayout layout = GetParam();
  Random random(62);
  for (const std::int64_t stride : {1, 2}) {
    constexpr std::int64_t kChannels = 5;
    const HostTensor x =
        random_floats(random, layout == ImageLayout::nchw ? Shape{1, kChannels, 9, 12}
                                                          : Shape{1, 9, 12, kChannels});
    struct BranchTensors {
      HostTensor weight, bias;
      Norm norm;
    };
    std::vector<BranchTensors> branches;
    for (const std::int64_t side : {7, 3, 1})
      branches.push_back({random_floats(random, kernel_shape(layout, kChannels, side, side)),
                          side == 3 ? random_floats(random, {kChannels}) : HostTensor(),
                          side == 1 ? Norm() : random_norm(random, kChannels)});
    if (stride == 1)
      branches.push_back({HostTensor(), HostTensor(), random_norm(random, kChannels)});

    std::vector<DepthwiseBranch> views;
    std::vector<double> expected;
    for (const BranchTensors& branch : branches) {
      DepthwiseBranch view = {branch.weight.const_tensor(), branch.bias.const_tensor(), {}};
      if (branch.norm.mean.present()) view.norm = branch.norm.view();
      views.push_back(view);
      const HostTensor y =
          branch.weight.present() ? convolve(layout, stride, x, branch.weight, branch.bias) : x;
      expected.resize(y.count(), 0.0);
      for (std::size_t i = 0; i < y.count(); ++i) {
        const auto v = static_cast<double>(y.real(i));
        expected[i] +=
            branch.norm.mean.present() ? branch.norm.apply(v, channel_of(layout, y.shape(), i)) : v;
      }
    }
    HostTensor weight(DataType::float32, kernel_shape(layout, kChannels, 7, 7));
    HostTensor bias(DataType::float32, {kChannels});
    const Status status = reparameterize(layout, views.data(), static_cast<int>(views.size()),
                                         weight.tensor(), bias.tensor());
    ASSERT_TRUE(status.ok()) << status.message();
    const HostTensor folded = convolve(layout, stride, x, weight, bias);
    ASSERT_EQ(folded.count(), expected.size());
    for (std::size_t i = 0; i < folded.count(); ++i)
      EXPECT_NEAR(static_cast<double>(folded.real(i)), expected[i], 2e-5) << i;
  }
}

TEST(DepthwiseConvFoldArguments, AreRefused) {
  Random random(63);
  HostTensor weight = random_floats(random, {2, 3, 3}), small = random_floats(random, {2, 2, 3});
  HostTensor folded(DataType::float32, {2, 3, 3}), bias(DataType::float32, {2});
  const Norm norm = random_norm(random, 2);
  const auto message = [](const Status& status) { return std::string(status.message()); };
  const auto fold = [&](const Tensor& from, const BatchNorm& by, const Tensor& to) {
    return message(fold_batch_norm(ImageLayout::nchw, from, Tensor(), by, to, bias.tensor()));
  };
  BatchNorm bad = norm.view();
  bad.epsilon = -1.0f;
  EXPECT_EQ(fold(weight.const_tensor(), bad, folded.tensor()),
            "fold_batch_norm: epsilon must be finite and 0 or more, got -1");
  bad = norm.view();
  bad.mean = Tensor();
  EXPECT_EQ(fold(weight.const_tensor(), bad, folded.tensor()),
            "fold_batch_norm: mean must be given as [c m] = [2], got none");
  bad = norm.view();
  const HostTensor negative =
      HostTensor::of_reals(DataType::float32, {2}, std::vector<float>{1.0f, -1.0f});
  bad.variance = negative.const_tensor();
  EXPECT_EQ(fold(weight.const_tensor(), bad, folded.tensor()).substr(0, 56),
            "fold_batch_norm: variance + epsilon must be above 0, got");
  EXPECT_EQ(
      fold(weight.const_tensor(), norm.view(), small.tensor()),
      "fold_batch_norm: folded_weight must have the sizes of weight, 2 channels of 3 x 3, got "
      "2 of 2 x 3");
  EXPECT_EQ(fold(weight.const_tensor(), norm.view(), weight.const_tensor()),
            "fold_batch_norm: folded_weight must be writable, got a view of const data");

  DepthwiseBranch branch = {small.const_tensor(), Tensor(), {}};
  const auto merge = [&](const DepthwiseBranch* branches, int count) {
    return message(
        reparameterize(ImageLayout::nchw, branches, count, folded.tensor(), bias.tensor()));
  };
  EXPECT_EQ(merge(&branch, 1),
            "reparameterize: branch.weight must have 2 channels and odd sides up to 3 x 3, got 2 "
            "and 2 x 3");
  EXPECT_EQ(merge(&branch, 0), "reparameterize: branches must be 1 to 32, got 0");
  EXPECT_EQ(merge(nullptr, 1), "reparameterize: branches must be 1 to 32, got 1 at a null pointer");
  branch.weight = folded.tensor();
  EXPECT_EQ(merge(&branch, 1),
            "reparameterize: weight must not overlap branch.weight, got memory shared by both");
  EXPECT_TRUE(folded.is_all_poison());
  EXPECT_TRUE(bias.is_all_poison());
}

}  // namespace
}  // namespace cudet::test
