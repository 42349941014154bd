// NMS of more than 1024 candidates an image: a device-wide sort, and then panels of 4096 boxes in
// sorted order, each a launch that computes the panel's triangular suppression mask and resolves
// it, and a launch that tests all later boxes against what the panel kept.
//
// Floor      pairs: as in nms_block_kernel.cuh, 1.0 M (clustered) to 7.3 M (nearly all kept) of the
//            8.4 M pairs of 4096 boxes; bytes: 20 (+ class) a box.
// This       all pairs of a panel (its upper triangle) and, for later boxes, only kept ones; mask
// of
//            n^2 / 16 bytes for one panel (1 MB for 4096 boxes), written once and read at most
//            once, in whole 32-byte sectors; reduction of a panel in one block: 1 barrier a tile.
//            Memory O(n), launches 2 a panel after the sort.
#pragma once

#include "device/shared_memory.cuh"
#include "nms_overlap.cuh"
#include "nms_tile.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

constexpr int kNmsPanelThreads = 512;  // of the mask kernel: a tile a warp
constexpr int kNmsPanelWarps = kNmsPanelThreads / kWarpSize;

/// A sorted position a thread: corners (and class) in sorted order, and the number of candidates.
template <bool kClassAware, bool kGeneral>
__global__ void __launch_bounds__(kNmsThreads)
    nms_gather_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                      unsigned blocks_per_image) {
  const BlockOfImage where = block_of_image(blocks_per_image);
  const std::int64_t position = where.block * kNmsThreads + threadIdx.x;
  if (position >= arguments.candidates) return;
  const std::int64_t start = where.image * arguments.candidates;
  const auto is_candidate = [&](std::int64_t p) {
    return static_cast<std::uint32_t>(workspace.keys[start + p] >> workspace.score_shift) !=
           kNotACandidate;
  };
  if (!is_candidate(position)) return;
  if (position + 1 == arguments.candidates || !is_candidate(position + 1)) {
    workspace.state[where.image].candidates = static_cast<std::uint32_t>(position + 1);
  }
  const NmsImage image = locate_image(arguments, where.image);
  const std::uint32_t element = workspace.order[start + position];
  workspace.boxes[start + position] =
      load_nms_box<kGeneral>(arguments, box_position(arguments, image, element));
  if (workspace.elements != nullptr) workspace.elements[start + position] = element;
  if constexpr (kClassAware) {
    workspace.classes[start + position] = load_class(arguments, image, element);
  }
}

struct TilePosition {
  int row, column;
};

/// The tiles of an upper triangle are numbered column after column: the first one of column c is
/// c (c + 1) / 2.
__device__ __forceinline__ int first_tile_of(int column) {
  return column * (column + 1) / 2;
}

/// Row and column of tile `index`. The square root is only a first guess.
__device__ __forceinline__ TilePosition tile_position(int index) {
  int column = static_cast<int>((sqrtf(8.0f * static_cast<float>(index) + 1.0f) - 1.0f) * 0.5f);
  while (column * (column + 1) / 2 > index)
    --column;
  while ((column + 1) * (column + 2) / 2 <= index)
    ++column;
  return {index - first_tile_of(column), column};
}

/// One mask tile by one warp: bit j of word i says that box i of the row tile and box j of the
/// column tile overlap. A lane has two rows in registers; all lanes read the same column at a time.
template <bool kClassAware, bool kGeneral>
__device__ void compute_mask_tile(const NmsArguments& arguments, const NmsWorkspace& workspace,
                                  std::int64_t row_start, std::int64_t column_start,
                                  std::int64_t end, const SharedBoxes& columns, TileMask* words) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  NmsBox rows[2];
  for (int k = 0; k < 2; ++k) {
    const int offset = lane + kWarpSize * k;
    rows[k] = load_sorted_box<kClassAware, kGeneral>(arguments, workspace, row_start + offset, end);
    columns.store<kGeneral>(offset, load_sorted_box<kClassAware, kGeneral>(
                                        arguments, workspace, column_start + offset, end));
  }
  __syncwarp();
  unsigned bits[2][2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int first = kWarpSize * half;
    overlaps_of_rows<kGeneral, 2>(arguments, rows, columns, first, bits[half]);
    if constexpr (kClassAware) {
      for (int k = 0; k < 2; ++k)
        bits[half][k] &= same_class_bits(rows[k], columns, first);
    }
  }
  for (int k = 0; k < 2; ++k)
    words[lane + kWarpSize * k] = {bits[0][k], bits[1][k]};
}

