// Argument checks of the focal losses.
#include <cudet/focal_loss.h>

#include "check.h"
#include "focal_loss_plan.h"

#include <cinttypes>
#include <cmath>
#include <cstddef>

namespace cudet {
namespace {

constexpr const char* kSigmoid = "sigmoid_focal_loss";
constexpr const char* kSoftmax = "softmax_focal_loss";
constexpr const char* kDistribution = "distribution_focal_loss";
constexpr int kMaxLevels = SigmoidFocalLossInput::kMaxLevels;

/// How messages call the tensors of the levels; a single level has no number.
struct LevelNames {
  const char* single;
  const char* numbered[kMaxLevels];
  const char* of(int level, int levels) const { return levels == 1 ? single : numbered[level]; }
};
#define CUDET_LEVEL_NAMES(name)                                                           \
  {                                                                                       \
    name, {                                                                               \
      name "[0]", name "[1]", name "[2]", name "[3]", name "[4]", name "[5]", name "[6]", \
          name "[7]"                                                                      \
    }                                                                                     \
  }
constexpr LevelNames kLogits = CUDET_LEVEL_NAMES("logits");
constexpr LevelNames kTargets = CUDET_LEVEL_NAMES("targets");
constexpr LevelNames kRowWeights = CUDET_LEVEL_NAMES("row_weights");
constexpr LevelNames kGradOutput = CUDET_LEVEL_NAMES("grad_output");
constexpr LevelNames kLoss = CUDET_LEVEL_NAMES("output.loss");
constexpr LevelNames kGradLogits = CUDET_LEVEL_NAMES("output.grad_logits");
#undef CUDET_LEVEL_NAMES

using Check = Status (*)(const TensorContract&, const Tensor&);

/// Accepted types, in static storage: an initializer_list does not own what it lists.
using Types = std::initializer_list<DataType>;
constexpr Types kFloat32 = {DataType::float32};
constexpr Types kFloat16 = {DataType::float16};
constexpr Types kBfloat16 = {DataType::bfloat16};
constexpr Types kInt32 = {DataType::int32};
constexpr Types kInt64 = {DataType::int64};
constexpr Types kUint8 = {DataType::uint8};
constexpr Types kIndexTypes = {DataType::int32, DataType::int64};
constexpr Types kLabelTypes = {DataType::int32, DataType::int64, DataType::uint8};
constexpr Types kFloat32OrFloat16 = {DataType::float32, DataType::float16};
constexpr Types kFloat32OrBfloat16 = {DataType::float32, DataType::bfloat16};

Types only(DataType type) {
  switch (type) {
    case DataType::float16:
      return kFloat16;
    case DataType::bfloat16:
      return kBfloat16;
    case DataType::int32:
      return kInt32;
    case DataType::int64:
      return kInt64;
    case DataType::uint8:
      return kUint8;
    default:
      return kFloat32;
  }
}

Types float32_or(DataType type) {
  switch (type) {
    case DataType::float16:
      return kFloat32OrFloat16;
    case DataType::bfloat16:
      return kFloat32OrBfloat16;
    default:
      return kFloat32;
  }
}

Status check_gamma(const char* operation, float gamma) {
  if (gamma >= 0.0f && std::isfinite(gamma)) return Status();
  return Status::error(StatusCode::invalid_argument,
                       "%s: gamma must be finite and 0 or more, got %g", operation,
                       static_cast<double>(gamma));
}

Status check_smoothing(const char* operation, float label_smoothing) {
  if (label_smoothing >= 0.0f && label_smoothing <= 1.0f) return Status();
  return Status::error(StatusCode::invalid_argument,
                       "%s: label_smoothing must be in [0, 1], got %g", operation,
                       static_cast<double>(label_smoothing));
}

Status check_common(const char* operation, LossReduction reduction, float grad_scale) {
  if (!is_enumerator(reduction, 4)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: reduction must be none, sum, mean or normalised, got %d", operation,
                         static_cast<int>(reduction));
  }
  if (!std::isfinite(grad_scale)) {
    return Status::error(StatusCode::invalid_argument, "%s: grad_scale must be finite, got %g",
                         operation, static_cast<double>(grad_scale));
  }
  return Status();
}

Status check_enumerators(const SigmoidFocalLossOptions& options) {
  if (!is_enumerator(options.kind, 3)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: kind must be focal, quality or varifocal, got %d", kSigmoid,
                         static_cast<int>(options.kind));
  }
  if (!is_enumerator(options.targets, 3)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: options.targets must be class_index, binary or dense, got %d",
                         kSigmoid, static_cast<int>(options.targets));
  }
  if (!is_enumerator(options.layout, 2)) {
    return Status::error(StatusCode::invalid_argument, "%s: layout must be rows or head, got %d",
                         kSigmoid, static_cast<int>(options.layout));
  }
  return Status();
}

