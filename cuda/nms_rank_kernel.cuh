// The sorted order of a few thousand elements an image by counting: the place of an element is the
// number of elements that come before it. Prepares workspace and outputs for what follows as well.
//
// Floor      4 bytes an element in, 16 (+ class) and a number out.
// This       every pair of elements, 2 instructions each where both take part, and all scores once
//            a block, that is once for each 32 elements: for 4096 elements 2.8 M warp instructions,
//            which all SMs share, 3 us on a large GPU. A radix sort executes fewer, yet by one
//            block (5 us) or in 6 launches, and wants a kernel before it and one after it.
#pragma once

#include "device/count.cuh"
#include "device/shared_memory.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

/// Elements whose places one block finds, one a lane; each warp compares them with a part of all.
constexpr int kNmsRankRows = kWarpSize;

/// Scores that a warp compares at a time, four a lane.
constexpr int kNmsRankColumns = 4 * kWarpSize;

/// Keys that a warp compares its rows with, those of candidates only, in the order of elements.
struct StagedKeys {
  unsigned* keys;  ///< in shared memory; filled up to a multiple of four with kNotACandidate
  int count;
  int before_row;  ///< of the staged part, how many elements come before the lane's own
};

/// Stages the keys from element `first` on, by one warp.
__device__ __forceinline__ StagedKeys stage_keys(const NmsArguments& arguments,
                                                 const NmsImage& image, std::int64_t first,
                                                 std::int64_t row, unsigned* keys) {
  const unsigned lane = threadIdx.x % kWarpSize;
  StagedKeys staged = {keys, 0, 0};
#pragma unroll
  for (int k = 0; k < kNmsRankColumns / kWarpSize; ++k) {
    const std::int64_t start = first + kWarpSize * k;
    const unsigned key = element_key(arguments, image, static_cast<unsigned>(start) + lane);
    const unsigned passing = __ballot_sync(kFullWarp, key != kNotACandidate);
    if (key != kNotACandidate) keys[staged.count + __popc(passing & ((1u << lane) - 1u))] = key;
    // Rows are as many as a group of columns, so that a group is before, after or the rows' own.
    if (start <= row) {
      const bool own = start + kWarpSize > row;
      staged.before_row += __popc(own ? passing & ((1u << lane) - 1u) : passing);
    }
    staged.count += __popc(passing);
  }
  const int fill = staged.count + static_cast<int>(lane);
  if (lane < 4) keys[fill] = kNotACandidate;
  __syncwarp();
  return staged;
}

/// How many of the staged elements come before one with the key `own`.
__device__ __forceinline__ unsigned count_before(const StagedKeys& staged, unsigned own) {
  // Up to the row's own element equal keys come before it; `own` is that of a candidate, and the
  // next larger number exists.
  const auto* const fours = reinterpret_cast<const uint4*>(staged.keys);
  const bool all_before = __all_sync(kFullWarp, staged.before_row == staged.count);
  const bool all_after = __all_sync(kFullWarp, staged.before_row == 0);
  unsigned rank = 0;
  if (all_before || all_after) {
    const unsigned limit = own + (all_before ? 1u : 0u);
#pragma unroll 4
    for (int i = 0; 4 * i < staged.count; ++i) {
      const uint4 four = fours[i];
      rank = count_below(rank, four.x, limit);
      rank = count_below(rank, four.y, limit);
      rank = count_below(rank, four.z, limit);
      rank = count_below(rank, four.w, limit);
    }
    return rank;
  }
  for (int i = 0; i < staged.count; ++i)
    rank = count_below(rank, staged.keys[i], own + (i < staged.before_row ? 1u : 0u));
  return rank;
}

/// Boxes (and classes and elements) of an image in sorted order, its state, and the initial
/// outputs. Launched with a block for each kNmsRankRows elements.
template <bool kClassAware, NmsTest kTest>
__global__ void __launch_bounds__(kNmsThreads)
    nms_rank_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                    unsigned blocks_per_image) {
  begin_overlapped_kernel();
  constexpr int kWarps = kNmsThreads / kWarpSize;
  constexpr int kStaged = kNmsRankColumns + 4;  // so many that the last ones can be filled up
  CUDET_SHARED_ARRAY(uint4, staged_keys, kWarps * kStaged / 4);
  CUDET_SHARED_ARRAY(unsigned, ranks, kNmsRankRows);
  CUDET_SHARED(unsigned, candidate_count);
  const BlockOfImage where = block_of_image(blocks_per_image);
  const NmsImage image = locate_image(arguments, where.image);
  const unsigned lane = threadIdx.x % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  if (threadIdx.x < kNmsRankRows) ranks[threadIdx.x] = 0u;
  if (threadIdx.x == 0) candidate_count = 0u;
  __syncthreads();

  const std::int64_t row = where.block * kNmsRankRows + lane;
  const auto element = static_cast<unsigned>(row);
  const unsigned own = element_key(arguments, image, element);
  const bool counts_rows = __any_sync(kFullWarp, own != kNotACandidate);
  const bool counts_all = where.block == 0;  // the first block tells how many candidates there are
  auto* const keys = reinterpret_cast<unsigned*>(staged_keys) + warp * kStaged;
  unsigned rank = 0;
  unsigned candidates = 0;
  for (std::int64_t first = warp * kNmsRankColumns;
       (counts_rows || counts_all) && first < arguments.elements;
       first += kWarps * kNmsRankColumns) {
    const StagedKeys staged = stage_keys(arguments, image, first, row, keys);
    rank += count_before(staged, own);
    candidates += static_cast<unsigned>(staged.count);
    __syncwarp();
  }
  if (rank != 0u) atomicAdd(&ranks[lane], rank);
  if (counts_all && lane == 0) atomicAdd(&candidate_count, candidates);

  // A warp's items at a time, so that all blocks have as many.
  const std::int64_t items = max(arguments.elements, arguments.capacity);
  const std::int64_t stride = static_cast<std::int64_t>(blocks_per_image) * kNmsThreads;
  for (std::int64_t i =
           (warp * static_cast<std::int64_t>(blocks_per_image) + where.block) * kWarpSize + lane;
       i < items; i += stride)
    initialise_item(arguments, workspace, image, i);
  __syncthreads();

  if (counts_all && threadIdx.x == 0) {
    const std::int64_t all = candidate_count;
    workspace.state[where.image].candidates =
        static_cast<std::uint32_t>(min(all, arguments.candidates));
  }
  if (warp != 0 || own == kNotACandidate || ranks[lane] >= arguments.candidates) return;
  const std::int64_t to = where.image * arguments.candidates + ranks[lane];
  workspace.order[to] = element;
  store_candidate<kClassAware, kTest>(arguments, workspace, image, element, to);
}

}  // namespace cudet::device