/// Greedy suppression of one panel, by one block, from its mask. Each tile is resolved by every
/// warp for itself, which saves a barrier; the later tiles of the panel are then shared out among
/// the warps.
__device__ inline void resolve_panel(const NmsArguments& arguments, const NmsWorkspace& workspace,
                                     std::int64_t image, std::int64_t panel_start) {
  constexpr int kTile = static_cast<int>(kNmsTile);
  CUDET_SHARED_ARRAY(TileMask, removed, static_cast<int>(kNmsPanelBoxes / kNmsTile));
  NmsImageState& state = workspace.state[image];
  const unsigned lane = threadIdx.x % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const TileMask* const mask = workspace.mask + image * workspace.panel_tiles * kTile;
  const std::uint32_t* const order = workspace.order + image * arguments.candidates;
  std::uint32_t* const kept_positions = workspace.kept + image * arguments.candidates;
  const NmsImage place = locate_image(arguments, image);
  const auto boxes = static_cast<int>(
      min(static_cast<std::int64_t>(state.candidates) - panel_start, workspace.panel_boxes));
  const int tiles = (boxes + kTile - 1) / kTile;

  // The flags of the panel; what lies behind the last candidate counts as removed.
  const std::uint32_t* const flags =
      workspace.removed + image * workspace.removed_words + panel_start / 32;
  for (int word = static_cast<int>(threadIdx.x); word < 2 * tiles; word += kNmsPanelThreads) {
    const int left = boxes - 32 * word;
    const unsigned outside = left >= 32 ? 0u : (left <= 0 ? ~0u : ~0u << left);
    const unsigned value = (left > 0 ? flags[word] : 0u) | outside;
    (word % 2 == 0 ? removed[word / 2].low : removed[word / 2].high) = value;
  }
  __syncthreads();

  const auto kept_before = static_cast<int>(state.kept);
  int kept_count = kept_before;
  for (int tile = 0; tile < tiles && kept_count < workspace.stop; ++tile) {
    // Overlaps are symmetric: a row of a diagonal tile also tells the earlier boxes that overlap
    // it.
    const TileMask* const diagonal = mask + (first_tile_of(tile) + tile) * kTile;
    const std::uint64_t before_first = (std::uint64_t{1} << lane) - 1;
    TileMask first = diagonal[lane];
    TileMask second = diagonal[lane + kWarpSize];
    first = {first.low & static_cast<unsigned>(before_first), 0u};
    second.high &= static_cast<unsigned>(before_first);
    TileMask kept = resolve_tile(((removed[tile].low >> lane) & 1u) == 0u,
                                 ((removed[tile].high >> lane) & 1u) == 0u, first, second);
    const std::int64_t room = workspace.stop - kept_count;
    if (kept.count() > room) kept = first_flags(kept, static_cast<int>(room));
    const bool keep[2] = {flag_of(kept, lane, false), flag_of(kept, lane, true)};
    if (warp == tile % kNmsPanelWarps) {
      for (int k = 0; k < 2; ++k) {
        if (!keep[k]) continue;
        const int slot = kept_count + rank_in_tile(kept, lane, k == 1);
        const std::int64_t position =
            panel_start + tile * kTile + static_cast<int>(lane) + kWarpSize * k;
        kept_positions[slot] = static_cast<std::uint32_t>(position);
        if (workspace.limit_classes) continue;
        write_slot(arguments, place, slot, order[position]);
        write_kept(arguments, place, order[position]);
      }
    }
    for (int later = tile + 1 + warp; later < tiles; later += kNmsPanelWarps) {
      const TileMask* const words = mask + (first_tile_of(later) + tile) * kTile;
      TileMask hit = {0u, 0u};
      for (int k = 0; k < 2; ++k) {
        if (!keep[k]) continue;
        const TileMask word = words[lane + kWarpSize * static_cast<unsigned>(k)];
        hit = {hit.low | word.low, hit.high | word.high};
      }
      hit = {warp_or(hit.low), warp_or(hit.high)};
      if (lane == 0) {
        removed[later].low |= hit.low;
        removed[later].high |= hit.high;
      }
    }
    kept_count += kept.count();
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    state.kept = static_cast<std::uint32_t>(kept_count);
    state.kept_in_panel = static_cast<std::uint32_t>(kept_count - kept_before);
    atomicExch(&state.blocks_arrived, 0u);
    if (arguments.out.count != nullptr) arguments.out.count[image] = kept_count;
  }
}

/// True where an image has nothing left to do from `start` on.
__device__ __forceinline__ bool image_done(const NmsWorkspace& workspace,
                                           const NmsImageState& state, std::int64_t start) {
  return start >= state.candidates || state.kept >= workspace.stop;
}

