// What the depthwise convolution refuses: one bad argument a row, with the code and the sentence
// that it gets, and nothing written. And how it is planned.
#include "../cuda/depthwise_conv_index.h"
#include "support/depthwise_problem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

using Shape = std::vector<std::int64_t>;

HostTensor reals(Shape shape, std::size_t count) {
  return HostTensor::of_reals(DataType::float32, std::move(shape), std::vector<float>(count, 0.5f));
}
Tensor reshaped(const Tensor& tensor, const Shape& shape) {
  return Tensor(tensor.data(), tensor.type(), static_cast<int>(shape.size()), shape.data(), nullptr,
                tensor.read_only());
}
Tensor retyped(const Tensor& tensor, DataType type) {
  return Tensor(tensor.data(), type, tensor.rank(), tensor.shape(), nullptr, tensor.read_only());
}
Tensor const_view(const Tensor& tensor) {
  return Tensor(tensor.data(), tensor.type(), tensor.rank(), tensor.shape(), nullptr, true);
}
Tensor at_null(const Tensor& tensor) {
  return Tensor(nullptr, tensor.type(), tensor.rank(), tensor.shape(), nullptr, tensor.read_only());
}

/// A valid call, [1, 2, 4, 4] by [4, 3, 3], whose arguments a row of the table spoils.
struct Forward {
  HostTensor x = reals({1, 2, 4, 4}, 32), weight = reals({4, 3, 3}, 36), bias = reals({4}, 4);
  HostTensor residual = reals({1, 4, 2, 2}, 16), scales = reals({4}, 4);
  HostTensor y = HostTensor(DataType::float32, {1, 4, 2, 2});
  HostTensor pre_activation = HostTensor(DataType::float32, {1, 4, 2, 2});
  HostTensor pool = HostTensor(DataType::float32, {1, 4});
  DepthwiseConvOptions options;
  DepthwiseConvInput input = {x.const_tensor(), weight.const_tensor(), bias.const_tensor(),
                              Tensor(), residual.const_tensor()};
  DepthwiseConvOutput output = {y.tensor(), pre_activation.tensor(), pool.tensor()};
  bool untouched() const {
    return y.is_all_poison() && pre_activation.is_all_poison() && pool.is_all_poison();
  }
  void to_int8() {
    input.x = retyped(input.x, DataType::int8);
    input.weight = retyped(input.weight, DataType::int8);
    input.scales = scales.const_tensor();
    input.residual = Tensor();
    output.pre_activation = Tensor();
  }
};

/// Its gradients.
struct Backward {
  HostTensor x = reals({1, 2, 4, 4}, 32), weight = reals({4, 3, 3}, 36), bias = reals({4}, 4);
  HostTensor grad_output = reals({1, 4, 2, 2}, 16), pre_activation = reals({1, 4, 2, 2}, 16);
  HostTensor grad_x = HostTensor(DataType::float32, {1, 2, 4, 4});
  HostTensor grad_weight = HostTensor(DataType::float32, {4, 3, 3});
  HostTensor grad_bias = HostTensor(DataType::float32, {4});
  DepthwiseConvOptions options;
  DepthwiseConvBackwardInput input = {grad_output.const_tensor(), x.const_tensor(),
                                      weight.const_tensor(), bias.const_tensor(), Tensor()};
  DepthwiseConvBackwardOutput output = {grad_x.tensor(), grad_weight.tensor(), grad_bias.tensor()};
  bool untouched() const {
    return grad_x.is_all_poison() && grad_weight.is_all_poison() && grad_bias.is_all_poison();
  }
};

template <class Call>
struct Row {
  std::string name;
  std::function<void(Call&)> spoil;
  std::string message;
  StatusCode code = StatusCode::invalid_argument;
};