Status check_options(const SigmoidFocalLossOptions& options) {
  CUDET_RETURN_IF_ERROR(check_enumerators(options));
  const bool in_range = options.alpha >= 0.0f && options.alpha <= 1.0f;
  if (!in_range && options.alpha != SigmoidFocalLossOptions::kNoAlpha) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: alpha must be in [0, 1] or -1 (off), got %g", kSigmoid,
                         static_cast<double>(options.alpha));
  }
  CUDET_RETURN_IF_ERROR(check_gamma(kSigmoid, options.gamma));
  if (options.kind == FocalKind::quality && options.gamma > 0.0f && options.gamma < 1.0f) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: gamma must be 0, or 1 or more, for quality, got %g", kSigmoid,
                         static_cast<double>(options.gamma));
  }
  CUDET_RETURN_IF_ERROR(check_smoothing(kSigmoid, options.label_smoothing));
  if (options.kind != FocalKind::focal && options.label_smoothing != 0.0f) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: label_smoothing must be 0 for %s, got %g", kSigmoid,
                         to_string(options.kind), static_cast<double>(options.label_smoothing));
  }
  return check_common(kSigmoid, options.reduction, options.grad_scale);
}

/// A tensor of the shape of the logits, whose own shape has been checked.
Status check_like_logits(Check check, const char* name, Types types, const Tensor& logits,
                         FocalLayout layout, const Tensor& tensor) {
  const std::int64_t* const size = logits.shape();
  if (layout == FocalLayout::head) {
    return check({kSigmoid,
                  name,
                  {{"batch", size[0]}, {"A C", size[1]}, {"H", size[2]}, {"W", size[3]}},
                  types},
                 tensor);
  }
  switch (logits.rank()) {
    case 1:
      return check({kSigmoid, name, {{"n", size[0]}}, types}, tensor);
    case 2:
      return check({kSigmoid, name, {{"rows", size[0]}, {"C", size[1]}}, types}, tensor);
    default:
      return check({kSigmoid, name, {{"batch", size[0]}, {"n", size[1]}, {"C", size[2]}}, types},
                   tensor);
  }
}

/// A tensor with one number a row of the logits.
Status check_like_rows(Check check, const char* name, Types types, const Tensor& logits,
                       FocalLayout layout, const Tensor& tensor) {
  const std::int64_t* const size = logits.shape();
  if (layout == FocalLayout::head) {
    return check(
        {kSigmoid, name, {{"batch", size[0]}, {"A"}, {"H", size[2]}, {"W", size[3]}}, types},
        tensor);
  }
  if (logits.rank() == 3) {
    return check({kSigmoid, name, {{"batch", size[0]}, {"n", size[1]}}, types}, tensor);
  }
  return check({kSigmoid, name, {{"rows", size[0]}}, types}, tensor);
}

Status check_logits(Check check, const char* name, const SigmoidFocalLossOptions& options,
                    Types types, const Tensor& logits) {
  if (options.layout == FocalLayout::head) {
    return check({kSigmoid, name, {{"batch"}, {"A C"}, {"H"}, {"W"}}, types}, logits);
  }
  if (logits.rank() == 3) {
    return check({kSigmoid, name, {{"batch"}, {"n"}, {"C"}}, types}, logits);
  }
  if (logits.rank() == 1 && options.targets != FocalTargets::class_index) {
    return check({kSigmoid, name, {{"n"}}, types}, logits);
  }
  return check({kSigmoid, name, {{"rows"}, {"C"}}, types}, logits);
}

