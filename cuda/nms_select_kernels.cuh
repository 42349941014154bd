// What goes before the sort of more than 1024 elements an image: sort keys, or the selection of the
// best ones, so that the others need no sorting.
//
// Selection  is by radix, 11 bits a pass from the top, of the number that has the score's key above
//            and the element's number below: no two are equal, so exactly as many are selected as
//            are wanted, and equal scores by index. A pass counts the digits of the elements that
//            share the digits found so far; the block that comes last finds the next one. Most
//            images are settled after two or three passes; the rest of them then only looks.
// Bytes      a pass reads the scores, 2.7 MB for 8400 boxes of 80 classes, out of the cache after
//            the first; a sort of all of them would read and write 60 times that.
#pragma once

#include "device/shared_memory.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

constexpr int kNmsElementsPerThread = 8;
constexpr int kNmsElementsPerBlock = kNmsThreads * kNmsElementsPerThread;

/// The initial state of workspace and outputs: an element, a slot or a word of flags a thread.
__global__ void __launch_bounds__(kNmsThreads)
    nms_prepare_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                       unsigned blocks_per_image) {
  begin_overlapped_kernel();
  const BlockOfImage where = block_of_image(blocks_per_image);
  const NmsImage image = locate_image(arguments, where.image);
  const std::int64_t i = where.block * kNmsThreads + threadIdx.x;
  const auto element = static_cast<unsigned>(i);
  initialise_item(arguments, workspace, image, i);
  if (i < arguments.candidates) {
    const std::int64_t to = where.image * arguments.candidates + i;
    const bool select = workspace.selection != nullptr;
    const std::uint64_t key = select ? kNotACandidate : element_key(arguments, image, element);
    std::uint64_t sort_key = key << workspace.score_shift;
    if (workspace.order != nullptr) {
      sort_key |= static_cast<std::uint64_t>(where.image) << (32 + workspace.score_shift);
      workspace.order[to] = element;
    } else {
      sort_key |= element;
    }
    workspace.keys[to] = sort_key;
  }
  if (workspace.selection != nullptr) {
    if (i < kNmsDigits) workspace.histogram[where.image * kNmsDigits + i] = 0;
    if (i == 0) {
      workspace.selection[where.image] = NmsSelection();
      workspace.selection[where.image].wanted = static_cast<std::uint32_t>(arguments.candidates);
    }
  }
}

/// An element by the place of its score in memory, which neighbouring threads should share.
__device__ __forceinline__ unsigned element_in_memory(const NmsArguments& arguments, unsigned i) {
  if (!arguments.class_box) return i;
  const auto n = static_cast<unsigned>(arguments.n);
  return i % n * static_cast<unsigned>(arguments.class_count) + i / n;
}

/// Calls `visit(element, number)` for each candidate of this block's part of the image, all lanes
/// of a warp at the same time; `number` is ~0 where there is none. No two candidates have the same.
template <class Visit>
__device__ __forceinline__ void for_each_candidate(const NmsArguments& arguments,
                                                   const NmsWorkspace& workspace,
                                                   const BlockOfImage& where, Visit visit) {
  const NmsImage image = locate_image(arguments, where.image);
  for (int k = 0; k < kNmsElementsPerThread; ++k) {
    const std::int64_t i = where.block * kNmsElementsPerBlock + k * kNmsThreads + threadIdx.x;
    unsigned element = 0;
    std::uint64_t number = ~std::uint64_t{0};
    if (i < arguments.elements) {
      element = element_in_memory(arguments, static_cast<unsigned>(i));
      const unsigned key = element_key(arguments, image, element);
      if (key != kNotACandidate) {
        number = (static_cast<std::uint64_t>(key) << workspace.element_bits) | element;
      }
    }
    visit(element, number);
  }
}