/// Options are checked alike for both.
template <class Call>
std::vector<Row<Call>> option_rows() {
  constexpr std::int64_t kTooLarge = (std::int64_t{1} << 30) + 1;
  return {
      {"layout", [](Call& c) { c.options.layout = static_cast<ImageLayout>(2); },
       "layout must be nchw or nhwc, got 2"},
      {"stride_h", [](Call& c) { c.options.stride_h = 0; }, "stride_h must be 1 to 2^30, got 0"},
      {"stride_w", [](Call& c) { c.options.stride_w = kTooLarge; },
       "stride_w must be 1 to 2^30, got 1073741825"},
      {"dilation_h", [](Call& c) { c.options.dilation_h = -1; },
       "dilation_h must be 1 to 2^30, got -1"},
      {"dilation_w", [](Call& c) { c.options.dilation_w = 0; },
       "dilation_w must be 1 to 2^30, got 0"},
      {"pad_top", [](Call& c) { c.options.pad_top = -1; }, "pad_top must be 0 to 2^30, got -1"},
      {"pad_left", [](Call& c) { c.options.pad_left = kTooLarge; },
       "pad_left must be 0 to 2^30, got 1073741825"},
      {"pad_bottom", [](Call& c) { c.options.pad_bottom = -2; },
       "pad_bottom must be 0 to 2^30, got -2"},
      {"pad_right", [](Call& c) { c.options.pad_right = -3; },
       "pad_right must be 0 to 2^30, got -3"},
      {"activation", [](Call& c) { c.options.activation = static_cast<Activation>(7); },
       "activation must be none, relu, relu6, leaky_relu, silu, hardswish or gelu, got 7"},
      {"negative_slope", [](Call& c) { c.options.negative_slope = INFINITY; },
       "negative_slope must be finite, got inf"},
      {"output_scale", [](Call& c) { c.options.output_scale = 0.0f; },
       "output_scale must be finite and above 0, got 0"},
      {"output_scale_nan", [](Call& c) { c.options.output_scale = NAN; },
       "output_scale must be finite and above 0, got nan"},
      {"kernel", [](Call& c) { c.options.kernel = static_cast<DepthwiseConvKernel>(6); },
       "kernel must be automatic, rows, planes, channels, tiles or generic, got 6"},
  };
}

/// x and weight are checked alike for both.
template <class Call>
std::vector<Row<Call>> shape_rows() {
  return {
      {"x_rank",
       [](Call& c) {
         c.input.x = reshaped(c.input.x, {2, 4, 4});
       },
       "x must be [n, c, h, w], got [2, 4, 4]"},
      {"x_type", [](Call& c) { c.input.x = retyped(c.input.x, DataType::int32); }, "x must be of "},
      {"x_nhwc",
       [](Call& c) {
         c.options.layout = ImageLayout::nhwc;
         c.input.x = reshaped(c.input.x, {32});
       },
       "x must be [n, h, w, c], got [32]"},
      {"weight_absent", [](Call& c) { c.input.weight = Tensor(); },
       "weight must be given as [c m, kh, kw], got none"},
      {"weight_type", [](Call& c) { c.input.weight = retyped(c.input.weight, DataType::float16); },
       "weight must be of type float32, got float16"},
      {"weight_rank4",
       [](Call& c) {
         c.input.weight = reshaped(c.input.weight, {2, 2, 3, 3});
       },
       "weight must be [c m, 1, kh, kw], got [2, 2, 3, 3]"},
      {"weight_nhwc",
       [](Call& c) {
         c.options.layout = ImageLayout::nhwc;
         c.input.weight = reshaped(c.input.weight, {3, 3, 1, 4});
       },
       "weight must be [kh, kw, c, m] = [kh, kw, 4, m], got [3, 3, 1, 4]"},
      {"weight_channels",
       [](Call& c) {
         c.input.weight = reshaped(c.input.weight, {3, 4, 3});
       },
       "weight must have a multiple of c = 2 channels, got 3"},
      {"weight_large",
       [](Call& c) {
         c.input.weight = reshaped(c.input.weight, {1, 36, 1});
       },
       "weight must have kh and kw of 1 to 31, got 36 and 1"},
      {"weight_empty",
       [](Call& c) {
         c.input.weight = reshaped(c.input.weight, {4, 0, 3});
       },
       "weight must have kh and kw of 1 to 31, got 0 and 3"},
      {"weight_no_channels",
       [](Call& c) {
         c.input.weight = reshaped(c.input.weight, {0, 3, 3});
       },
       "weight must have a channel or more for one of x, got none"},
      {"too_small", [](Call& c) { c.options.dilation_h = 2; },
       "x must not be smaller than the kernel, 5 x 3 with its dilation, got 4 x 4 with its "
       "padding"},
  };
}