Status check_targets(Check check, const char* name, const SigmoidFocalLossOptions& options,
                     const Tensor& first, const Tensor& logits, const Tensor& targets) {
  // All levels have the type of the first one.
  const bool is_first = &targets == &first;
  switch (options.targets) {
    case FocalTargets::binary:
      return check_like_logits(check, name, is_first ? kLabelTypes : only(first.type()), logits,
                               options.layout, targets);
    case FocalTargets::dense:
      return check_like_logits(check, name, is_first ? kRealTypes : only(first.type()), logits,
                               options.layout, targets);
    default:
      return check_like_rows(check, name, is_first ? kIndexTypes : only(first.type()), logits,
                             options.layout, targets);
  }
}

/// Number of classes in the head layout: channels over anchors, which `by_row` has.
Status divide_channels(const char* logits_name, const char* name, const Tensor& logits,
                       std::int64_t anchors, std::int64_t* classes) {
  if (anchors < 1 || logits.size(1) % anchors != 0) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: %s must divide the %" PRId64 " channels of %s, got %" PRId64,
                         kSigmoid, name, logits.size(1), logits_name, anchors);
  }
  *classes = logits.size(1) / anchors;
  return Status();
}

/// The number of classes of a level; 0 where neither shape nor arguments tell it.
Status find_classes(const SigmoidFocalLossOptions& options, const SigmoidFocalLossInput& input,
                    bool with_data, int level, std::int64_t* classes) {
  const Tensor& logits = input.logits[level];
  const char* const name = kLogits.of(level, input.levels);
  if (options.layout == FocalLayout::rows) {
    *classes = logits.rank() == 1 ? 1 : logits.size(logits.rank() - 1);
    return Status();
  }
  if (options.targets == FocalTargets::class_index) {
    return divide_channels(name, "the anchors of targets", logits, input.targets[level].size(1),
                           classes);
  }
  if (with_data && input.row_weights[level].present()) {
    return divide_channels(name, "the anchors of row_weights", logits,
                           input.row_weights[level].size(1), classes);
  }
  if (with_data && input.class_alpha.present() && input.class_alpha.rank() == 1) {
    *classes = input.class_alpha.size(0);
    std::int64_t anchors = 0;
    return divide_channels(name, "the classes of class_alpha", logits, *classes, &anchors);
  }
  *classes = 0;
  return Status();
}

/// A tensor that all levels have or none.
Status check_all_or_none(const char* name, const Tensor& first, const Tensor& tensor) {
  if (first.present() == tensor.present()) return Status();
  return Status::error(StatusCode::invalid_argument,
                       "%s: %s must be given for all levels or none, got %s", kSigmoid, name,
                       tensor.present() ? "a tensor" : "none");
}

Status check_level(const SigmoidFocalLossOptions& options, const SigmoidFocalLossInput& input,
                   bool with_data, int level, SigmoidFocalShape* shape) {
  const Check check = with_data ? check_input : check_shape_and_type;
  const Tensor& logits = input.logits[level];
  const char* const logits_name = kLogits.of(level, input.levels);
  CUDET_RETURN_IF_ERROR(check_logits(
      check, logits_name, options, level == 0 ? kRealTypes : only(input.logits[0].type()), logits));
  CUDET_RETURN_IF_ERROR(check_targets(check, kTargets.of(level, input.levels), options,
                                      input.targets[0], logits, input.targets[level]));
  if (with_data) {
    const char* const name = kRowWeights.of(level, input.levels);
    const Tensor& row_weights = input.row_weights[level];
    CUDET_RETURN_IF_ERROR(check_all_or_none(name, input.row_weights[0], row_weights));
    if (row_weights.present()) {
      CUDET_RETURN_IF_ERROR(
          check_like_rows(check, name, kFloat32, logits, options.layout, row_weights));
    }
  }

  std::int64_t classes = 0;
  CUDET_RETURN_IF_ERROR(find_classes(options, input, with_data, level, &classes));
  if (level == 0) shape->classes = classes;
  if (classes != shape->classes) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: %s must have %" PRId64 " classes as logits[0] has, got %" PRId64,
                         kSigmoid, logits_name, shape->classes, classes);
  }
  FocalLevelShape& level_shape = shape->levels[level];
  level_shape.elements = logits.element_count();
  if (options.layout == FocalLayout::head) {
    level_shape.positions = logits.size(2) * logits.size(3);
    level_shape.image_anchors =
        classes > 0 ? logits.size(0) * (logits.size(1) / classes) : logits.size(0) * logits.size(1);
  }
  if (__builtin_add_overflow(shape->elements, level_shape.elements, &shape->elements)) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: logits must have fewer than 2^63 elements in all levels, got more",
                         kSigmoid);
  }
  return Status();
}

