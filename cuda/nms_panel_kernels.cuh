// NMS of more than 1024 candidates an image: a device-wide sort, and then panels of 4096 boxes in
// sorted order, each a launch that computes the panel's triangular suppression mask and resolves
// it, and a launch that tests all later boxes against what the panel kept.
//
// Floor      pairs: as in nms_block_kernel.cuh, 1.0 M (clustered) to 7.3 M (nearly all kept) of the
//            8.4 M pairs of 4096 boxes; bytes: 20 (+ class) a box.
// This       all pairs of a panel (its upper triangle) and, for later boxes, only kept ones; mask
//            of n^2 / 16 bytes for one panel (1 MB for 4096 boxes), written once and read at most
//            once, in whole 32-byte sectors; reduction of a panel in one block: 1 barrier a tile.
//            Memory O(n), launches 2 a panel after the sort.
#pragma once

#include "device/shared_memory.cuh"
#include "nms_shared_boxes.cuh"
#include "nms_tile.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

constexpr int kNmsPanelThreads = 128;  // of the mask kernel: a task a warp
constexpr int kNmsPanelWarps = kNmsPanelThreads / kWarpSize;

/// A sorted position a thread: corners (and class) in sorted order, and the number of candidates.
template <bool kClassAware, NmsTest kTest>
__global__ void __launch_bounds__(kNmsThreads)
    nms_gather_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                      unsigned blocks_per_image) {
  begin_overlapped_kernel();
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
  store_candidate<kClassAware, kTest>(arguments, workspace, image, element, start + position);
}

/// The tiles of an upper triangle are numbered column after column: the first one of column c is
/// c (c + 1) / 2.
__device__ __forceinline__ int first_tile_of(int column) {
  return column * (column + 1) / 2;
}

/// Two tiles above each other, or the one that is left at the end of a column, are one task; where
/// there are few, each tile is.
struct TaskPosition {
  int row, column;  ///< of its first tile
};

/// Row and column of task `index` of so many tiles; tasks are numbered column after column. The
/// square root is only a first guess.
__device__ __forceinline__ TaskPosition task_position(int index, int tiles) {
  const auto first_task_of = [tiles](int column) {
    return tiles == 1 ? first_tile_of(column) : (column + 1) * (column + 1) / 4;
  };
  int column = static_cast<int>(sqrtf(static_cast<float>(2 * tiles * index)));
  while (first_task_of(column) > index)
    --column;
  while (first_task_of(column + 1) <= index)
    ++column;
  return {tiles * (index - first_task_of(column)), column};
}

/// True for the mask tiles of which a warp reads all words at once: on the diagonal and next to it.
__device__ __forceinline__ bool is_read_whole(int row_tile, int column_tile) {
  return row_tile + 1 >= column_tile;
}

/// The mask tiles of a task by one warp: bit j of word i says that box i of a row tile and box j of
/// the column tile overlap. Words that are zero are left out, but where is_read_whole(); flags of a
/// tile say which of its rows have a bit. A lane has two rows of each tile in registers; all lanes
/// read the same column at a time. Positions count from the image's first candidate.
template <int kTiles, bool kClassAware, NmsTest kTest>
__device__ void compute_mask(const NmsArguments& arguments, const NmsWorkspace& workspace,
                             std::int64_t image, std::int64_t panel_start, TaskPosition task,
                             const SharedBoxes& columns) {
  constexpr int kTile = static_cast<int>(kNmsTile);
  constexpr int kRows = kTiles * kTile / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const std::int64_t start = image * arguments.candidates;
  const std::int64_t end = start + workspace.state[image].candidates;
  const auto load = [&](int tile, int offset) {
    const std::int64_t position = start + panel_start + tile * kTile + offset;
    return load_sorted_box<kClassAware, kTest>(arguments, workspace, position, end);
  };
#pragma unroll
  for (int offset = lane; offset < kTile; offset += kWarpSize)
    columns.store<kClassAware, kTest>(offset, load(task.column, offset));
  NmsBox rows[static_cast<unsigned>(kRows)];
#pragma unroll
  for (int k = 0; k < kRows; ++k)
    rows[k] = load(task.row, lane + kWarpSize * k);
  __syncwarp();
  unsigned bits[2][static_cast<unsigned>(kRows)];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    overlaps_of_rows<kClassAware, kTest, kRows>(arguments, rows, columns.from(kWarpSize * half),
                                                bits[half]);
  }
  const std::int64_t tile = image * workspace.panel_tiles + first_tile_of(task.column) + task.row;
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    const int row_tile = task.row + t;
    if (row_tile > task.column) break;
    TileMask* const words = workspace.mask + (tile + t) * kTile;
    bool overlaps_any[2];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const TileMask word = {bits[0][2 * t + k], bits[1][2 * t + k]};
      overlaps_any[k] = (word.low | word.high) != 0u;
      if (overlaps_any[k] || is_read_whole(row_tile, task.column)) {
        words[lane + kWarpSize * k] = word;
      }
    }
    const TileMask rows_of_tile = {__ballot_sync(kFullWarp, overlaps_any[0]),
                                   __ballot_sync(kFullWarp, overlaps_any[1])};
    if (lane == 0) workspace.mask_rows[tile + t] = rows_of_tile;
  }
}

