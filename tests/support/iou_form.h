// Problems of iou_matrix() in its other forms: rotated boxes, ragged sets, crowds and bits.
#pragma once

#include "host_tensor.h"
#include "random.h"

#include <cudet/iou.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {

struct IouForm {
  IouMatrixOptions options;
  HostTensor boxes1, boxes2;
  HostTensor offsets1, offsets2;  ///< absent: not ragged
  HostTensor crowds;              ///< absent: none
  std::int64_t m = 0;             ///< columns
  DataType value_type = DataType::float32;
  bool with_values = true;
  bool with_bits = true;

  IouMatrixInput input() const;
  /// Poisoned outputs, absent where they are not wanted.
  HostTensor make_values() const;
  HostTensor make_bits() const;
  std::string describe() const;
};

/// [batch + 1] offsets into `count` boxes: ascending, with images without boxes, and sometimes with
/// boxes at the ends that belong to no image, or offsets out of range.
HostTensor random_offsets(Random& random, std::int64_t batch, std::int64_t count, DataType type);

/// Boxes of `format`, rotated ones among them, that often overlap.
HostTensor random_form_boxes(Random& random, BoxFormat format, DataType type,
                             const std::vector<std::int64_t>& leading_shape);

/// Any form, with about `n` and `m` boxes an image.
IouForm random_form(Random& random, std::int64_t batch, std::int64_t n, std::int64_t m);

}  // namespace cudet::test