Status check_normaliser(const char* operation, LossReduction reduction, const Tensor& normaliser) {
  if (reduction == LossReduction::normalised) {
    return check_input({operation, "normaliser", {{"1", 1}}, kFloat32}, normaliser);
  }
  if (!normaliser.present()) return Status();
  return Status::error(StatusCode::invalid_argument,
                       "%s: normaliser must be absent where the reduction is %s, got a tensor",
                       operation, to_string(reduction));
}

Status check_something_wanted(const char* operation, const char* names, bool wanted) {
  if (wanted) return Status();
  return Status::error(StatusCode::invalid_argument, "%s: output must have %s, got none", operation,
                       names);
}

Status check_counted(const char* operation, const char* name, const Tensor& count) {
  if (!count.present()) return Status();
  return check_output({operation, name, {{"1", 1}}, kIndexTypes}, count);
}

/// The tensors of a call, collected to be compared with each other.
struct TensorList {
  NamedTensor tensors[4 * kMaxLevels + 3];
  int count = 0;
  void add(const char* name, const Tensor& tensor) { tensors[count++] = {name, &tensor}; }
};

Status check_no_overlap(const TensorList& inputs, const TensorList& outputs) {
  for (int i = 0; i < outputs.count; ++i) {
    const NamedTensor& output = outputs.tensors[i];
    for (int j = 0; j < inputs.count; ++j)
      CUDET_RETURN_IF_ERROR(cudet::check_no_overlap(kSigmoid, {inputs.tensors[j]}, {output}));
    for (int j = 0; j < i; ++j)
      CUDET_RETURN_IF_ERROR(cudet::check_no_overlap(kSigmoid, {}, {outputs.tensors[j], output}));
  }
  return Status();
}

Status check_sigmoid_overlap(const SigmoidFocalLossInput& input,
                             const SigmoidFocalLossOutput& output) {
  TensorList inputs;
  TensorList outputs;
  for (int level = 0; level < input.levels; ++level) {
    inputs.add(kLogits.of(level, input.levels), input.logits[level]);
    inputs.add(kTargets.of(level, input.levels), input.targets[level]);
    inputs.add(kRowWeights.of(level, input.levels), input.row_weights[level]);
    inputs.add(kGradOutput.of(level, input.levels), input.grad_output[level]);
    outputs.add(kLoss.of(level, input.levels), output.loss[level]);
    outputs.add(kGradLogits.of(level, input.levels), output.grad_logits[level]);
  }
  inputs.add("class_alpha", input.class_alpha);
  inputs.add("normaliser", input.normaliser);
  outputs.add("output.positives", output.positives);
  return check_no_overlap(inputs, outputs);
}

/// What the losses of a softmax have in common.
template <class Options, class Input>
Status check_rows_input(const char* operation, const Options& options, const Input& input,
                        Dimension classes, Types target_types, bool with_data,
                        SoftmaxShape* shape) {
  const Check check = with_data ? check_input : check_shape_and_type;
  CUDET_RETURN_IF_ERROR(
      check({operation, "logits", {{"rows"}, classes}, kRealTypes}, input.logits));
  shape->rows = input.logits.size(0);
  shape->classes = input.logits.size(1);
  const Dimension rows = {"rows", shape->rows};
  CUDET_RETURN_IF_ERROR(check({operation, "targets", {rows}, target_types}, input.targets));
  if (!with_data) return Status();
  if (input.row_weights.present()) {
    CUDET_RETURN_IF_ERROR(
        check_input({operation, "row_weights", {rows}, kFloat32}, input.row_weights));
  }
  CUDET_RETURN_IF_ERROR(check_normaliser(operation, options.reduction, input.normaliser));
  if (!input.grad_output.present()) return Status();
  const Dimension losses = options.reduction == LossReduction::none ? rows : Dimension{"1", 1};
  return check_input({operation, "grad_output", {losses}, kFloat32}, input.grad_output);
}