/// A tile as it was resolved, for the warps that work with the result.
struct ResolvedTile {
  TileMask kept;
  int kept_before;  ///< boxes that the image kept before it
  int kept_after;
};

/// Flags of the boxes of a tile that overlap a kept one of an earlier tile, from the words of their
/// mask tile, of which a lane has two.
__device__ __forceinline__ TileMask overlapped(const TileMask& kept, unsigned lane,
                                               const TileMask& first, const TileMask& second) {
  const unsigned use_first = 0u - ((kept.low >> lane) & 1u);
  const unsigned use_second = 0u - ((kept.high >> lane) & 1u);
  return {warp_or((first.low & use_first) | (second.low & use_second)),
          warp_or((first.high & use_first) | (second.high & use_second))};
}

/// All words of a mask tile that belong to the flagged rows.
__device__ __forceinline__ TileMask words_of(const TileMask& rows, const TileMask* words) {
  constexpr int kHalf = static_cast<int>(kNmsTile) / 2;
  TileMask gone = {0u, 0u};
  unsigned low = rows.low;
  unsigned high = rows.high;
  while ((low | high) != 0u) {  // a row of each half at a time: two reads under way
    const int first = low != 0u ? __ffs(static_cast<int>(low)) - 1 : -1;
    const int second = high != 0u ? kHalf + __ffs(static_cast<int>(high)) - 1 : first;
    const TileMask one = words[first >= 0 ? first : second];
    const TileMask other = words[second];
    gone = {gone.low | one.low | other.low, gone.high | one.high | other.high};
    low &= low - 1u;
    high &= high - 1u;
  }
  return gone;
}

/// What the warps of a block do when it settles a panel: the first one resolves tiles, the last one
/// writes what is kept, and those between flag what it overlaps.
constexpr int kNmsWritingWarp = kNmsPanelWarps - 1;
constexpr int kNmsFlaggingWarps = kNmsPanelWarps - 2;

