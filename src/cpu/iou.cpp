// The IoU matrix on the CPU: rows are shared out over the threads, the columns of a row are
// vectors.
#include "iou.h"

#include "../../cuda/device/rotated_box.h"
#include "../reference/iou_rows.h"
#include "box_columns.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cudet::cpu {
namespace {

/// Columns that a row is cut into, so that their boxes and values stay in the first-level cache.
constexpr std::int64_t kColumns = 512;

/// Pairs that are worth the start of a thread.
constexpr std::int64_t kPairsPerRange = 1 << 16;

PairBox pair_box(const IouMatrixOptions& options, const Tensor& boxes, std::int64_t index) {
  const reference::Box box = reference::box_at(boxes, index, options.format, options.legacy_offset);
  const bool mark_invalid = options.kind != IouKind::iou && options.kind != IouKind::iof;
  if (!box.valid) return {0.0f, 0.0f, 0.0f, 0.0f, mark_invalid ? -INFINITY : 0.0f, 0.0f};
  return make_pair_box(box, options.kind == IouKind::ciou);
}

/// The boxes `begin` ... `end` - 1 of a [..., 4] tensor.
BoxList pair_boxes(const IouMatrixOptions& options, const Tensor& boxes, std::int64_t begin,
                   std::int64_t end) {
  BoxList list;
  list.reserve(end - begin);
  for (std::int64_t i = begin; i < end; ++i)
    list.push_back(pair_box(options, boxes, i));
  return list;
}

pinned::RotatedBox rotated_box(const IouMatrixOptions& options, const Tensor& boxes,
                               std::int64_t index) {
  float numbers[5];
  for (std::int64_t k = 0; k < 5; ++k)
    numbers[k] = reference::real_at(boxes, 5 * index + k);
  return pinned::make_rotated_box(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],
                                  options.angle_unit, options.angle_direction);
}

float rotated_value(IouKind kind, const pinned::RotatedBox& a, const pinned::RotatedBox& b) {
  if (kind != IouKind::iof) return pinned::rotated_iou(a, b);
  const float overlap = pinned::rotated_intersection(a, b);
  return overlap > 0.0f ? std::min(overlap / a.area, 1.0f) : 0.0f;
}

/// Lets `compute` write `count` <= kColumns values in float32, and brings them to the elements of
/// `values` from `element` on.
template <class Compute>
void write_values(const Tensor& values, std::int64_t element, std::int64_t count,
                  const Compute& compute) {
  if (values.type() == DataType::float32) return compute(values.data_as<float>() + element);
  float row[kColumns];
  compute(row);
  for (std::int64_t j = 0; j < count; ++j)
    reference::store_real(values, element + j, row[j]);
}

/// boxes2 of a matrix as rows are computed with them: upright or rotated, and which are crowds.
class MatrixColumns {
 public:
  MatrixColumns(const IouMatrixOptions& options, const IouMatrixInput& input)
      : options_(options), boxes1_(input.boxes1), crowds_(input.crowds.data_as<std::uint8_t>()) {
    const std::int64_t numbers = numbers_of(options.format);
    const std::int64_t count = input.boxes2.element_count() / numbers;
    if (options.format != BoxFormat::rotated) {
      upright_ = pair_boxes(options, input.boxes2, 0, count);
      return;
    }
    rotated_.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
      rotated_.push_back(rotated_box(options, input.boxes2, i));
  }

  /// Values of box `row` of boxes1 with `count` <= kColumns boxes of boxes2.
  void compute(std::int64_t row, std::int64_t first, std::int64_t count, float* values) const {
    if (options_.format == BoxFormat::rotated) {
      const pinned::RotatedBox box = rotated_box(options_, boxes1_, row);
      for (std::int64_t j = 0; j < count; ++j)
        values[j] =
            rotated_value(options_.kind, box, rotated_[static_cast<std::size_t>(first + j)]);
      return;
    }
    const PairBox box = pair_box(options_, boxes1_, row);
    const BoxColumns columns = upright_.columns(first);
    box_loops().iou_row(options_.kind, box, columns, count, options_.eps, values);
    if (crowds_ == nullptr) return;
    float of_crowds[kColumns];
    box_loops().iou_row(IouKind::iof, box, columns, count, options_.eps, of_crowds);
    for (std::int64_t j = 0; j < count; ++j)
      if (crowds_[first + j] != 0) values[j] = of_crowds[j];
  }

 private:
  IouMatrixOptions options_;
  Tensor boxes1_;
  const std::uint8_t* crowds_;
  BoxList upright_;
  std::vector<pinned::RotatedBox> rotated_;
};

/// The bits of `count` values that begin at a multiple of 32 columns.
void write_bits(const float* values, std::int64_t count, float threshold, std::int32_t* words) {
  for (std::int64_t j = 0; j < count; j += 32) {
    std::uint32_t word = 0;
    for (std::int64_t k = 0; k < std::min<std::int64_t>(32, count - j); ++k)
      word |= static_cast<std::uint32_t>(values[j + k] > threshold) << k;
    words[j / 32] = static_cast<std::int32_t>(word);
  }
}

}  // namespace

Status iou_matrix(const IouMatrixPlan& plan, const IouMatrixOptions& options,
                  const IouMatrixInput& input, const IouMatrixOutput& output, int threads) {
  const std::int64_t m = plan.m;
  const MatrixColumns boxes2(options, input);
  const float invalid = options.kind == IouKind::iou || options.kind == IouKind::iof ? 0.0f : -1.0f;
  const std::int64_t grain = std::max<std::int64_t>(1, kPairsPerRange / m);
  parallel_for(threads, plan.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t column = 0; column < m; column += kColumns) {
      const std::int64_t count = std::min(kColumns, m - column);
      for (std::int64_t row = begin; row < end; ++row) {
        const reference::BoxRange range = reference::columns_of_row(plan, input, row);
        const std::int64_t there =
            std::clamp<std::int64_t>(range.end - range.begin - column, 0, count);
        const auto compute = [&](float* out) {
          if (there > 0) boxes2.compute(row, range.begin + column, there, out);
          std::fill(out + there, out + count, invalid);
          if (!output.bits.present()) return;
          write_bits(out, count, options.threshold,
                     output.bits.data_as<std::int32_t>() + row * plan.words + column / 32);
        };
        float unused[kColumns];
        if (output.values.present()) {
          write_values(output.values, row * m + column, count, compute);
        } else {
          compute(unused);
        }
      }
    }
  });
  return Status();
}

Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output, int threads) {
  parallel_for(
      threads, output.values.size(0), kPairsPerRange, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t first = begin; first < end; first += kColumns) {
          const std::int64_t count = std::min(kColumns, end - first);
          if (options.format == BoxFormat::rotated) {
            write_values(output.values, first, count, [&](float* out) {
              for (std::int64_t i = 0; i < count; ++i) {
                out[i] = rotated_value(options.kind, rotated_box(options, input.boxes1, first + i),
                                       rotated_box(options, input.boxes2, first + i));
              }
            });
            continue;
          }
          const BoxList boxes1 = pair_boxes(options, input.boxes1, first, first + count);
          const BoxList boxes2 = pair_boxes(options, input.boxes2, first, first + count);
          write_values(output.values, first, count, [&](float* out) {
            box_loops().iou_pairs(options.kind, boxes1.columns(), boxes2.columns(), count,
                                  options.eps, out);
          });
        }
      });
  return Status();
}

}  // namespace cudet::cpu