/// Mask of the panel that starts at `panel_start`, a tile a warp; the block that comes last of an
/// image resolves the panel. Which one that is differs from run to run, the result does not.
template <bool kClassAware, bool kGeneral>
__global__ void __launch_bounds__(kNmsPanelThreads, 2)
    nms_panel_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                     std::int64_t panel_start, unsigned blocks_per_image) {
  constexpr int kTile = static_cast<int>(kNmsTile);
  CUDET_SHARED_ARRAY(float4, column_corners, kNmsPanelWarps * kTile);
  CUDET_SHARED_ARRAY(float, column_areas, kGeneral ? 1 : kNmsPanelWarps* kTile);
  CUDET_SHARED_ARRAY(std::int64_t, column_classes, kClassAware ? kNmsPanelWarps * kTile : 1);
  CUDET_SHARED(bool, is_last);
  const BlockOfImage where = block_of_image(blocks_per_image);
  NmsImageState& state = workspace.state[where.image];
  if (image_done(workspace, state, panel_start)) return;  // all blocks of the image alike

  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int tile = static_cast<int>(where.block) * kNmsPanelWarps + warp;
  const TilePosition position = tile_position(tile);
  const std::int64_t start = where.image * arguments.candidates;
  const std::int64_t column_start = panel_start + position.column * kNmsTile;
  if (tile < workspace.panel_tiles && column_start < state.candidates) {
    const SharedBoxes columns = {column_corners + warp * kTile,
                                 column_areas + (kGeneral ? 0 : warp * kTile),
                                 kClassAware ? column_classes + warp * kTile : nullptr};
    compute_mask_tile<kClassAware, kGeneral>(
        arguments, workspace, start + panel_start + position.row * kNmsTile, start + column_start,
        start + state.candidates, columns,
        workspace.mask + (where.image * workspace.panel_tiles + tile) * kTile);
  }

  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    is_last = atomicAdd(&state.blocks_arrived, 1u) == blocks_per_image - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  resolve_panel(arguments, workspace, where.image, panel_start);
}

/// Removes the boxes from `start` on that overlap a box kept in the panel just resolved: a box a
/// thread, kept boxes by way of shared memory. `start` is a multiple of 32: a warp owns a word of
/// flags.
template <bool kClassAware, bool kGeneral>
__global__ void __launch_bounds__(kNmsThreads)
    nms_suppress_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                        std::int64_t start, unsigned blocks_per_image) {
  CUDET_SHARED_ARRAY(float4, kept_corners, kNmsThreads);
  CUDET_SHARED_ARRAY(float, kept_areas, kGeneral ? 1 : kNmsThreads);
  CUDET_SHARED_ARRAY(std::int64_t, kept_classes, kClassAware ? kNmsThreads : 1);
  const BlockOfImage where = block_of_image(blocks_per_image);
  const NmsImageState& state = workspace.state[where.image];
  const std::int64_t block_start = start + where.block * kNmsThreads;
  if (image_done(workspace, state, block_start)) return;

  const std::int64_t image_start = where.image * arguments.candidates;
  const std::int64_t image_end = image_start + state.candidates;
  const auto kept_count = static_cast<int>(state.kept_in_panel);
  const std::uint32_t* const kept =
      workspace.kept + image_start + (state.kept - state.kept_in_panel);
  const std::int64_t position = block_start + threadIdx.x;
  const unsigned lane = threadIdx.x % kWarpSize;
  std::uint32_t* const flags =
      workspace.removed + where.image * workspace.removed_words + position / kWarpSize;
  bool alive = position < state.candidates && ((*flags >> lane) & 1u) == 0u;
  const bool was_alive = alive;
  const SharedBoxes kept_boxes = {kept_corners, kept_areas, kClassAware ? kept_classes : nullptr};
  const NmsBox box = load_sorted_box<kClassAware, kGeneral>(arguments, workspace,
                                                            image_start + position, image_end);
  for (int first = 0; first < kept_count; first += kNmsThreads) {
    if (__syncthreads_or(static_cast<int>(alive)) == 0) break;
    const int mine = first + static_cast<int>(threadIdx.x);
    const std::int64_t kept_position = mine < kept_count ? image_start + kept[mine] : image_end;
    kept_boxes.store<kGeneral>(
        static_cast<int>(threadIdx.x),
        load_sorted_box<kClassAware, kGeneral>(arguments, workspace, kept_position, image_end));
    __syncthreads();
    const int staged = round_up_to_group(min(kNmsThreads, kept_count - first));
    if (alive) {
      alive = !overlaps_any<kClassAware, kGeneral>(arguments, box, kept_boxes, staged);
    }
  }
  const unsigned newly_removed = __ballot_sync(kFullWarp, was_alive && !alive);
  if (lane == 0 && newly_removed != 0u) *flags |= newly_removed;
}

}  // namespace cudet::device