template <class Input, class Output>
Status check_rows_output(const char* operation, LossReduction reduction, const Input& input,
                         const Output& output) {
  const Dimension rows = {"rows", input.logits.size(0)};
  if (output.loss.present()) {
    const Dimension losses = reduction == LossReduction::none ? rows : Dimension{"1", 1};
    CUDET_RETURN_IF_ERROR(
        check_output({operation, "output.loss", {losses}, kFloat32}, output.loss));
  }
  if (!output.grad_logits.present()) return Status();
  return check_output(
      {operation, "output.grad_logits", {rows, {"C", input.logits.size(1)}}, {input.logits.type()}},
      output.grad_logits);
}

}  // namespace

Status check_sigmoid_input(const SigmoidFocalLossOptions& options,
                           const SigmoidFocalLossInput& input, bool with_data,
                           SigmoidFocalShape* shape) noexcept {
  CUDET_RETURN_IF_ERROR(check_options(options));
  if (input.levels < 1 || input.levels > kMaxLevels) {
    return Status::error(StatusCode::invalid_argument, "%s: levels must be in [1, %d], got %d",
                         kSigmoid, kMaxLevels, input.levels);
  }
  *shape = SigmoidFocalShape();
  for (int level = 0; level < input.levels; ++level)
    CUDET_RETURN_IF_ERROR(check_level(options, input, with_data, level, shape));
  if (!with_data) return Status();

  if (input.class_alpha.present()) {
    CUDET_RETURN_IF_ERROR(check_input({kSigmoid, "class_alpha", {{"C", shape->classes}}, kFloat32},
                                      input.class_alpha));
  }
  CUDET_RETURN_IF_ERROR(check_normaliser(kSigmoid, options.reduction, input.normaliser));
  if (options.reduction != LossReduction::none) {
    if (!input.grad_output[0].present()) return Status();
    return check_input({kSigmoid, kGradOutput.single, {{"1", 1}}, kFloat32}, input.grad_output[0]);
  }
  for (int level = 0; level < input.levels; ++level) {
    const char* const name = kGradOutput.of(level, input.levels);
    const Tensor& first = input.grad_output[0];
    const Tensor& grad_output = input.grad_output[level];
    CUDET_RETURN_IF_ERROR(check_all_or_none(name, first, grad_output));
    if (!first.present()) continue;
    CUDET_RETURN_IF_ERROR(check_like_logits(check_input, name,
                                            level == 0 ? kRealTypes : only(first.type()),
                                            input.logits[level], options.layout, grad_output));
  }
  return Status();
}

Status check_sigmoid_output(const SigmoidFocalLossOptions& options,
                            const SigmoidFocalLossInput& input,
                            const SigmoidFocalLossOutput& output) noexcept {
  const bool reduced = options.reduction != LossReduction::none;
  if (reduced && output.loss[0].present()) {
    CUDET_RETURN_IF_ERROR(
        check_output({kSigmoid, kLoss.single, {{"1", 1}}, kFloat32}, output.loss[0]));
  }
  for (int level = 0; level < input.levels; ++level) {
    const Tensor& logits = input.logits[level];
    if (!reduced) {
      const char* const name = kLoss.of(level, input.levels);
      CUDET_RETURN_IF_ERROR(check_all_or_none(name, output.loss[0], output.loss[level]));
      if (output.loss[level].present()) {
        const Types types = level > 0 ? only(output.loss[0].type()) : float32_or(logits.type());
        CUDET_RETURN_IF_ERROR(check_like_logits(check_output, name, types, logits, options.layout,
                                                output.loss[level]));
      }
    }
    const char* const name = kGradLogits.of(level, input.levels);
    const Tensor& gradient = output.grad_logits[level];
    CUDET_RETURN_IF_ERROR(check_all_or_none(name, output.grad_logits[0], gradient));
    if (gradient.present()) {
      CUDET_RETURN_IF_ERROR(check_like_logits(check_output, name, only(logits.type()), logits,
                                              options.layout, gradient));
    }
  }
  CUDET_RETURN_IF_ERROR(check_counted(kSigmoid, "output.positives", output.positives));
  CUDET_RETURN_IF_ERROR(check_something_wanted(
      kSigmoid, "loss, grad_logits or positives",
      output.loss[0].present() || output.grad_logits[0].present() || output.positives.present()));
  return check_sigmoid_overlap(input, output);
}