std::vector<Row<Forward>> forward_rows() {
  using C = Forward;
  std::vector<Row<C>> rows = option_rows<C>();
  for (Row<C>& row : shape_rows<C>())
    rows.push_back(std::move(row));
  const std::vector<Row<C>> more = {
      {"x_null", [](C& c) { c.input.x = at_null(c.input.x); },
       "x must have data for its shape [1, 2, 4, 4], got a null pointer"},
      {"weight_null", [](C& c) { c.input.weight = at_null(c.input.weight); },
       "weight must have data for its shape [4, 3, 3], got a null pointer"},
      {"bias_shape",
       [](C& c) {
         c.input.bias = reshaped(c.input.bias, {2, 2});
       },
       "bias must be [c m] = [4], got [2, 2]"},
      {"bias_type", [](C& c) { c.input.bias = retyped(c.input.bias, DataType::bfloat16); },
       "bias must be of type float32, got bfloat16"},
      {"scales", [](C& c) { c.input.scales = c.scales.const_tensor(); },
       "scales must not be given without x of type int8, got some"},
      {"no_scales",
       [](C& c) {
         c.to_int8();
         c.input.scales = Tensor();
       },
       "scales must be given as [c m] = [4], got none"},
      {"int8_residual",
       [](C& c) {
         c.to_int8();
         c.input.residual = c.residual.const_tensor();
       },
       "residual must not be given with x of type int8, got one"},
      {"residual_shape",
       [](C& c) {
         c.input.residual = reshaped(c.input.residual, {1, 4, 4, 1});
       },
       "residual must be [n, c m, oh, ow] = [1, 4, 2, 2], got [1, 4, 4, 1]"},
      {"no_output", [](C& c) { c.output = {}; }, "output must have at least one tensor, got none"},
      {"y_shape",
       [](C& c) {
         c.output.y = reshaped(c.output.y, {1, 2, 2, 4});
       },
       "y must be [n, c m, oh, ow] = [1, 4, 2, 2], got [1, 2, 2, 4]"},
      {"y_type", [](C& c) { c.output.y = retyped(c.output.y, DataType::float16); },
       "y must be of type float32, got float16"},
      {"int8_y_type",
       [](C& c) {
         c.to_int8();
         c.output.y = retyped(c.output.y, DataType::float16);
       },
       "y must be of type int8 or float32, got float16"},
      {"int8_pre_activation",
       [](C& c) {
         c.to_int8();
         c.output.pre_activation = c.pre_activation.tensor();
       },
       "pre_activation must not be given with x of type int8, got one"},
      {"pre_activation_const",
       [](C& c) { c.output.pre_activation = const_view(c.output.pre_activation); },
       "pre_activation must be writable, got a view of const data"},
      {"pool_shape", [](C& c) { c.output.pool = reshaped(c.output.pool, {4}); },
       "pool must be [n, c m] = [1, 4], got [4]"},
      {"overlap", [](C& c) { c.input.residual = const_view(c.output.y); },
       "y must not overlap residual, got memory shared by both"},
      {"two_outputs", [](C& c) { c.output.pre_activation = c.output.y; },
       "pre_activation must not overlap y, got memory shared by both"},
  };
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

std::vector<Row<Backward>> backward_rows() {
  using C = Backward;
  std::vector<Row<C>> rows = option_rows<C>();
  for (Row<C>& row : shape_rows<C>())
    rows.push_back(std::move(row));
  const std::vector<Row<C>> more = {
      {"no_output", [](C& c) { c.output = {}; }, "output must have at least one tensor, got none"},
      {"no_x", [](C& c) { c.input.x = Tensor(); }, "x must be given as [n, c, h, w], got none"},
      {"no_x_to_recompute",
       [](C& c) {
         c.options.activation = Activation::silu;
         c.input.x = Tensor();
         c.output.grad_weight = Tensor();
       },
       "x must be given as [n, c, h, w], got none"},
      {"grad_output",
       [](C& c) {
         c.input.grad_output = reshaped(c.input.grad_output, {4, 4});
       },
       "grad_output must be [n, c m, oh, ow] = [1, 4, 2, 2], got [4, 4]"},
      {"bias",
       [](C& c) {
         c.options.activation = Activation::relu;
         c.input.bias = reshaped(c.input.bias, {2, 2});
       },
       "bias must be [c m] = [4], got [2, 2]"},
      {"pre_activation",
       [](C& c) {
         c.options.activation = Activation::relu;
         c.input.pre_activation = retyped(c.pre_activation.const_tensor(), DataType::float16);
       },
       "pre_activation must be of type float32, got float16"},
      {"grad_x_shape",
       [](C& c) {
         c.output.grad_x = reshaped(c.output.grad_x, {1, 2, 2, 8});
       },
       "grad_x must be [n, c, h, w] = [1, 2, 4, 4], got [1, 2, 2, 8]"},
      {"grad_weight_shape",
       [](C& c) {
         c.output.grad_weight = reshaped(c.output.grad_weight, {4, 1, 3, 3});
       },
       "grad_weight must be [c m, kh, kw] = [4, 3, 3], got [4, 1, 3, 3]"},
      {"grad_bias_type",
       [](C& c) { c.output.grad_bias = retyped(c.output.grad_bias, DataType::int32); },
       "grad_bias must be of type float32, got int32"},
      {"overlap",
       [](C& c) {
         c.output.grad_x = reshaped(c.x.tensor(), {1, 2, 4, 4});
       },
       "grad_x must not overlap x, got memory shared by both"},
  };
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

/// A message that ends in a space is the beginning of the one expected.
void expect_refused(const Status& status, const std::string& operation, StatusCode code,
                    const std::string& message) {
  EXPECT_STREQ(to_string(status.code()), to_string(code));
  const std::string expected = operation + ": " + message;
  const std::string got = status.message();
  EXPECT_EQ(message.back() == ' ' ? got.substr(0, expected.size()) : got, expected);
}

class DepthwiseConvArguments : public testing::TestWithParam<Row<Forward>> {};
TEST_P(DepthwiseConvArguments, AreRefused) {
  Forward call;
  GetParam().spoil(call);
  // A bad argument is found before the execution is looked at.
  for (const Execution& execution :
       {Execution::cpu(), Execution::cpu(-1), Execution::cuda(nullptr)}) {
    expect_refused(depthwise_conv(call.options, call.input, call.output, execution),
                   "depthwise_conv", GetParam().code, GetParam().message);
  }
  expect_refused(reference::depthwise_conv(call.options, call.input, call.output), "depthwise_conv",
                 GetParam().code, GetParam().message);
  EXPECT_TRUE(call.untouched());
}
INSTANTIATE_TEST_SUITE_P(Rows, DepthwiseConvArguments, testing::ValuesIn(forward_rows()),
                         [](const auto& row) { return row.param.name; });

class DepthwiseConvBackwardArguments : public testing::TestWithParam<Row<Backward>> {};
TEST_P(DepthwiseConvBackwardArguments, AreRefused) {
  Backward call;
  GetParam().spoil(call);
  for (const Execution& execution :
       {Execution::cpu(), Execution::cpu(-1), Execution::cuda(nullptr)}) {
    expect_refused(depthwise_conv_backward(call.options, call.input, call.output, execution),
                   "depthwise_conv_backward", GetParam().code, GetParam().message);
  }
  expect_refused(reference::depthwise_conv_backward(call.options, call.input, call.output),
                 "depthwise_conv_backward", GetParam().code, GetParam().message);
  EXPECT_TRUE(call.untouched());
}
INSTANTIATE_TEST_SUITE_P(Rows, DepthwiseConvBackwardArguments, testing::ValuesIn(backward_rows()),
                         [](const auto& row) { return row.param.name; });

TEST(DepthwiseConvArguments, ValidCallsSucceed) {
  Forward forward;
  EXPECT_TRUE(
      depthwise_conv(forward.options, forward.input, forward.output, Execution::cpu()).ok());
  EXPECT_FALSE(forward.y.is_all_poison());
  Backward backward;
  EXPECT_TRUE(
      depthwise_conv_backward(backward.options, backward.input, backward.output, Execution::cpu())
          .ok());
  EXPECT_FALSE(backward.grad_x.is_all_poison());
}

TEST(DepthwiseConvArguments, ExecutionIsChecked) {
  Forward call;
  expect_refused(depthwise_conv(call.options, call.input, call.output, Execution::cpu(-1)),
                 "depthwise_conv", StatusCode::invalid_argument,
                 "threads must be 0 (all) or more, got -1");
  expect_refused(depthwise_conv(call.options, call.input, call.output, Execution::cuda(nullptr)),
                 "depthwise_conv", StatusCode::invalid_argument, "workspace must have ");
  EXPECT_TRUE(call.untouched());
}

/// Shapes alone; nothing is read.
DepthwiseConvInput shapes_of(ImageLayout layout, const Shape& x, const Shape& weight) {
  static float marker;
  (void)layout;
  return {Tensor(&marker, DataType::float32, 4, x.data()),
          Tensor(&marker, DataType::float32, static_cast<int>(weight.size()), weight.data()),
          Tensor(), Tensor(), Tensor()};
}

struct LimitRow {
  const char* name;
  Shape x, weight;
  std::int64_t pad;
  std::string message;
};
const LimitRow kLimitRows[] = {
    {"planes",
     {1 << 16, 1 << 15, 3, 3},
     {1 << 15, 3, 3},
     0,
     "y must have n c m below 2^31 on a device, got 65536 and 32768"},
    {"image",
     {1, 1 << 15, 256, 256},
     {1 << 15, 3, 3},
     1,
     "x and y must have fewer than 2^31 elements an image on a device, got 32768 x 256 x 256 and "
     "32768 x 256 x 256"},
    {"padding", {1, 1, 1, 3}, {1, 1, 1}, 1 << 29, "x and y must have fewer than "},
};

TEST(DepthwiseConvLimits, AreThoseOfTheContract) {
  for (const LimitRow& row : kLimitRows) {
    SCOPED_TRACE(row.name);
    DepthwiseConvOptions options;
    options.pad_top = options.pad_bottom = options.pad_left = options.pad_right = row.pad;
    DepthwiseConvKernel kernel;
    expect_refused(
        depthwise_conv_kernel(options, shapes_of(options.layout, row.x, row.weight), &kernel),
        "depthwise_conv", StatusCode::unsupported, row.message);
  }
  // More than 2^31 elements in all are none.
  DepthwiseConvOptions options;
  DepthwiseConvKernel kernel;
  EXPECT_TRUE(
      depthwise_conv_kernel(
          options, shapes_of(options.layout, {1 << 12, 1 << 10, 64, 64}, {1 << 10, 3, 3}), &kernel)
          .ok());
}

struct ChoiceRow {
  ImageLayout layout;
  Shape x, weight;
  std::int64_t stride, dilation;
  DepthwiseConvKernel kernel;
};
const ChoiceRow kChoiceRows[] = {
    {ImageLayout::nchw, {32, 144, 56, 56}, {144, 3, 3}, 1, 1, DepthwiseConvKernel::rows},
    {ImageLayout::nchw, {32, 96, 112, 112}, {96, 1, 3, 3}, 2, 1, DepthwiseConvKernel::rows},
    {ImageLayout::nchw, {1, 8, 150, 150}, {8, 5, 5}, 1, 1, DepthwiseConvKernel::rows},
    {ImageLayout::nchw, {32, 384, 14, 14}, {384, 7, 7}, 1, 1, DepthwiseConvKernel::planes},
    {ImageLayout::nchw, {32, 960, 7, 7}, {960, 3, 3}, 1, 1, DepthwiseConvKernel::planes},
    {ImageLayout::nchw, {32, 128, 56, 56}, {128, 31, 31}, 1, 1, DepthwiseConvKernel::tiles},
    {ImageLayout::nchw, {32, 144, 56, 56}, {144, 3, 3}, 1, 2, DepthwiseConvKernel::generic},
    {ImageLayout::nchw, {32, 144, 8, 8}, {144, 9, 9}, 1, 1, DepthwiseConvKernel::generic},
    {ImageLayout::nhwc, {32, 56, 56, 144}, {3, 3, 144}, 1, 1, DepthwiseConvKernel::channels},
    {ImageLayout::nhwc, {32, 56, 56, 144}, {3, 3, 144, 2}, 1, 1, DepthwiseConvKernel::generic},
    {ImageLayout::nhwc, {32, 56, 56, 33}, {3, 3, 33}, 2, 1, DepthwiseConvKernel::generic},
};

TEST(DepthwiseConvIndex, IsOf64Bits) {
  // 2^32 - 1 images, and the places of windows outside of an image.
  constexpr std::int64_t kImages = 0xffffffff;
  EXPECT_EQ(device::nchw_offset(0xffffffffu, 3, 2, 5, 4, 7, 6),
            kImages * 105 + (2 * 5 + 4) * 7 + 6);
  EXPECT_EQ(device::nhwc_offset(0xffffffffu, 5, 4, 7, 6, 3, 2),
            kImages * 105 + (4 * 7 + 6) * 3 + 2);
  EXPECT_EQ(device::nchw_offset(70000, 1000, 999, 64, -3, 64, -2),
            (std::int64_t{70000} * 1000 + 999) * 4096 - 3 * 64 - 2);
  EXPECT_EQ(device::nhwc_offset(70000, 64, -3, 64, -2, 1000, 999),
            ((std::int64_t{70000} * 64 - 3) * 64 - 2) * 1000 + 999);
  // An image of nearly 2^31 elements.
  EXPECT_EQ(device::nchw_offset(1, 1, 0, 46340, 46339, 46340, 46339),
            2 * std::int64_t{46340} * 46340 - 1);
}

TEST(DepthwiseConvChoice, FollowsTheShape) {
  for (const ChoiceRow& row : kChoiceRows) {
    DepthwiseConvOptions options;
    options.layout = row.layout;
    options.stride_h = options.stride_w = row.stride;
    options.dilation_h = options.dilation_w = row.dilation;
    options.pad_top = options.pad_left = options.pad_bottom = options.pad_right =
        row.weight[row.layout == ImageLayout::nchw ? row.weight.size() - 1 : 0] / 2 * row.dilation;
    const DepthwiseConvInput input = shapes_of(row.layout, row.x, row.weight);
    DepthwiseConvKernel kernel = DepthwiseConvKernel::automatic;
    const Status status = depthwise_conv_kernel(options, input, &kernel);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_STREQ(to_string(kernel), to_string(row.kernel)) << row.x[1] << "x" << row.x[2];
  }
}

TEST(DepthwiseConvChoice, RefusesAKernelThatDoesNotTakeTheCall) {
  DepthwiseConvOptions options;
  options.kernel = DepthwiseConvKernel::channels;
  DepthwiseConvKernel kernel;
  expect_refused(
      depthwise_conv_kernel(options, shapes_of(options.layout, {1, 4, 9, 9}, {4, 3, 3}), &kernel),
      "depthwise_conv", StatusCode::unsupported, "kernel channels does not take this call");
}

TEST(DepthwiseConvWorkspace, GrowsWithEverySize) {
  const Shape base = {2, 8, 30, 30};
  const auto bytes_of = [](const Shape& x, bool pool) {
    DepthwiseConvOptions options;
    HostTensor sums(DataType::float32, {x[0], x[1]});
    DepthwiseConvOutput output;
    if (pool) output.pool = sums.tensor();
    std::size_t bytes = 1;
    EXPECT_TRUE(depthwise_conv_workspace_size(options, shapes_of(options.layout, x, {x[1], 3, 3}),
                                              output, &bytes)
                    .ok());
    return bytes;
  };
  EXPECT_EQ(bytes_of(base, false), 0u);
  for (std::size_t d = 0; d < 4; ++d) {
    std::size_t last = 0;
    for (std::int64_t size = 3; size < 70; ++size) {
      Shape x = base;
      x[d] = size;
      const std::size_t bytes = bytes_of(x, true);
      EXPECT_GE(bytes, last) << d << " " << size;
      last = bytes;
    }
  }
}

TEST(DepthwiseConvSamePadding, IsThatOfTensorFlow) {
  // Output sizes are rounded up, and the odd pad is at the end.
  struct Case {
    std::int64_t size, kernel, stride, dilation, before, after;
  };
  for (const Case& c : {Case{16, 3, 2, 1, 0, 1}, Case{15, 3, 2, 1, 1, 1}, Case{9, 5, 1, 1, 2, 2},
                        Case{9, 4, 1, 1, 1, 2}, Case{10, 3, 1, 2, 2, 2}, Case{7, 1, 2, 1, 0, 0},
                        Case{5, 3, 4, 1, 1, 1}, Case{0, 3, 1, 1, 0, 0}}) {
    DepthwiseConvOptions options;
    options.stride_h = options.stride_w = c.stride;
    options.dilation_h = options.dilation_w = c.dilation;
    ASSERT_TRUE(set_same_padding(c.size, c.size, c.kernel, c.kernel, &options).ok());
    EXPECT_EQ(options.pad_top, c.before) << c.size << " " << c.kernel;
    EXPECT_EQ(options.pad_bottom, c.after) << c.size << " " << c.kernel;
    EXPECT_EQ(options.pad_left, c.before);
    EXPECT_EQ(options.pad_right, c.after);
  }
  DepthwiseConvOptions options;
  expect_refused(set_same_padding(-1, 4, 3, 3, &options), "set_same_padding",
                 StatusCode::invalid_argument, "h and w must be 0 to 2^62, got -1 and 4");
  expect_refused(set_same_padding(4, 4, 3, 32, &options), "set_same_padding",
                 StatusCode::invalid_argument,
                 "kernel_h and kernel_w must be 1 to 31, got 3 and 32");
  expect_refused(set_same_padding(4, 4, 3, 3, nullptr), "set_same_padding",
                 StatusCode::invalid_argument, "options must not be null, got a null pointer");
  options.stride_w = 0;
  expect_refused(set_same_padding(4, 4, 3, 3, &options), "set_same_padding",
                 StatusCode::invalid_argument, "stride_w must be 1 to 2^30, got 0");
}

TEST(DepthwiseConvQueries, NeedAPlaceForTheResult) {
  const Forward call;
  expect_refused(depthwise_conv_workspace_size(call.options, call.input, call.output, nullptr),
                 "depthwise_conv", StatusCode::invalid_argument,
                 "bytes must not be null, got a null pointer");
  expect_refused(depthwise_conv_kernel(call.options, call.input, nullptr), "depthwise_conv",
                 StatusCode::invalid_argument, "kernel must not be null, got a null pointer");
  expect_refused(depthwise_conv_output_shape(call.options, call.input, nullptr), "depthwise_conv",
                 StatusCode::invalid_argument, "shape must not be null, got a null pointer");
  const Backward backward;
  expect_refused(depthwise_conv_backward_workspace_size(backward.options, backward.input,
                                                        backward.output, nullptr),
                 "depthwise_conv_backward", StatusCode::invalid_argument,
                 "bytes must not be null, got a null pointer");
  expect_refused(
      depthwise_conv_backward_kernels(backward.options, backward.input, backward.output, nullptr),
      "depthwise_conv_backward", StatusCode::invalid_argument,
      "kernels must not be null, got a null pointer");
}

TEST(DepthwiseConvNames, AreSpelledAsInTheEnumerations) {
  EXPECT_STREQ(to_string(ImageLayout::nchw), "nchw");
  EXPECT_STREQ(to_string(ImageLayout::nhwc), "nhwc");
  EXPECT_STREQ(to_string(static_cast<ImageLayout>(9)), "unknown");
  EXPECT_STREQ(to_string(Activation::none), "none");
  EXPECT_STREQ(to_string(Activation::hardswish), "hardswish");
  EXPECT_STREQ(to_string(static_cast<Activation>(9)), "unknown");
  EXPECT_STREQ(to_string(DepthwiseConvKernel::automatic), "automatic");
  EXPECT_STREQ(to_string(DepthwiseConvKernel::tiles), "tiles");
  EXPECT_STREQ(to_string(static_cast<DepthwiseConvKernel>(9)), "unknown");
}

}  // namespace
}  // namespace cudet::test