/// Greedy suppression of one panel, by one block, from its mask: a tile and a barrier a step. The
/// first warp resolves the step's tile. Others meanwhile flag what the tile before it overlaps, but
/// for the step's tile itself, for which the first warp has no time to wait: a lane a later tile,
/// so that of its mask only the words of kept boxes that overlap something are read.
__device__ inline void resolve_panel(const NmsArguments& arguments, const NmsWorkspace& workspace,
                                     std::int64_t image, std::int64_t panel_start) {
  constexpr int kTile = static_cast<int>(kNmsTile);
  CUDET_SHARED_ARRAY(TileMask, removed, static_cast<int>(kNmsPanelBoxes / kNmsTile));
  CUDET_SHARED_ARRAY(ResolvedTile, resolved, 2);
  NmsImageState& state = workspace.state[image];
  const unsigned lane = threadIdx.x % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const TileMask* const mask = workspace.mask + image * workspace.panel_tiles * kTile;
  const TileMask* const mask_rows = workspace.mask_rows + image * workspace.panel_tiles;
  const std::uint32_t* const order = workspace.order + image * arguments.candidates;
  std::uint32_t* const kept_positions = workspace.kept + image * arguments.candidates;
  const NmsImage place = locate_image(arguments, image);
  const auto boxes = static_cast<int>(
      min(static_cast<std::int64_t>(state.candidates) - panel_start, workspace.panel_boxes));
  const int tiles = (boxes + kTile - 1) / kTile;
  const auto kept_before_panel = static_cast<int>(state.kept);

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

  // Of the first warp: what it kept last, and the words that the next tile needs.
  TileMask kept = {0u, 0u};
  TileMask from_last[2] = {};
  TileMask diagonal[2] = {mask[lane], mask[lane + kWarpSize]};
  int kept_count = kept_before_panel;
  for (int tile = 0;; ++tile) {
    if (tile > 0) kept_count = resolved[(tile - 1) % 2].kept_after;
    const bool resolving = tile < tiles && kept_count < workspace.stop;
    if (warp == 0 && resolving) {
      const TileMask gone = overlapped(kept, lane, from_last[0], from_last[1]);
      // Overlaps are symmetric: a row of a diagonal tile also tells the earlier boxes that overlap
      // it.
      const TileMask first = flags_before(diagonal[0], lane, false);
      const TileMask second = flags_before(diagonal[1], lane, true);
      const TileMask alive = {~(removed[tile].low | gone.low), ~(removed[tile].high | gone.high)};
      if (tile + 1 < tiles) {
        const TileMask* const next = mask + (first_tile_of(tile + 1) + tile) * kTile + lane;
        for (int k = 0; k < 2; ++k) {
          from_last[k] = next[kWarpSize * k];
          diagonal[k] = next[kTile + kWarpSize * k];
        }
      }
      kept = resolve_tile(flag_of(alive, lane, false), flag_of(alive, lane, true), first, second);
      const std::int64_t room = workspace.stop - kept_count;
      if (kept.count() > room) kept = first_flags(kept, static_cast<int>(room));
      if (lane == 0) resolved[tile % 2] = {kept, kept_count, kept_count + kept.count()};
    }
    if (warp > 0 && tile > 0) {
      const ResolvedTile last = resolved[(tile - 1) % 2];
      if (warp == kNmsWritingWarp) {
        for (int k = 0; k < 2; ++k) {
          if (!flag_of(last.kept, lane, k == 1)) continue;
          const int slot = last.kept_before + rank_in_tile(last.kept, lane, k == 1);
          const std::int64_t position =
              panel_start + (tile - 1) * kTile + static_cast<int>(lane) + kWarpSize * k;
          kept_positions[slot] = static_cast<std::uint32_t>(position);
          if (workspace.limit_classes) continue;
          write_slot(arguments, place, slot, order[position]);
          write_kept(arguments, place, order[position]);
        }
      }
      const int mine = tile + 1 + static_cast<int>(threadIdx.x) - kWarpSize;
      const bool flags_later = warp != kNmsWritingWarp && resolving;
      for (int later = mine; flags_later && later < tiles; later += kNmsFlaggingWarps * kWarpSize) {
        const int above = first_tile_of(later) + tile - 1;
        const TileMask rows = mask_rows[above];
        const TileMask gone =
            words_of({rows.low & last.kept.low, rows.high & last.kept.high}, mask + above * kTile);
        removed[later] = {removed[later].low | gone.low, removed[later].high | gone.high};
      }
    }
    if (!resolving) break;
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    state.kept = static_cast<std::uint32_t>(kept_count);
    state.kept_in_panel = static_cast<std::uint32_t>(kept_count - kept_before_panel);
    atomicExch(&state.blocks_arrived, 0u);
    if (arguments.out.count != nullptr) arguments.out.count[image] = kept_count;
  }
}

/// True where an image has nothing left to do from `start` on.
__device__ __forceinline__ bool image_done(const NmsWorkspace& workspace,
                                           const NmsImageState& state, std::int64_t start) {
  return start >= state.candidates || state.kept >= workspace.stop;
}

/// True where no pair of a task matters any more: earlier panels have removed the whole column
/// tile, or all its row tiles. What the mask then holds is read and has no effect.
__device__ __forceinline__ bool task_is_removed(const NmsWorkspace& workspace, std::int64_t image,
                                                std::int64_t panel_start, TaskPosition task) {
  const std::uint32_t* const flags = workspace.removed + image * workspace.removed_words;
  const auto tile_is_removed = [&](int tile) {
    const std::int64_t word = panel_start / 32 + 2 * tile;
    const bool has_second = word + 1 < workspace.removed_words;
    return flags[word] == ~0u && (!has_second || flags[word + 1] == ~0u);
  };
  if (tile_is_removed(task.column)) return true;
  const bool is_one = workspace.task_tiles == 1 || task.row == task.column;
  return tile_is_removed(task.row) && (is_one || tile_is_removed(task.row + 1));
}

