// Soft-NMS: one block an image. Nothing is sorted, as scores change all the time.
//
// Work       for each kept box one decay of every other one that is alive, together with the search
//            for the next best: kept * candidates metrics, which no order can save, as every kept
//            box may change every score. 1 barrier a kept box.
// Memory     up to 1024 candidates stay in shared memory, more of them in the workspace.
#pragma once

#include "device/shared_memory.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

constexpr int kNmsSoftThreads = 512;
constexpr int kNmsSoftWarps = kNmsSoftThreads / kWarpSize;

/// The candidates of an image, wherever they lie.
struct SoftCandidates {
  float4* boxes;
  float* angles;  ///< of rotated boxes
  std::int64_t* classes;
  float* scores;  ///< as decayed so far; NaN: not alive
  std::uint32_t* elements;
  std::uint32_t* counts;  ///< kept boxes of the class so far

  template <NmsTest kTest>
  __device__ NmsBox at(const NmsArguments& arguments, std::uint32_t i) const {
    const BoxNumbers numbers = {boxes[i], kTest == NmsTest::rotated ? angles[i] : 0.0f};
    return make_nms_box<kTest>(arguments, numbers, classes[i]);
  }
};

/// The best of several candidates: the smallest number, which has the score's order above and the
/// element below.
struct SoftBest {
  std::uint64_t number;
  std::uint32_t index;
};

__device__ __forceinline__ SoftBest better(const SoftBest& a, const SoftBest& b) {
  return b.number < a.number ? b : a;
}

__device__ __forceinline__ SoftBest no_soft_best() {
  return {~std::uint64_t{0}, 0};
}

__device__ __forceinline__ SoftBest best_of_warp(SoftBest best) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    const SoftBest other = {
        __shfl_xor_sync(kFullWarp, static_cast<unsigned long long>(best.number), offset),
        __shfl_xor_sync(kFullWarp, best.index, offset)};
    best = better(best, other);
  }
  return best;
}

/// What a score is multiplied with, given the metric with the kept box.
__device__ __forceinline__ float decay_factor(const NmsArguments& arguments, float value,
                                              float threshold) {
  if (arguments.method == NmsMethod::soft_gaussian) {
    return pinned::exp_of_nonpositive(-__fdiv_rn(__fmul_rn(value, value), arguments.sigma));
  }
  const bool decays = value > threshold || (arguments.suppress_equal && value == threshold);
  return decays ? fmaxf(__fsub_rn(1.0f, value), 0.0f) : 1.0f;
}

template <NmsTest kTest>
__global__ void __launch_bounds__(kNmsSoftThreads, 1)
    nms_soft_kernel(const NmsArguments arguments, const NmsWorkspace workspace) {
  begin_overlapped_kernel();
  constexpr int kSmall = static_cast<int>(kNmsBlockBoxes);
  CUDET_SHARED_ARRAY(float4, small_boxes, kSmall);
  CUDET_SHARED_ARRAY(float, small_angles, kTest == NmsTest::rotated ? kSmall : 1);
  CUDET_SHARED_ARRAY(std::int64_t, small_classes, kSmall);
  CUDET_SHARED_ARRAY(float, small_scores, kSmall);
  CUDET_SHARED_ARRAY(std::uint32_t, small_elements, kSmall);
  CUDET_SHARED_ARRAY(std::uint32_t, small_counts, kSmall);
  CUDET_SHARED_ARRAY(SoftBest, bests, 2 * kNmsSoftWarps);
  const NmsImage image = locate_image(arguments, blockIdx.x);
  const std::int64_t start = image.index * arguments.candidates;
  SoftCandidates all = {small_boxes,  small_angles,   small_classes,
                        small_scores, small_elements, small_counts};
  if (arguments.candidates > kSmall) {
    all = {workspace.boxes + start,  workspace.angles + start,   workspace.classes + start,
           workspace.scores + start, workspace.elements + start, workspace.kept + start};
  }
  const auto candidates = static_cast<std::uint32_t>(arguments.candidates);
  const unsigned lane = threadIdx.x % kWarpSize;
  const unsigned warp = threadIdx.x / kWarpSize;
  const std::int64_t class_limit = arguments.class_capacity;
  const NmsScoreThreshold stop = {arguments.decayed_score_threshold, true};
  const auto number_of = [&](float score, std::uint32_t element) {
    const unsigned key = score_key(score, stop);
    return key == kNotACandidate ? ~std::uint64_t{0}
                                 : (static_cast<std::uint64_t>(key) << 32) | element;
  };

  SoftBest best = no_soft_best();
  for (std::uint32_t i = threadIdx.x; i < candidates; i += kNmsSoftThreads) {
    const std::uint64_t key = workspace.keys[start + i];
    const auto element = static_cast<std::uint32_t>(key);
    float score = __uint_as_float(0x7fffffffu);  // NaN
    if (static_cast<unsigned>(key >> 32) != kNotACandidate) {
      score = activated_score(arguments, image, element);
      const BoxNumbers numbers =
          load_nms_box<kTest>(arguments, box_position(arguments, image, element));
      all.boxes[i] = numbers.first;
      if constexpr (kTest == NmsTest::rotated) all.angles[i] = numbers.angle;
      all.classes[i] = arguments.class_aware ? load_class(arguments, image, element) : 0;
    }
    all.scores[i] = score;
    all.elements[i] = element;
    all.counts[i] = 0;
    best = better(best, {number_of(score, element), i});
  }

  const std::int64_t limit = class_limit > 0 ? arguments.capacity : 0;
  std::int64_t kept = 0;
  for (; kept < limit; ++kept) {
    // Two buffers: slow warps may still read the last one.
    SoftBest* const of_warps = bests + (kept % 2) * kNmsSoftWarps;
    best = best_of_warp(best);
    if (lane == 0) of_warps[warp] = best;
    __syncthreads();
    best = best_of_warp(of_warps[lane % kNmsSoftWarps]);
    if (best.number == ~std::uint64_t{0}) break;

    const std::uint32_t winner = best.index;
    const std::int64_t class_id = all.classes[winner];
    const NmsBox kept_box = all.at<kTest>(arguments, winner);
    best = no_soft_best();
    for (std::uint32_t i = threadIdx.x; i < candidates; i += kNmsSoftThreads) {
      float score = all.scores[i];
      if (!(score == score)) continue;
      if (i == winner) {
        const std::uint32_t element = all.elements[i];
        write_slot(arguments, image, kept, element, &score);
        write_kept(arguments, image, element);
        all.scores[i] = __uint_as_float(0x7fffffffu);
        continue;
      }
      if (all.classes[i] == class_id) {
        const float value =
            metric_of_boxes<kTest>(arguments, kept_box, all.at<kTest>(arguments, i));
        score = __fmul_rn(score, decay_factor(arguments, value, kept_box.threshold));
        if (++all.counts[i] >= class_limit) score = __uint_as_float(0x7fffffffu);
        all.scores[i] = score;
      }
      best = better(best, {number_of(score, all.elements[i]), i});
    }
  }
  if (threadIdx.x == 0 && arguments.out.count != nullptr) {
    arguments.out.count[image.index] = static_cast<std::int32_t>(kept);
  }
  for (std::int64_t slot = kept + threadIdx.x; slot < arguments.capacity; slot += kNmsSoftThreads)
    write_padding(arguments, image.index, slot);
}

}  // namespace cudet::device
