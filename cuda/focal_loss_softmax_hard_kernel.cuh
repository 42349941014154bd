// Softmax focal loss of hard targets, a lane's share of a row in registers.
//
// A block stages a tile of whole rows in shared memory, one to 32 lanes share a row, and the
// gradient takes the place of the logits there: one read and one write of device memory, 16 bytes
// at a time whatever C is. An element costs one special function and 8 instructions, and 5 more for
// a place that stays empty; staging costs 3, the row's own arithmetic about 200 a lane.
#pragma once

#include "device/computed_once.cuh"
#include "focal_loss_softmax.cuh"

namespace cudet::device {

/// Places of a lane that may stay empty; the host chooses the smallest kPerLane.
constexpr unsigned kSpareClasses = 3;

/// Loss of row `row`, which begins at `row_begin` of the tile without padding, in all lanes that
/// share it; with a gradient, that takes the logits' place. A lane has neighbouring classes of the
/// row, at most kPerLane.
template <class T, unsigned kPerLane>
__device__ __forceinline__ float hard_row_in_registers(const SoftmaxParameters& parameters, T* tile,
                                                       unsigned row_begin, const RowLanes& lanes,
                                                       unsigned row, bool with_gradient,
                                                       bool& ignored) {
  const RowTarget target = target_of_row(parameters, row);
  ignored = target.ignored;
  const unsigned first = lanes.classes * lanes.index >> parameters.row_lane_bits;
  const unsigned end = lanes.classes * (lanes.index + 1) >> parameters.row_lane_bits;
  const unsigned count = computed_once(end - first);
  unsigned begin = row_begin + first;
  unsigned target_index = row_begin + target.y;
  if (parameters.padded) {
    begin = computed_once(padded_place<T>(begin));
    target_index = computed_once(padded_place<T>(target_index));
  }
  T* const places = tile + computed_once(begin);
  T* const target_place = tile + computed_once(target_index);
  const float target_logit = to_float(*target_place);
  // As a class of probability 0 the target falls out of all sums.
  const bool owns_target = target.y - first < count;
  __syncwarp(lanes.warp);
  if (owns_target) *target_place = from_float<T>(-INFINITY);
  __syncwarp(lanes.warp);

  float e[kPerLane];
#pragma unroll
  for (unsigned k = kPerLane - kSpareClasses; k < kPerLane; ++k)
    e[k] = -INFINITY;
#pragma unroll
  for (unsigned k = 0; k < kPerLane; ++k) {
    if (k + kSpareClasses >= kPerLane && k >= count) break;
    e[k] = to_float(places[k]);
  }
  float largest = target_logit;
#pragma unroll
  for (unsigned k = 0; k < kPerLane; ++k)
    largest = fmaxf(largest, e[k]);
  largest = row_max(largest, lanes);
  float others = 0.0f;
#pragma unroll
  for (unsigned k = 0; k < kPerLane; ++k) {
    e[k] = relative_exp(e[k], largest);
    others = k == 0 ? e[k] : others + e[k];
  }
  others = row_sum(others, lanes);
  const HardRow result =
      hard_row_of(parameters, target_logit, largest, others, target.y, row_weight(parameters, row));
  if (with_gradient) {
    const float scale = row_gradient_factor(parameters, row) * result.slope;
    const float others_scale = scale * result.inverse;
#pragma unroll
    for (unsigned k = 0; k < kPerLane; ++k) {
      if (k + kSpareClasses >= kPerLane && k >= count) break;
      places[k] = from_float<T>(others_scale * e[k]);
    }
    if (owns_target) *target_place = from_float<T>(-scale * result.q);
    if (ignored) {  // whatever its logits are
      for (unsigned k = 0; k < count; ++k)
        places[k] = from_float<T>(0.0f);
    }
  }
  return ignored ? 0.0f : result.loss;
}

/// Blocks that a multiprocessor is to hold: 48 warps where a lane's share leaves room for that.
/// sm_75 has room for 32, and sm_100 would spill with shares of 18.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int kMostHardRowBlocks = 4;
#else
constexpr int kMostHardRowBlocks = 6;
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000 && __CUDA_ARCH__ < 1200
constexpr unsigned kLargeHardRow = 18;
#else
constexpr unsigned kLargeHardRow = 24;
#endif
template <unsigned kPerLane>
constexpr int kHardRowBlocks = kPerLane > 21               ? 4
                               : kPerLane == kLargeHardRow ? 5
                                                           : kMostHardRowBlocks;

/// One block a tile of rows_of_tile() rows.
template <class T, unsigned kPerLane>
__global__ void __launch_bounds__(kFocalBlockThreads, kHardRowBlocks<kPerLane>)
    softmax_hard_kernel(const __grid_constant__ SoftmaxParameters parameters) {
  CUDET_DYNAMIC_SHARED(uint4, tile_memory);
  T* const tile = reinterpret_cast<T*>(tile_memory);
  const unsigned tile_rows = rows_of_tile(parameters);
  const unsigned first_row = blockIdx.x * tile_rows;
  const unsigned rows = min(tile_rows, parameters.rows - first_row);
  const std::int64_t offset = static_cast<std::int64_t>(first_row) * parameters.classes;
  const unsigned count = rows * parameters.classes;
  const bool with_gradient = parameters.gradient != nullptr;
  const T* const logits = static_cast<const T*>(parameters.logits) + offset;
  if (parameters.padded) {
    stage_tile<T, true>(tile, logits, count, parameters.aligned);
  } else {
    stage_tile<T, false>(tile, logits, count, parameters.aligned);
  }
  __syncthreads();

  const unsigned local_row = threadIdx.x >> parameters.row_lane_bits;
  const bool exists = local_row < rows;
  const unsigned warp = __ballot_sync(kFullWarp, static_cast<int>(exists));
  float loss = 0.0f;
  unsigned valid = 0;
  if (exists) {
    const RowLanes lanes = row_lanes(parameters, warp);
    bool ignored;
    const float row_loss =
        hard_row_in_registers<T, kPerLane>(parameters, tile, local_row * parameters.classes, lanes,
                                           first_row + local_row, with_gradient, ignored);
    if (lanes.index == 0) {
      loss = row_loss;
      valid = ignored ? 0 : 1;
      if (parameters.row_loss != nullptr) parameters.row_loss[first_row + local_row] = loss;
    }
  }
  if (with_gradient) {
    __syncthreads();
    T* const gradient = static_cast<T*>(parameters.gradient) + offset;
    if (parameters.padded) {
      store_tile<T, true>(gradient, tile, count, parameters.aligned);
    } else {
      store_tile<T, false>(gradient, tile, count, parameters.aligned);
    }
  }
  reduce(parameters.reduction, partial_of_warp(), loss, valid);
}

}  // namespace cudet::device
