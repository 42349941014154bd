// Problems and results of iou_matrix() in host memory.
#pragma once

#include "host_tensor.h"
#include "random.h"

#include <cudet/iou.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {

inline constexpr IouKind kIouKinds[] = {IouKind::iou,  IouKind::iof,  IouKind::giou,
                                        IouKind::diou, IouKind::ciou, IouKind::eiou};
inline constexpr BoxFormat kBoxFormats[] = {BoxFormat::xyxy, BoxFormat::xywh, BoxFormat::cxcywh};
inline constexpr DataType kRealDataTypes[] = {DataType::float32, DataType::float16,
                                              DataType::bfloat16};

struct IouProblem {
  IouMatrixOptions options;
  HostTensor boxes1;  ///< [batch, n, 4]
  HostTensor boxes2;  ///< [batch, m, 4]
  DataType value_type = DataType::float32;

  std::int64_t batch() const { return boxes1.shape()[0]; }
  std::int64_t n() const { return boxes1.shape()[1]; }
  std::int64_t m() const { return boxes2.shape()[1]; }
  std::vector<std::int64_t> value_shape() const { return {batch(), n(), m()}; }

  IouMatrixInput input() const;

  /// Options, shapes and types in one line, for messages.
  std::string describe() const;
};

using BoxNumbers = std::array<float, 4>;

/// A problem of one batch entry with float32 boxes.
IouProblem make_iou_problem(const IouMatrixOptions& options, const std::vector<BoxNumbers>& boxes1,
                            const std::vector<BoxNumbers>& boxes2);

struct IouSize {
  std::int64_t batch, n, m;
};

/// Random boxes, half of the second set near boxes of the first one.
IouProblem random_iou_problem(Random& random, const IouSize& size, BoxDistribution distribution,
                              const IouMatrixOptions& options,
                              DataType box_type = DataType::float32,
                              DataType value_type = DataType::float32);

/// The library's reference; fails the test where it answers with an error.
HostTensor reference_iou_matrix(const IouProblem& problem);

/// -1 for the kinds that can be negative, else 0: the value of a pair with an invalid box.
float invalid_iou_value(IouKind kind);

/// Boxes of `format` that are invalid (include/cudet/box.h), each in one way: NaN, an infinity or a
/// number out of range in every coordinate, and inverted ones. All stay invalid with
/// legacy_offset, in float32 and bfloat16.
std::vector<BoxNumbers> invalid_boxes(BoxFormat format);

/// True where the promise of accuracy in include/cudet/iou.h covers pair (i, j) of entry b: no side
/// of the boxes, and of the box that encloses them, lies between 0 and 2^-50.
bool accuracy_is_promised(const IouProblem& problem, std::int64_t b, std::int64_t i,
                          std::int64_t j);

}  // namespace cudet::test
