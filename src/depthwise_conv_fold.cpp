// Folding of batch normalisations and branches into one kernel, in double.
#include <cudet/depthwise_conv_fold.h>

#include "check.h"
#include "depthwise_conv_plan.h"

#include <cinttypes>
#include <cmath>
#include <vector>

namespace cudet {
namespace {

constexpr const char* kFold = "fold_batch_norm";
constexpr const char* kReparameterize = "reparameterize";
constexpr int kMaxBranches = 32;
constexpr auto kFloat32 = {DataType::float32};

/// Sizes of a weight in either layout.
struct KernelShape {
  ImageLayout layout = ImageLayout::nchw;
  std::int64_t channels = 0, h = 0, w = 0;
  std::int64_t index(std::int64_t o, std::int64_t p, std::int64_t q) const {
    return layout == ImageLayout::nchw ? (o * h + p) * w + q : (p * w + q) * channels + o;
  }
};

using Check = Status (*)(const TensorContract&, const Tensor&) noexcept;

Status check_kernel(const char* operation, const char* name, ImageLayout layout,
                    const Tensor& weight, Check check, KernelShape* shape) {
  const bool nchw = layout == ImageLayout::nchw;
  const bool rank4 = weight.present() && weight.rank() == 4;
  CUDET_RETURN_IF_ERROR(
      nchw
          ? (rank4 ? check({operation, name, {{"c m"}, {"1", 1}, {"kh"}, {"kw"}}, kFloat32}, weight)
                   : check({operation, name, {{"c m"}, {"kh"}, {"kw"}}, kFloat32}, weight))
          : (rank4 ? check({operation, name, {{"kh"}, {"kw"}, {"c"}, {"m"}}, kFloat32}, weight)
                   : check({operation, name, {{"kh"}, {"kw"}, {"c m"}}, kFloat32}, weight)));
  shape->layout = layout;
  shape->h = weight.size(nchw ? weight.rank() - 2 : 0);
  shape->w = weight.size(nchw ? weight.rank() - 1 : 1);
  shape->channels = nchw ? weight.size(0) : weight.size(2) * (rank4 ? weight.size(3) : 1);
  if (shape->h < 1 || shape->h > kDepthwiseMaxKernel || shape->w < 1 ||
      shape->w > kDepthwiseMaxKernel) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: %s must have kh and kw of 1 to %d, got %" PRId64 " and %" PRId64,
                         operation, name, kDepthwiseMaxKernel, shape->h, shape->w);
  }
  return Status();
}

Status check_channels(const char* operation, const char* name, std::int64_t channels,
                      const Tensor& tensor) {
  return check_input({operation, name, {{"c m", channels}}, kFloat32}, tensor);
}
Status check_optional(const char* operation, const char* name, std::int64_t channels,
                      const Tensor& tensor) {
  return tensor.present() ? check_channels(operation, name, channels, tensor) : Status();
}

Status check_norm(const char* operation, const BatchNorm& norm, std::int64_t channels) {
  CUDET_RETURN_IF_ERROR(check_channels(operation, "mean", channels, norm.mean));
  CUDET_RETURN_IF_ERROR(check_channels(operation, "variance", channels, norm.variance));
  CUDET_RETURN_IF_ERROR(check_optional(operation, "gamma", channels, norm.gamma));
  CUDET_RETURN_IF_ERROR(check_optional(operation, "beta", channels, norm.beta));
  if (!(norm.epsilon >= 0.0f && std::isfinite(norm.epsilon))) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: epsilon must be finite and 0 or more, got %g", operation,
                         static_cast<double>(norm.epsilon));
  }
  for (std::int64_t o = 0; o < channels; ++o) {
    const float variance = norm.variance.data_as<const float>()[o];
    if (variance + norm.epsilon > 0.0f) continue;
    return Status::error(StatusCode::invalid_argument,
                         "%s: variance + epsilon must be above 0, got %g for channel %" PRId64,
                         operation, static_cast<double>(variance + norm.epsilon), o);
  }
  return Status();
}

double value_of(const Tensor& tensor, std::int64_t index, double otherwise) {
  return tensor.present() ? static_cast<double>(tensor.data_as<const float>()[index]) : otherwise;
}

