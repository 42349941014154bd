// IoU of all pairs and of aligned pairs: launches.
#include "iou.h"

#include "box_array.h"
#include "iou_general_kernel.cuh"
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

IouSet make_set(const IouMatrixOptions& options, const Tensor& boxes) {
  return {make_box_array(boxes, options.format, options.legacy_offset), nullptr, options.angle_unit,
          options.angle_direction};
}

std::int64_t tiles(std::int64_t size, std::int64_t tile_size) {
  return size / tile_size + (size % tile_size != 0 ? 1 : 0);
}

/// The call that has a value for each pair of a batch, of upright boxes and without crowds.
Status launch_plain(const IouMatrixPlan& plan, const IouMatrixOptions& options,
                    const IouMatrixInput& input, const Tensor& values, const LaunchConfig& config,
                    cudaStream_t stream) {
  const auto address = reinterpret_cast<std::uintptr_t>(values.data());
  const auto vector_bytes = static_cast<std::uintptr_t>(kColumnsPerThread * size_of(values.type()));
  IouMatrixParameters parameters = {};
  parameters.boxes1 = make_box_array(input.boxes1, options.format, options.legacy_offset);
  parameters.boxes2 = make_box_array(input.boxes2, options.format, options.legacy_offset);
  parameters.values = values.data();
  parameters.n = plan.n;
  parameters.m = plan.m;
  parameters.row_tiles = static_cast<unsigned>(tiles(plan.n, kIouTileRows));
  parameters.column_tiles = static_cast<unsigned>(tiles(plan.m, kIouTileColumns));
  parameters.eps = options.eps;
  parameters.vector_stores = plan.m % kColumnsPerThread == 0 && address % vector_bytes == 0;
  return launch("iou_matrix", "launching iou_matrix_kernel",
                kernel_for(options.kind, values.type()), config, stream, parameters);
}

Status launch_general(const IouMatrixPlan& plan, const IouMatrixOptions& options,
                      const IouMatrixInput& input, const IouMatrixOutput& output,
                      const LaunchConfig& config, cudaStream_t stream) {
  IouGeneralParameters parameters = {};
  parameters.set1 = make_set(options, input.boxes1);
  parameters.set2 = make_set(options, input.boxes2);
  parameters.set2.crowds = input.crowds.data_as<const std::uint8_t>();
  parameters.offsets1 = make_integer_array(input.offsets1);
  parameters.offsets2 = make_integer_array(input.offsets2);
  parameters.values = output.values.data();
  parameters.value_type = output.values.type();
  parameters.bits = output.bits.data_as<int>();
  parameters.batch = plan.batch;
  parameters.n = plan.n;
  parameters.m = plan.m;
  parameters.words = plan.words;
  parameters.boxes2 = plan.boxes2;
  parameters.row_tiles = static_cast<unsigned>(tiles(plan.n, kIouTileRows));
  parameters.column_tiles = static_cast<unsigned>(tiles(plan.m, kIouTileColumns));
  parameters.eps = options.eps;
  parameters.threshold = options.threshold;
  const auto launch_rule = [&](auto rule) {
    return launch("iou_matrix", "launching iou_general_kernel", iou_general_kernel<decltype(rule)>,
                  config, stream, parameters);
  };
  return input.crowds.present() ? launch_rule(CrowdRule()) : with_iou_rule(options, launch_rule);
}

}  // namespace

Status iou_matrix(const IouMatrixPlan& plan, const IouMatrixOptions& options,
                  const IouMatrixInput& input, const IouMatrixOutput& output,
                  const Execution& execution) noexcept {
  // No overflow: there are at most as many tiles as values. Where the grid is small enough, so is
  // each of its factors.
  const std::int64_t blocks = (plan.ragged1 ? 1 : plan.batch) * tiles(plan.n, kIouTileRows) *
                              tiles(plan.m, kIouTileColumns);
  if (blocks > INT32_MAX) {
    return Status::error(StatusCode::unsupported,
                         "iou_matrix: values must have at most 2147483647 tiles of %d x %d for a "
                         "device call, got %lld",
                         kIouTileRows, kIouTileColumns, static_cast<long long>(blocks));
  }
  LaunchConfig config = {};
  config.grid = dim3(static_cast<unsigned>(blocks));
  config.block = dim3(kIouBlockThreads);
  const bool is_plain = !plan.ragged1 && !plan.ragged2 && !input.crowds.present() &&
                        options.format != BoxFormat::rotated && !output.bits.present();
  return is_plain ? launch_plain(plan, options, input, output.values, config, execution.stream())
                  : launch_general(plan, options, input, output, config, execution.stream());
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
  parameters.set1 = make_set(options, input.boxes1);
  parameters.set2 = make_set(options, input.boxes2);
  parameters.values = output.values.data();
  parameters.value_type = output.values.type();
  parameters.n = n;
  parameters.eps = options.eps;

  LaunchConfig config = {};
  config.grid = dim3(static_cast<unsigned>(blocks));
  config.block = dim3(kIouPairsBlockThreads);
  return with_iou_rule(options, [&](auto rule) {
    return launch("iou_pairs", "launching iou_pairs_kernel", iou_pairs_kernel<decltype(rule)>,
                  config, execution.stream(), parameters);
  });
}

}  // namespace cudet::device