/// Mask of the panel that starts at `panel_start`, a task a warp; the block that comes last of an
/// image resolves the panel. Which one that is differs from run to run, the result does not.
template <bool kClassAware, NmsTest kTest>
__global__ void __launch_bounds__(kNmsPanelThreads, kTest != NmsTest::fast ? 4
                                                    : kClassAware          ? 6
                                                                           : 8)
    nms_panel_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                     std::int64_t panel_start, unsigned blocks_per_image) {
  begin_overlapped_kernel();
  constexpr int kTile = static_cast<int>(kNmsTile);
  constexpr int kColumns = kNmsPanelWarps * kTile;
  CUDET_SHARED_ARRAY(float4, column_corners, (kSharedCorners<kTest, kColumns>));
  CUDET_SHARED_ARRAY(float4, column_areas, (kSharedAreas<kTest, kColumns>));
  CUDET_SHARED_ARRAY(pinned::RotatedBox, column_rotated, (kSharedRotated<kTest, kColumns>));
  CUDET_SHARED_ARRAY(std::int64_t, column_classes, kClassAware ? kColumns : 1);
  CUDET_SHARED(bool, is_last);
  const BlockOfImage where = block_of_image(blocks_per_image);
  NmsImageState& state = workspace.state[where.image];
  if (image_done(workspace, state, panel_start)) return;  // all blocks of the image alike

  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int task = static_cast<int>(where.block) * kNmsPanelWarps + warp;
  const TaskPosition position = task_position(task, workspace.task_tiles);
  if (task < workspace.panel_tasks && panel_start + position.column * kNmsTile < state.candidates &&
      !(panel_start > 0 && task_is_removed(workspace, where.image, panel_start, position))) {
    const SharedBoxes columns = {column_corners, column_areas, column_rotated, column_classes};
    const SharedBoxes own = columns.from(warp * kTile);
    if (workspace.task_tiles == 1) {
      compute_mask<1, kClassAware, kTest>(arguments, workspace, where.image, panel_start, position,
                                          own);
    } else {
      compute_mask<2, kClassAware, kTest>(arguments, workspace, where.image, panel_start, position,
                                          own);
    }
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
/// thread, kept boxes by way of shared memory. Where there are few boxes, `parts` blocks share the
/// kept ones. `start` is a multiple of 32: a word of flags belongs to one warp of each part.
template <bool kClassAware, NmsTest kTest>
__global__ void __launch_bounds__(kNmsThreads)
    nms_suppress_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                        std::int64_t start, unsigned parts, unsigned blocks_per_image) {
  begin_overlapped_kernel();
  CUDET_SHARED_ARRAY(float4, kept_corners, (kSharedCorners<kTest, kNmsThreads>));
  CUDET_SHARED_ARRAY(float4, kept_shares, (kSharedAreas<kTest, kNmsThreads>));
  CUDET_SHARED_ARRAY(pinned::RotatedBox, kept_rotated, (kSharedRotated<kTest, kNmsThreads>));
  CUDET_SHARED_ARRAY(std::int64_t, kept_classes, kClassAware ? kNmsThreads : 1);
  const BlockOfImage where = block_of_image(blocks_per_image);
  const NmsImageState& state = workspace.state[where.image];
  const std::int64_t block_start = start + where.block / parts * kNmsThreads;
  const auto part = static_cast<int>(where.block % parts);
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
  // Other parts set flags meanwhile; which of them are seen makes no difference to the result.
  unsigned removed = 0u;
  if (lane == 0 && position < state.candidates) removed = atomicOr(flags, 0u);
  removed = __shfl_sync(kFullWarp, removed, 0);
  bool alive = position < state.candidates && ((removed >> lane) & 1u) == 0u;
  const bool was_alive = alive;
  const SharedBoxes kept_boxes = {kept_corners, nullptr, kept_rotated, kept_classes, kept_shares};
  const NmsBox box =
      load_sorted_box<kClassAware, kTest>(arguments, workspace, image_start + position, image_end);
  for (int first = part * kNmsThreads; first < kept_count;
       first += static_cast<int>(parts) * kNmsThreads) {
    if (__syncthreads_or(static_cast<int>(alive)) == 0) break;
    const int mine = first + static_cast<int>(threadIdx.x);
    const std::int64_t kept_position = mine < kept_count ? image_start + kept[mine] : image_end;
    kept_boxes.store<kClassAware, kTest>(
        static_cast<int>(threadIdx.x),
        load_sorted_box<kClassAware, kTest>(arguments, workspace, kept_position, image_end));
    __syncthreads();
    const int staged = round_up_to_group(min(kNmsThreads, kept_count - first));
    drop_overlapping<kClassAware, kTest, 1>(arguments, &box, kept_boxes, 0, staged, &alive);
  }
  const unsigned newly_removed = __ballot_sync(kFullWarp, was_alive && !alive);
  if (lane == 0 && newly_removed != 0u) atomicOr(flags, newly_removed);
}

}  // namespace cudet::device