/// v becomes scale v + shift.
struct Affine {
  double scale = 1.0;
  double shift = 0.0;
};
Affine affine_of(const BatchNorm& norm, std::int64_t o) {
  if (!norm.mean.present()) return {};
  const double scale = value_of(norm.gamma, o, 1.0) / std::sqrt(value_of(norm.variance, o, 0.0) +
                                                                static_cast<double>(norm.epsilon));
  return {scale, value_of(norm.beta, o, 0.0) - value_of(norm.mean, o, 0.0) * scale};
}

bool same_memory(const Tensor& a, const Tensor& b) {
  return a.present() && b.present() && a.data() == b.data();
}

Status check_layout(const char* operation, ImageLayout layout) {
  if (is_enumerator(layout, 2)) return Status();
  return Status::error(StatusCode::invalid_argument, "%s: layout must be nchw or nhwc, got %d",
                       operation, static_cast<int>(layout));
}

/// Checks one branch against the sizes of the folded kernel.
Status check_branch(const DepthwiseBranch& branch, const KernelShape& folded) {
  if (branch.weight.present()) {
    KernelShape shape;
    CUDET_RETURN_IF_ERROR(check_kernel(kReparameterize, "branch.weight", folded.layout,
                                       branch.weight, check_input, &shape));
    if (shape.channels != folded.channels || shape.h > folded.h || shape.w > folded.w ||
        shape.h % 2 == 0 || shape.w % 2 == 0) {
      return Status::error(StatusCode::invalid_argument,
                           "%s: branch.weight must have %" PRId64
                           " channels and odd sides up to "
                           "%" PRId64 " x %" PRId64 ", got %" PRId64 " and %" PRId64 " x %" PRId64,
                           kReparameterize, folded.channels, folded.h, folded.w, shape.channels,
                           shape.h, shape.w);
    }
  }
  CUDET_RETURN_IF_ERROR(
      check_optional(kReparameterize, "branch.bias", folded.channels, branch.bias));
  return branch.norm.mean.present() ? check_norm(kReparameterize, branch.norm, folded.channels)
                                    : Status();
}

Status check_disjoint(const DepthwiseBranch& branch, const Tensor& weight, const Tensor& bias) {
  return check_no_overlap(kReparameterize,
                          {{"branch.weight", &branch.weight},
                           {"branch.bias", &branch.bias},
                           {"mean", &branch.norm.mean},
                           {"variance", &branch.norm.variance},
                           {"gamma", &branch.norm.gamma},
                           {"beta", &branch.norm.beta}},
                          {{"weight", &weight}, {"bias", &bias}});
}

/// Adds a branch's kernel, in the middle of the folded one, and bias of channel o.
void add_branch(const DepthwiseBranch& branch, const KernelShape& folded, std::int64_t o,
                std::vector<double>& taps, double& bias) {
  const Affine affine = affine_of(branch.norm, o);
  bias += value_of(branch.bias, o, 0.0) * affine.scale + affine.shift;
  const auto tap = [&](std::int64_t p, std::int64_t q) -> double& {
    return taps[static_cast<std::size_t>(p * folded.w + q)];
  };
  if (!branch.weight.present()) {
    tap(folded.h / 2, folded.w / 2) += affine.scale;
    return;
  }
  KernelShape shape;
  // The branch has been checked.
  (void)check_kernel(kReparameterize, "branch.weight", folded.layout, branch.weight,
                     check_shape_and_type, &shape);
  for (std::int64_t p = 0; p < shape.h; ++p) {
    for (std::int64_t q = 0; q < shape.w; ++q) {
      tap(p + (folded.h - shape.h) / 2, q + (folded.w - shape.w) / 2) +=
          affine.scale * value_of(branch.weight, shape.index(o, p, q), 0.0);
    }
  }
}

}  // namespace