/// Finds the digit with the last wanted element out of the counts of all digits, by one block. Also
/// clears the counts.
__device__ inline void choose_digit(NmsSelection& selection, std::uint32_t* histogram, int shift) {
  constexpr int kPerThread = static_cast<int>(kNmsDigits) / kNmsThreads;
  CUDET_SHARED_ARRAY(unsigned, sums, kNmsThreads);
  const auto thread = static_cast<int>(threadIdx.x);
  const std::uint32_t wanted = selection.wanted;
  const std::uint64_t prefix = selection.prefix;
  unsigned counts[kPerThread];
  unsigned sum = 0;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    counts[i] = histogram[thread * kPerThread + i];
    histogram[thread * kPerThread + i] = 0;
    sum += counts[i];
  }
  sums[thread] = sum;
  for (int distance = 1; distance < kNmsThreads; distance *= 2) {
    __syncthreads();
    const unsigned before = thread >= distance ? sums[thread - distance] : 0u;
    __syncthreads();
    sums[thread] += before;
  }
  __syncthreads();
  const unsigned all = sums[kNmsThreads - 1];
  if (thread == 0) selection.arrived = 0;
  if (all < wanted) {  // only in the first pass: every candidate is selected
    if (thread == 0) {
      selection.settled = 1;
      selection.last = ~std::uint64_t{0} - 1;
    }
    return;
  }
  unsigned before = sums[thread] - sum;
  for (int i = 0; i < kPerThread; ++i) {
    if (before < wanted && wanted <= before + counts[i]) {  // of one digit only
      const std::uint64_t found =
          (prefix << kNmsDigitBits) | static_cast<unsigned>(thread * kPerThread + i);
      selection.prefix = found;
      selection.wanted = wanted - before;
      selection.settled = before + counts[i] == wanted ? 1 : 0;
      selection.last = ((found + 1) << shift) - 1;
    }
    before += counts[i];
  }
}

/// Counts the digit of 11 bits at `shift`; the last block of an image chooses it.
__global__ void __launch_bounds__(kNmsThreads)
    nms_count_digit_kernel(const NmsArguments arguments, const NmsWorkspace workspace, int shift,
                           bool is_first, unsigned blocks_per_image) {
  begin_overlapped_kernel();
  CUDET_SHARED_ARRAY(unsigned, counts, static_cast<int>(kNmsDigits));
  CUDET_SHARED(bool, is_last);
  const BlockOfImage where = block_of_image(blocks_per_image);
  NmsSelection& selection = workspace.selection[where.image];
  if (selection.settled != 0) return;  // all blocks of the image alike

  for (int i = static_cast<int>(threadIdx.x); i < kNmsDigits; i += kNmsThreads)
    counts[i] = 0u;
  __syncthreads();
  const std::uint64_t prefix = selection.prefix;
  for_each_candidate(arguments, workspace, where, [&](unsigned, std::uint64_t number) {
    const bool counted =
        number != ~std::uint64_t{0} && (is_first || number >> shift >> kNmsDigitBits == prefix);
    if (counted) atomicAdd(&counts[number >> shift & (kNmsDigits - 1)], 1u);
  });
  __syncthreads();
  std::uint32_t* const histogram = workspace.histogram + where.image * kNmsDigits;
  for (int i = static_cast<int>(threadIdx.x); i < kNmsDigits; i += kNmsThreads) {
    if (counts[i] != 0u) atomicAdd(&histogram[i], counts[i]);
  }
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    is_last = atomicAdd(&selection.arrived, 1u) == blocks_per_image - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  choose_digit(selection, histogram, shift);
}

/// Stores the keys of the selected elements, in any order: the sort that follows tells them all
/// apart.
__global__ void __launch_bounds__(kNmsThreads)
    nms_collect_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                       unsigned blocks_per_image) {
  begin_overlapped_kernel();
  const BlockOfImage where = block_of_image(blocks_per_image);
  NmsSelection& selection = workspace.selection[where.image];
  const std::uint64_t last = selection.last;
  const unsigned lane = threadIdx.x % kWarpSize;
  for_each_candidate(arguments, workspace, where, [&](unsigned element, std::uint64_t number) {
    const bool selected = number <= last;
    const unsigned lanes = __ballot_sync(kFullWarp, selected);
    if (lanes == 0u) return;
    const int leader = __ffs(static_cast<int>(lanes)) - 1;
    unsigned first = 0;
    if (static_cast<int>(lane) == leader) {
      first = atomicAdd(&selection.selected, static_cast<unsigned>(__popc(lanes)));
    }
    first = __shfl_sync(kFullWarp, first, leader);
    if (!selected) return;
    const std::int64_t to =
        where.image * arguments.candidates + first + __popc(lanes & ((1u << lane) - 1u));
    const std::uint64_t key = number >> workspace.element_bits;
    std::uint64_t sort_key = (key << workspace.score_shift) | element;
    if (workspace.order != nullptr) {
      sort_key |= static_cast<std::uint64_t>(where.image) << (32 + workspace.score_shift);
      workspace.order[to] = element;
    }
    workspace.keys[to] = sort_key;
  });
}

}  // namespace cudet::device
