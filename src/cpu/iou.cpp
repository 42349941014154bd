// The IoU matrix on the CPU: rows are shared out over the threads, the columns of a row are
// vectors.
#include "iou.h"

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

}  // namespace

Status iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                  const IouMatrixOutput& output, int threads) {
  const Tensor& values = output.values;
  const std::int64_t n = values.size(1);
  const std::int64_t m = values.size(2);
  const BoxList boxes2 = pair_boxes(options, input.boxes2, 0, values.size(0) * m);
  const std::int64_t grain = std::max<std::int64_t>(1, kPairsPerRange / m);
  parallel_for(threads, values.size(0) * n, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t column = 0; column < m; column += kColumns) {
      const std::int64_t count = std::min(kColumns, m - column);
      for (std::int64_t row = begin; row < end; ++row) {
        const PairBox box1 = pair_box(options, input.boxes1, row);
        const BoxColumns columns = boxes2.columns(row / n * m + column);
        write_values(values, row * m + column, count, [&](float* out) {
          box_loops().iou_row(options.kind, box1, columns, count, options.eps, out);
        });
      }
    }
  });
  return Status();
}

Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output, int threads) {
  parallel_for(threads, output.values.size(0), kPairsPerRange,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t first = begin; first < end; first += kColumns) {
                   const std::int64_t count = std::min(kColumns, end - first);
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