Status check_softmax_input(const SoftmaxFocalLossOptions& options,
                           const SoftmaxFocalLossInput& input, bool with_data,
                           SoftmaxShape* shape) noexcept {
  CUDET_RETURN_IF_ERROR(check_gamma(kSoftmax, options.gamma));
  CUDET_RETURN_IF_ERROR(check_smoothing(kSoftmax, options.label_smoothing));
  CUDET_RETURN_IF_ERROR(check_common(kSoftmax, options.reduction, options.grad_scale));
  CUDET_RETURN_IF_ERROR(
      check_rows_input(kSoftmax, options, input, {"C"}, kIndexTypes, with_data, shape));
  if (shape->classes < 1) {
    return Status::error(StatusCode::invalid_argument,
                         "%s: logits must have 1 class or more, got %" PRId64, kSoftmax,
                         shape->classes);
  }
  if (!with_data || !input.class_weights.present()) return Status();
  return check_input({kSoftmax, "class_weights", {{"C", shape->classes}}, kFloat32},
                     input.class_weights);
}

Status check_softmax_output(const SoftmaxFocalLossOptions& options,
                            const SoftmaxFocalLossInput& input,
                            const SoftmaxFocalLossOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_rows_output(kSoftmax, options.reduction, input, output));
  CUDET_RETURN_IF_ERROR(check_counted(kSoftmax, "output.valid_rows", output.valid_rows));
  CUDET_RETURN_IF_ERROR(check_something_wanted(
      kSoftmax, "loss, grad_logits or valid_rows",
      output.loss.present() || output.grad_logits.present() || output.valid_rows.present()));
  return cudet::check_no_overlap(kSoftmax,
                                 {{"logits", &input.logits},
                                  {"targets", &input.targets},
                                  {"class_weights", &input.class_weights},
                                  {"row_weights", &input.row_weights},
                                  {"normaliser", &input.normaliser},
                                  {"grad_output", &input.grad_output}},
                                 {{"output.loss", &output.loss},
                                  {"output.grad_logits", &output.grad_logits},
                                  {"output.valid_rows", &output.valid_rows}});
}

Status check_distribution_input(const DistributionFocalLossOptions& options,
                                const DistributionFocalLossInput& input, bool with_data,
                                SoftmaxShape* shape) noexcept {
  CUDET_RETURN_IF_ERROR(check_common(kDistribution, options.reduction, options.grad_scale));
  CUDET_RETURN_IF_ERROR(
      check_rows_input(kDistribution, options, input, {"bins"}, kFloat32, with_data, shape));
  if (shape->classes >= 2) return Status();
  return Status::error(StatusCode::invalid_argument,
                       "%s: logits must have 2 bins or more, got %" PRId64, kDistribution,
                       shape->classes);
}

Status check_distribution_output(const DistributionFocalLossOptions& options,
                                 const DistributionFocalLossInput& input,
                                 const DistributionFocalLossOutput& output) noexcept {
  CUDET_RETURN_IF_ERROR(check_rows_output(kDistribution, options.reduction, input, output));
  CUDET_RETURN_IF_ERROR(check_something_wanted(
      kDistribution, "loss or grad_logits", output.loss.present() || output.grad_logits.present()));
  return cudet::check_no_overlap(
      kDistribution,
      {{"logits", &input.logits},
       {"targets", &input.targets},
       {"row_weights", &input.row_weights},
       {"normaliser", &input.normaliser},
       {"grad_output", &input.grad_output}},
      {{"output.loss", &output.loss}, {"output.grad_logits", &output.grad_logits}});
}

}  // namespace cudet
