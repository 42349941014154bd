// IoU of all pairs and of aligned pairs: launches.
#include "iou.h"

#include "box_array.h"
#include "iou_kernels.cuh"
#include "iou_pairs_kernel.cuh"
#include "launch.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace cudet::device {
namespace {

using IouMatrixKernel = void (*)(IouMatrixParameters);

template <IouKind kKind>
IouMatrixKernel kernel_for(DataType type) {
  switch (type) {
    case DataType::float16:
      return iou_matrix_kernel<kKind, __half>;
    case DataType::bfloat16:
      return iou_matrix_kernel<kKind, __nv_bfloat16>;
    default:
      return iou_matrix_kernel<kKind, float>;
  }
}

IouMatrixKernel kernel_for(IouKind kind, DataType type) {
  switch (kind) {
    case IouKind::iof:
      return kernel_for<IouKind::iof>(type);
    case IouKind::giou:
      return kernel_for<IouKind::giou>(type);
    case IouKind::diou:
      return kernel_for<IouKind::diou>(type);
    case IouKind::ciou:
      return kernel_for<IouKind::ciou>(type);
    case IouKind::eiou:
      return kernel_for<IouKind::eiou>(type);
    default:
      return kernel_for<IouKind::iou>(type);
  }
}

using IouPairsKernel = void (*)(IouPairsParameters);

IouPairsKernel pairs_kernel_for(IouKind kind) {
  switch (kind) {
    case IouKind::iof:
      return iou_pairs_kernel<IouKind::iof>;
    case IouKind::giou:
      return iou_pairs_kernel<IouKind::giou>;
    case IouKind::diou:
      return iou_pairs_kernel<IouKind::diou>;
    case IouKind::ciou:
      return iou_pairs_kernel<IouKind::ciou>;
    case IouKind::eiou:
      return iou_pairs_kernel<IouKind::eiou>;
    default:
      return iou_pairs_kernel<IouKind::iou>;
  }
}

std::int64_t tiles(std::int64_t size, std::int64_t tile_size) {
  return size / tile_size + (size % tile_size != 0 ? 1 : 0);
}

}  // namespace

Status iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                  const IouMatrixOutput& output, const Execution& execution) noexcept {
  const Tensor& values = output.values;
  const std::int64_t batch = values.size(0);
  const std::int64_t n = values.size(1);
  const std::int64_t m = values.size(2);

  // No overflow: there are at most as many tiles as values. Where the grid is small enough, so is
  // each of its factors.
  const std::int64_t row_tiles = tiles(n, kIouTileRows);
  const std::int64_t column_tiles = tiles(m, kIouTileColumns);
  const std::int64_t blocks = batch * row_tiles * column_tiles;
  if (blocks > INT32_MAX) {
    return Status::error(StatusCode::unsupported,
                         "iou_matrix: values must have at most 2147483647 tiles of %d x %d for a "
                         "device call, got %lld",
                         kIouTileRows, kIouTileColumns, static_cast<long long>(blocks));
  }

  const auto address = reinterpret_cast<std::uintptr_t>(values.data());
  const auto vector_bytes = static_cast<std::uintptr_t>(kColumnsPerThread * size_of(values.type()));
  IouMatrixParameters parameters = {};
  parameters.boxes1 = make_box_array(input.boxes1, options.format, options.legacy_offset);
  parameters.boxes2 = make_box_array(input.boxes2, options.format, options.legacy_offset);
  parameters.values = values.data();
  parameters.n = n;
  parameters.m = m;
  parameters.row_tiles = static_cast<unsigned>(row_tiles);
  parameters.column_tiles = static_cast<unsigned>(column_tiles);
  parameters.eps = options.eps;
  parameters.vector_stores = m % kColumnsPerThread == 0 && address % vector_bytes == 0;

  LaunchConfig config = {};
  config.grid = dim3(static_cast<unsigned>(blocks));
  config.block = dim3(kIouBlockThreads);
  return launch("iou_matrix", "launching iou_matrix_kernel",
                kernel_for(options.kind, values.type()), config, execution.stream(), parameters);
}

Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                 const IouPairsOutput& output, const Execution& execution) noexcept {
  const std::int64_t n = output.values.size(0);
  const std::int64_t blocks = tiles(n, kIouPairsBlockThreads);
  if (blocks > INT32_MAX) {
    return Status::error(StatusCode::unsupported,
                         "iou_pairs: values must have at most 2147483647 blocks of %d for a device "
                         "call, got %lld",
                         kIouPairsBlockThreads, static_cast<long long>(blocks));
  }
  IouPairsParameters parameters = {};
  parameters.boxes1 = make_box_array(input.boxes1, options.format, options.legacy_offset);
  parameters.boxes2 = make_box_array(input.boxes2, options.format, options.legacy_offset);
  parameters.values = output.values.data();
  parameters.value_type = output.values.type();
  parameters.n = n;
  parameters.eps = options.eps;

  LaunchConfig config = {};
  config.grid = dim3(static_cast<unsigned>(blocks));
  config.block = dim3(kIouPairsBlockThreads);
  return launch("iou_pairs", "launching iou_pairs_kernel", pairs_kernel_for(options.kind), config,
                execution.stream(), parameters);
}

}  // namespace cudet::device
