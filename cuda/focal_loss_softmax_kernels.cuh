// Losses of a softmax over the classes of a row, in loops over shared or device memory: smoothed
// focal loss, distribution focal loss, and focal loss of rows that are too long for registers.
#pragma once

#include "focal_loss_softmax.cuh"

namespace cudet::device {

enum class RowLoss : int { hard, smoothed, distribution };

template <class T>
__device__ __forceinline__ float largest_logit(const T* x, const RowLanes& lanes) {
  float largest = -INFINITY;
#pragma unroll 4
  for (unsigned j = lanes.index; j < lanes.classes; j += lanes.count)
    largest = fmaxf(largest, to_float(x[j]));
  return row_max(largest, lanes);
}

/// The loss of hard targets where a lane's share of a row does not fit in registers.
template <class T>
__device__ __forceinline__ float hard_row(const SoftmaxParameters& parameters, const T* x, T* g,
                                          const RowLanes& lanes, unsigned y, float weight,
                                          float factor) {
  const float target_logit = to_float(x[y]);
  const float largest = largest_logit(x, lanes);
  float others = 0.0f;
#pragma unroll 4
  for (unsigned j = lanes.index; j < lanes.classes; j += lanes.count) {
    const float e = relative_exp(to_float(x[j]), largest);
    others += j == y ? 0.0f : e;
  }
  others = row_sum(others, lanes);
  const HardRow result = hard_row_of(parameters, target_logit, largest, others, y, weight);
  if (g != nullptr) {
    const float scale = factor * result.slope;
    const float others_scale = scale * result.inverse;
    __syncwarp(lanes.warp);  // everybody has read the target's logit
#pragma unroll 4
    for (unsigned j = lanes.index; j < lanes.classes; j += lanes.count) {
      const float gradient = others_scale * relative_exp(to_float(x[j]), largest);
      g[j] = from_float<T>(j == y ? -scale * result.q : gradient);
    }
  }
  return result.loss;
}

/// What a row's largest logit and the sum of the exponentials tell of each class.
struct RowSums {
  float largest;
  float excess;   ///< the sum, less 1 for one largest logit
  float inverse;  ///< 1 / the sum
  float log_sum;
};
template <class T>
__device__ __forceinline__ RowSums row_sums(const T* x, const RowLanes& lanes) {
  RowSums sums;
  sums.largest = largest_logit(x, lanes);
  float others = 0.0f;
  float ties = 0.0f;
#pragma unroll 4
  for (unsigned j = lanes.index; j < lanes.classes; j += lanes.count) {
    const float logit = to_float(x[j]);
    const float e = relative_exp(logit, sums.largest);
    others += logit == sums.largest ? 0.0f : e;
    ties += logit == sums.largest ? 1.0f : 0.0f;
  }
  sums.excess = row_sum(others, lanes) + (row_sum(ties, lanes) - 1.0f);
  sums.inverse = approximate_reciprocal(1.0f + sums.excess);
  sums.log_sum = log1p_of_excess(sums.excess);
  return sums;
}

/// The term of class j: q_j w_j (1 - p_j)^gamma (-log p_j), and the factor of its derivative.
struct SmoothedTerm {
  float p;
  float loss;
  float slope;
};
__device__ __forceinline__ SmoothedTerm smoothed_term(const SoftmaxParameters& parameters,
                                                      const RowSums& sums, float logit, unsigned j,
                                                      unsigned y) {
  const float share = __fdiv_rn(parameters.label_smoothing, static_cast<float>(parameters.classes));
  float weight = share + (j == y ? 1.0f - parameters.label_smoothing : 0.0f);
  if (parameters.class_weights != nullptr) weight *= __ldg(parameters.class_weights + j);
  const float p = relative_exp(logit, sums.largest) * sums.inverse;
  const float q = logit == sums.largest ? sums.excess * sums.inverse : 1.0f - p;
  const float entropy = (sums.largest - logit) + sums.log_sum;
  const Modulation modulation = modulation_of(parameters, p, q, entropy);
  return {p, weight * modulation.value * entropy, weight * modulation.slope};
}

template <class T>
__device__ __forceinline__ float smoothed_row(const SoftmaxParameters& parameters, const T* x, T* g,
                                              const RowLanes& lanes, unsigned y, float weight,
                                              float factor) {
  const RowSums sums = row_sums(x, lanes);
  float loss = 0.0f;
  float slope = 0.0f;
#pragma unroll 1
  for (unsigned j = lanes.index; j < lanes.classes; j += lanes.count) {
    const SmoothedTerm term = smoothed_term(parameters, sums, to_float(x[j]), j, y);
    loss += term.loss;
    slope += term.slope;
  }
  loss = row_sum(loss, lanes);
  slope = row_sum(slope, lanes);
  if (g != nullptr) {
#pragma unroll 1
    for (unsigned j = lanes.index; j < lanes.classes; j += lanes.count) {
      const SmoothedTerm term = smoothed_term(parameters, sums, to_float(x[j]), j, y);
      g[j] = from_float<T>(factor * weight * fmaf(term.p, slope, -term.slope));
    }
  }
  return weight * loss;
}

/// The two bins next to a target, and their weights.
template <class T>
__device__ __forceinline__ float distribution_row(const T* x, T* g, const RowLanes& lanes,
                                                  float target, float weight, float factor) {
  // A NaN compares false and stays what it is.
  const float last = static_cast<float>(lanes.classes - 1);
  const float y = target < 0.0f ? 0.0f : target > last ? last : target;
  const unsigned left = min(static_cast<unsigned>(fmaxf(y, 0.0f)), lanes.classes - 2);
  const float right_weight = y - static_cast<float>(left);
  const float left_weight = 1.0f - right_weight;
  const float left_logit = to_float(x[left]);
  const float right_logit = to_float(x[left + 1]);
  const RowSums sums = row_sums(x, lanes);
  const float loss = left_weight * ((sums.largest - left_logit) + sums.log_sum) +
                     right_weight * ((sums.largest - right_logit) + sums.log_sum);
  if (g != nullptr) {
    const float scale = factor * weight;
    __syncwarp(lanes.warp);  // everybody has read the two logits
#pragma unroll 1
    for (unsigned j = lanes.index; j < lanes.classes; j += lanes.count) {
      const float logit = to_float(x[j]);
      const float p = relative_exp(logit, sums.largest) * sums.inverse;
      const float wanted = j == left ? left_weight : j == left + 1 ? right_weight : 0.0f * y;
      // Of the largest, 1 - p is known without cancellation.
      const float gradient =
          logit == sums.largest ? (1.0f - wanted) - sums.excess * sums.inverse : p - wanted;
      g[j] = from_float<T>(scale * gradient);
    }
  }
  return weight * loss;
}

/// Loss of one row, in all lanes that share it; `x` and `g` may be the same.
template <class T, RowLoss kLoss>
__device__ __forceinline__ float row_loss(const SoftmaxParameters& parameters, const T* x, T* g,
                                          unsigned row, unsigned warp, unsigned& valid) {
  const RowLanes lanes = row_lanes(parameters, warp);
  const float weight = row_weight(parameters, row);
  const float factor = row_gradient_factor(parameters, row);
  if constexpr (kLoss == RowLoss::distribution) {
    const float target = __ldg(static_cast<const float*>(parameters.targets) + row);
    return distribution_row(x, g, lanes, target, weight, factor);
  } else {
    const RowTarget target = target_of_row(parameters, row);
    valid = target.ignored ? 0 : 1;
    float loss;
    if constexpr (kLoss == RowLoss::hard) {
      loss = hard_row(parameters, x, g, lanes, target.y, weight, factor);
    } else {
      loss = smoothed_row(parameters, x, g, lanes, target.y, weight, factor);
    }
    if (!target.ignored) return loss;
    if (g != nullptr) {
      for (unsigned j = lanes.index; j < lanes.classes; j += lanes.count)
        g[j] = from_float<T>(0.0f);
    }
    return 0.0f;
  }
}

/// Loss and gradient of the row of this lane, where it has one; `first_row` is the block's, of
/// which x and g hold `rows` rows. What the lane contributes to the sums is returned: the first
/// lane of a row all of it.
template <class T, RowLoss kLoss>
__device__ __forceinline__ float block_rows(const SoftmaxParameters& parameters, const T* x, T* g,
                                            unsigned first_row, unsigned rows, unsigned& valid) {
  valid = 0;
  const unsigned local_row = threadIdx.x >> parameters.row_lane_bits;
  const bool exists = local_row < rows;
  const unsigned warp = __ballot_sync(kFullWarp, static_cast<int>(exists));
  if (!exists) return 0.0f;
  const std::int64_t offset = static_cast<std::int64_t>(local_row) * parameters.classes;
  const unsigned row = first_row + local_row;
  const float loss = row_loss<T, kLoss>(parameters, x + offset, g != nullptr ? g + offset : nullptr,
                                        row, warp, valid);
  if (row_lanes(parameters, warp).index != 0) {
    valid = 0;
    return 0.0f;
  }
  if (parameters.row_loss != nullptr) parameters.row_loss[row] = loss;
  return loss;
}

/// One block a tile of rows_of_tile() rows, staged in shared memory.
template <class T, RowLoss kLoss>
__global__ void __launch_bounds__(kFocalBlockThreads, 2)
    softmax_tile_kernel(const __grid_constant__ SoftmaxParameters parameters) {
  CUDET_DYNAMIC_SHARED(uint4, tile_memory);
  T* const tile = reinterpret_cast<T*>(tile_memory);
  const unsigned tile_rows = rows_of_tile(parameters);
  const unsigned first_row = blockIdx.x * tile_rows;
  const unsigned rows = min(tile_rows, parameters.rows - first_row);
  const std::int64_t offset = static_cast<std::int64_t>(first_row) * parameters.classes;
  const unsigned count = rows * parameters.classes;
  const bool with_gradient = parameters.gradient != nullptr;
  stage_tile(tile, static_cast<const T*>(parameters.logits) + offset, count, parameters.aligned);
  __syncthreads();
  unsigned valid;
  const float loss = block_rows<T, kLoss>(parameters, tile, with_gradient ? tile : nullptr,
                                          first_row, rows, valid);
  if (with_gradient) {
    __syncthreads();
    store_tile(static_cast<T*>(parameters.gradient) + offset, tile, count, parameters.aligned);
  }
  reduce(parameters.reduction, partial_of_warp(), loss, valid);
}

/// The same for rows of which a tile would not fit: device memory is read three times.
template <class T, RowLoss kLoss>
__global__ void __launch_bounds__(kFocalBlockThreads, 2)
    softmax_long_row_kernel(const __grid_constant__ SoftmaxParameters parameters) {
  const unsigned tile_rows = rows_of_tile(parameters);
  const unsigned first_row = blockIdx.x * tile_rows;
  const unsigned rows = min(tile_rows, parameters.rows - first_row);
  const std::int64_t offset = static_cast<std::int64_t>(first_row) * parameters.classes;
  T* const gradient = static_cast<T*>(parameters.gradient);
  unsigned valid;
  const float loss = block_rows<T, kLoss>(
      parameters, static_cast<const T*>(parameters.logits) + offset,
      gradient != nullptr ? gradient + offset : nullptr, first_row, rows, valid);
  reduce(parameters.reduction, partial_of_warp(), loss, valid);
}

}  // namespace cudet::device