Status fold_batch_norm(ImageLayout layout, const Tensor& weight, const Tensor& bias,
                       const BatchNorm& norm, const Tensor& folded_weight,
                       const Tensor& folded_bias) noexcept {
  KernelShape shape;
  KernelShape folded;
  CUDET_RETURN_IF_ERROR(check_layout(kFold, layout));
  CUDET_RETURN_IF_ERROR(check_kernel(kFold, "weight", layout, weight, check_input, &shape));
  CUDET_RETURN_IF_ERROR(check_optional(kFold, "bias", shape.channels, bias));
  CUDET_RETURN_IF_ERROR(check_norm(kFold, norm, shape.channels));
  CUDET_RETURN_IF_ERROR(
      check_kernel(kFold, "folded_weight", layout, folded_weight, check_output, &folded));
  if (folded.channels != shape.channels || folded.h != shape.h || folded.w != shape.w) {
    return Status::error(
        StatusCode::invalid_argument,
        "%s: folded_weight must have the sizes of weight, %" PRId64 " channels of %" PRId64
        " x %" PRId64 ", got %" PRId64 " of %" PRId64 " x %" PRId64,
        kFold, shape.channels, shape.h, shape.w, folded.channels, folded.h, folded.w);
  }
  CUDET_RETURN_IF_ERROR(
      check_output({kFold, "folded_bias", {{"c m", shape.channels}}, kFloat32}, folded_bias));
  const Tensor none;
  CUDET_RETURN_IF_ERROR(
      check_no_overlap(kFold,
                       {{"weight", same_memory(weight, folded_weight) ? &none : &weight},
                        {"bias", same_memory(bias, folded_bias) ? &none : &bias},
                        {"mean", &norm.mean},
                        {"variance", &norm.variance},
                        {"gamma", &norm.gamma},
                        {"beta", &norm.beta}},
                       {{"folded_weight", &folded_weight}, {"folded_bias", &folded_bias}}));
  for (std::int64_t o = 0; o < shape.channels; ++o) {
    const Affine affine = affine_of(norm, o);
    folded_bias.data_as<float>()[o] =
        static_cast<float>(value_of(bias, o, 0.0) * affine.scale + affine.shift);
    for (std::int64_t tap = 0; tap < shape.h * shape.w; ++tap) {
      const std::int64_t index = shape.index(o, tap / shape.w, tap % shape.w);
      folded_weight.data_as<float>()[index] =
          static_cast<float>(value_of(weight, index, 0.0) * affine.scale);
    }
  }
  return Status();
}

Status reparameterize(ImageLayout layout, const DepthwiseBranch* branches, int count,
                      const Tensor& weight, const Tensor& bias) noexcept {
  KernelShape folded;
  CUDET_RETURN_IF_ERROR(check_layout(kReparameterize, layout));
  if (branches == nullptr || count < 1 || count > kMaxBranches) {
    return Status::error(StatusCode::invalid_argument, "%s: branches must be 1 to %d, got %d%s",
                         kReparameterize, kMaxBranches, count,
                         branches == nullptr ? " at a null pointer" : "");
  }
  CUDET_RETURN_IF_ERROR(
      check_kernel(kReparameterize, "weight", layout, weight, check_output, &folded));
  if (folded.h % 2 == 0 || folded.w % 2 == 0) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: weight must have odd sides, got %" PRId64 " x %" PRId64,
                         kReparameterize, folded.h, folded.w);
  }
  CUDET_RETURN_IF_ERROR(
      check_output({kReparameterize, "bias", {{"c m", folded.channels}}, kFloat32}, bias));
  for (int i = 0; i < count; ++i) {
    CUDET_RETURN_IF_ERROR(check_branch(branches[i], folded));
    CUDET_RETURN_IF_ERROR(check_disjoint(branches[i], weight, bias));
  }
  const auto tap_count = static_cast<std::size_t>(folded.h * folded.w);
  std::vector<double> taps(tap_count);
  for (std::int64_t o = 0; o < folded.channels; ++o) {
    double sum = 0.0;
    taps.assign(tap_count, 0.0);
    for (int i = 0; i < count; ++i)
      add_branch(branches[i], folded, o, taps, sum);
    bias.data_as<float>()[o] = static_cast<float>(sum);
    for (std::int64_t p = 0; p < folded.h; ++p) {
      for (std::int64_t q = 0; q < folded.w; ++q) {
        weight.data_as<float>()[folded.index(o, p, q)] =
            static_cast<float>(taps[static_cast<std::size_t>(p * folded.w + q)]);
      }
    }
  }
  return Status();
}

}  // namespace cudet
