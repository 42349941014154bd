// NMS of few images of up to 1024 candidates, in sorted order in memory: a block a tile of 64
// boxes, so that several multiprocessors share an image and still hardly any pair is tested in
// vain.
//
// Floor      pairs: as in nms_block_kernel.cuh.
// This       a tile meets what earlier tiles have kept, tile after tile as they publish it, and
//            then settles itself. What it keeps is 64 flags, published as two words of 32 flags and
//            a mark that they are there; nothing else is handed on, since an earlier launch has
//            left all boxes in memory. docs/performance.md has the counts.
//
// Blocks take tiles by ticket, the first tiles of all images first: a block waits only for tiles of
// lower tickets, whose blocks have been started, whatever the order in which a device starts them.
// The time that a word takes from one multiprocessor to the next is in no model here.
//
// Boxes of which few suppress each other meet a half of an earlier tile a warp, and the warps tell
// each other now and then which boxes are left. Otherwise a thread goes through the kept boxes one
// by one until one suppresses its own. How many pairs suppress is known from the first tile and
// from what the tile has met. Where hardly any do, the last tiles before a tile and its own pairs
// are tested before it waits for them, so that little is left to do once they are known.
#pragma once

#include "device/handover.cuh"
#include "device/shared_memory.cuh"
#include "nms_block_tiles.cuh"
#include "nms_settle.cuh"
#include "nms_workspace.cuh"

namespace cudet::device {

constexpr int kNmsChainThreads = 128;  // a tile a block
constexpr int kNmsChainWarps = kNmsChainThreads / kWarpSize;

/// Earlier tiles come in halves, a box a lane. A group is one half a warp.
constexpr int kNmsHalfTile = static_cast<int>(kNmsTile) / 2;
constexpr int kNmsGroupTiles = kNmsChainWarps / 2;
constexpr int kNmsGroupBoxes = kNmsChainWarps * kNmsHalfTile;
static_assert(kNmsHalfTile == kWarpSize, "a box a lane");

/// The image and tile that a block takes.
struct ChainPlace {
  std::int64_t image;
  int tile;
};

/// Takes the next tile: first that with the best boxes of each image, then the second ones.
__device__ __forceinline__ ChainPlace take_tile(const NmsWorkspace& workspace,
                                                unsigned blocks_per_image) {
  CUDET_SHARED(unsigned, ticket);
  if (threadIdx.x == 0) ticket = atomicAdd(workspace.tickets, 1u);
  __syncthreads();
  const unsigned images = gridDim.x / blocks_per_image;
  return {ticket % images, static_cast<int>(ticket / images)};
}

/// Waits for half a tile, with a whole warp: its word.
__device__ __forceinline__ std::uint64_t wait_for_half(const std::uint64_t* word) {
  std::uint64_t value;
  do {
    value = load_published(word);
  } while (__all_sync(kFullWarp, static_cast<int>((value >> 32) != 0u)) == 0);
  return value;
}

/// Publishes what a tile keeps; by one warp.
__device__ __forceinline__ void publish_tile(std::uint64_t* words, int tile, const TileMask& kept) {
  const unsigned lane = threadIdx.x % kWarpSize;
  if (lane >= 2) return;
  publish(words + 2 * tile + lane, (std::uint64_t{1} << 32) | (lane == 0 ? kept.low : kept.high));
}

/// Which of its tile's two rows of 32 boxes a thread's k-th box is in: warps begin with a row of
/// their own each.
__device__ __forceinline__ int row_of_box(int k) {
  return (static_cast<int>(threadIdx.x) / kWarpSize + k) % 2;
}

/// What the warps of a block tell each other after each round.
struct alignas(16) WarpReport {
  TileMask alive;  ///< boxes of the tile that this warp has not seen suppressed
  int kept;        ///< kept boxes of earlier tiles in the halves that it has seen
};

/// How far a tile has come, the same for all warps; from it follows how the tile goes on.
struct ChainProgress {
  int left;  ///< boxes of the tile that nothing has suppressed
  int kept;  ///< boxes that earlier tiles have kept
  int met;   ///< pairs of them and boxes of the tile that were left
  int hits;  ///< such pairs that suppressed

  /// Whether `columns` kept boxes would hit at most a 16th of the boxes left, if as few pairs
  /// suppress as up to now and half a one more. Warps may then share those columns: what a box
  /// meets in vain, as another warp has seen it suppressed, is half of them, a 32nd of all pairs.
  __device__ bool expects_few_hits(int columns) const {
    return 8 * columns * (2 * hits + 1) <= met;
  }

  /// Takes the reports of a round in and tells a warp which of its boxes are left.
  __device__ void update(const WarpReport* reports, bool* alive) {
    TileMask now = reports[0].alive;
    int kept_now = reports[0].kept;
#pragma unroll
    for (int i = 1; i < kNmsChainWarps; ++i) {
      const WarpReport report = reports[i];
      now = {now.low & report.alive.low, now.high & report.alive.high};
      kept_now += report.kept;
    }
    const unsigned lane = threadIdx.x % kWarpSize;
    alive[0] = flag_of(now, lane, row_of_box(0) == 1);
    alive[1] = flag_of(now, lane, row_of_box(1) == 1);
    const int left_now = now.count();
    met += (kept_now - kept) * left;
    hits += left - left_now;
    kept = kept_now;
    left = left_now;
  }
};

/// Reports what a warp has seen.
__device__ __forceinline__ void report(WarpReport* reports, const bool* alive, int kept) {
  const unsigned own = __ballot_sync(kFullWarp, alive[0]);
  const unsigned other = __ballot_sync(kFullWarp, alive[1]);
  const bool swapped = row_of_box(0) == 1;
  if (threadIdx.x % kWarpSize != 0) return;
  reports[threadIdx.x / kWarpSize] = {swapped ? TileMask{other, own} : TileMask{own, other}, kept};
}

/// Which of 32 shared boxes, or of the first `count` of them, are of a class.
__device__ __forceinline__ unsigned boxes_of_class(const std::int64_t* classes, int count,
                                                   std::int64_t class_id) {
  unsigned flags = 0u;
#pragma unroll 4
  for (int i = 0; i < count; ++i)
    flags |= static_cast<unsigned>(classes[i] == class_id) << i;
  return flags;
}

/// Stores the flagged boxes of half a tile together, a box a lane, and behind them boxes that
/// overlap nothing.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ void store_half(const NmsArguments& arguments, const SharedBoxes& half,
                                           const NmsBox& box, unsigned kept) {
  const unsigned lane = threadIdx.x % kWarpSize;
  const bool is_kept = ((kept >> lane) & 1u) != 0u;
  const int rank = __popc(kept & ((1u << lane) - 1u));
  __syncwarp();  // the last half has been read
  if constexpr (kTest == NmsTest::fast) {
    NmsBox stored = make_nms_box<kTest>(arguments, no_box<kTest>(), 0);
    if (is_kept) stored = box;
    half.store<kClassAware, kTest>(is_kept ? rank : __popc(kept) + static_cast<int>(lane) - rank,
                                   stored);
  } else {
    if (is_kept) half.store<kClassAware, kTest>(rank, box);
  }
  __syncwarp();
}

/// Tests a thread's boxes against `count` kept ones of half a tile: not 0 where one is hit. With
/// `all_pairs` and 32 kept ones, the flags of those that hit it; else a box may stop at the first.
/// Hardly any box overlaps another one at all, and those pairs are found first; where that is not
/// so, the image is crowded and pairs are told apart by their shares from then on.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ void test_half(const NmsArguments& arguments, const NmsBox* box,
                                          const bool* alive, const SharedBoxes& half, int count,
                                          bool all_pairs, bool* crowded, unsigned* hits) {
  const unsigned all = count == kWarpSize ? ~0u : (1u << count) - 1u;
  unsigned to_meet[2] = {all, all};
  if constexpr (kClassAware) {
#pragma unroll
    for (int k = 0; k < 2; ++k)
      to_meet[k] = boxes_of_class(half.classes, count, box[k].class_id);
  } else if constexpr (kTest == NmsTest::fast) {
    if (*crowded) {
      clear_far<PairFilter::shares, 2, kNmsHalfTile>(box, half, to_meet);
    } else {
      clear_far<PairFilter::intersection, 2, kNmsHalfTile>(box, half, to_meet);
      const int most = max(__popc(to_meet[0]), __popc(to_meet[1]));
      constexpr int kMostIntersecting = 6;
      *crowded = __any_sync(kFullWarp, static_cast<int>(most > kMostIntersecting)) != 0;
    }
  }
#pragma unroll
  for (int k = 0; k < 2; ++k)
    hits[k] = alive[k] ? overlapping<kTest>(arguments, box[k], half, to_meet[k], all_pairs) : 0u;
}

/// Whether a box overlaps none of the first `count` shared boxes that it has to meet.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ bool passes(const NmsArguments& arguments, const NmsBox& box,
                                       const SharedBoxes& others, int count) {
  if constexpr (!kClassAware) {
    return first_overlapping<kTest, true>(arguments, box, others, 0, count) == count;
  } else {
    for (int first = 0; first < count; first += kWarpSize) {
      const SharedBoxes next = others.from(first);
      const unsigned to_meet =
          boxes_of_class(next.classes, min(kWarpSize, count - first), box.class_id);
      if (overlapping<kTest>(arguments, box, next, to_meet, false) != 0u) return false;
    }
    return true;
  }
}

/// The pairs of a tile: three warps have 32 x 32 each, those of a row with itself and with the one
/// before it, and of each the thread's first box.
struct PairsOfTile {
  bool takes_part;
  int columns;   ///< the first of 32
  int end;       ///< how many of them are before the thread's box
  unsigned* to;  ///< where their flags go

  __device__ explicit PairsOfTile(TileMask* flags) {
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    takes_part = warp != 2;
    columns = warp == 1 ? kWarpSize : 0;
    end = warp == 3 ? kWarpSize : lane;
    TileMask& of_box = flags[lane + kWarpSize * row_of_box(0)];
    to = warp == 1 ? &of_box.high : &of_box.low;
  }
};

/// Tests all pairs of a tile whose later box is alive; with classes, those that `pairs.to` flags.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ void test_pairs(const NmsArguments& arguments, const NmsBox& box,
                                           bool alive, const SharedBoxes& tile,
                                           const PairsOfTile& pairs) {
  if (!pairs.takes_part || !alive) return;
  const SharedBoxes columns = tile.from(pairs.columns);
  unsigned to_test = *pairs.to;
  if constexpr (!kClassAware) {
    to_test = pairs.end < kWarpSize ? (1u << pairs.end) - 1u : ~0u;
    if constexpr (kTest == NmsTest::fast) {
      clear_far<PairFilter::intersection, 1, kNmsHalfTile>(&box, columns, &to_test);
    }
  }
  *pairs.to = overlapping<kTest>(arguments, box, columns, to_test);
}

/// Greedy suppression within the tile by its first warp: the boxes kept.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ TileMask settle_tile(const NmsArguments& arguments, const NmsBox* box,
                                                const SharedBoxes& tile, const TileMask* related,
                                                bool pairs_known, bool* alive) {
  const unsigned lane = threadIdx.x % kWarpSize;
  if (pairs_known) {
    return resolve_tile(alive[0], alive[1], related[lane], related[lane + kWarpSize]);
  }
  if constexpr (kClassAware) {
    const TileMask before[2] = {related[lane], related[lane + kWarpSize]};
    settle_classes<kTest>(arguments, box, tile, before, alive);
  } else {
    settle_row<kTest, 2>(arguments, box, tile, alive);
    settle_row<kTest, 1>(arguments, box + 1, tile.from(kWarpSize), alive + 1);
  }
  return {__ballot_sync(kFullWarp, alive[0]), __ballot_sync(kFullWarp, alive[1])};
}

/// Greedy suppression of all images, in one launch with a block a tile.
template <bool kClassAware, NmsTest kTest>
__global__ void __launch_bounds__(kNmsChainThreads, 4)
    nms_chain_kernel(const NmsArguments arguments, const NmsWorkspace workspace,
                     unsigned blocks_per_image) {
  begin_overlapped_kernel();
  constexpr int kTile = static_cast<int>(kNmsTile);
  CUDET_SHARED_ARRAY(float4, list_corners, (kSharedCorners<kTest, kNmsGroupBoxes>));
  CUDET_SHARED_ARRAY(float4, list_shares, (kSharedAreas<kTest, kNmsGroupBoxes>));
  CUDET_SHARED_ARRAY(pinned::RotatedBox, list_rotated, (kSharedRotated<kTest, kNmsGroupBoxes>));
  CUDET_SHARED_ARRAY(std::int64_t, list_classes, kClassAware ? kNmsGroupBoxes : 1);
  CUDET_SHARED_ARRAY(float4, tile_corners, (kSharedCorners<kTest, kTile>));
  CUDET_SHARED_ARRAY(float4, tile_shares, (kSharedAreas<kTest, kTile>));
  CUDET_SHARED_ARRAY(pinned::RotatedBox, tile_rotated, (kSharedRotated<kTest, kTile>));
  CUDET_SHARED_ARRAY(std::int64_t, tile_classes, kClassAware ? kTile : 1);
  CUDET_SHARED_ARRAY(TileMask, related, kTile);  // earlier boxes of the tile: of the class, or hit
  CUDET_SHARED_ARRAY(WarpReport, reports, 2 * kNmsChainWarps);
  const ChainPlace place = take_tile(workspace, blocks_per_image);
  const std::int64_t image_start = place.image * arguments.candidates;
  const auto candidates = static_cast<int>(workspace.state[place.image].candidates);
  const int tile_start = place.tile * kTile;
  if (tile_start >= candidates) return;

  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const unsigned lane = threadIdx.x % kWarpSize;
  const bool is_last = tile_start + kTile >= candidates;
  std::uint64_t* const words = workspace.tile_words + place.image * 2 * blocks_per_image;
  const SharedBoxes list = {list_corners, nullptr, list_rotated, list_classes, list_shares};
  const SharedBoxes tile = {tile_corners, nullptr, tile_rotated, tile_classes, tile_shares};
  const auto load = [&](int position) {
    return load_sorted_box<kClassAware, kTest>(arguments, workspace, image_start + position,
                                               image_start + candidates);
  };
  NmsBox box[2];
  bool alive[2];
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const int position = kWarpSize * row_of_box(k) + static_cast<int>(lane);
    box[k] = load(tile_start + position);
    alive[k] = tile_start + position < candidates;
    if (warp == 0) tile.store<kClassAware, kTest>(position, box[k]);
  }
  if (threadIdx.x < kTile) related[threadIdx.x] = {0u, 0u};
  __syncthreads();
  const PairsOfTile pairs(related);
  if (kClassAware && pairs.takes_part) {
    *pairs.to = boxes_of_class(tile.classes + pairs.columns, pairs.end, box[0].class_id);
  }

  const SharedBoxes own_half = list.from(kNmsHalfTile * warp);
  int kept_seen = 0;  // in the halves of this warp
  int round = 0;
  bool pairs_known = false;
  bool crowded = false;  // as the warp has seen
  ChainProgress progress = {min(candidates - tile_start, kTile), 0, 0, 0};
  const auto wait = [&](int index) {
    const auto kept = static_cast<unsigned>(wait_for_half(words + index));
    kept_seen += __popc(kept);
    return kept;
  };
  const auto load_half = [&](int index) {  // all of its boxes exist
    const std::int64_t position = image_start + kNmsHalfTile * index + static_cast<int>(lane);
    return make_nms_box<kTest>(arguments, sorted_numbers<kTest>(workspace, position),
                               kClassAware ? workspace.classes[position] : 0);
  };
  const auto meet_together = [&](int index, bool ahead) {
    const NmsBox other = load_half(index);
    const unsigned stored = ahead ? ~0u : wait(index);
    store_half<kClassAware, kTest>(arguments, own_half, other, stored);
    unsigned hits[2];
    test_half<kClassAware, kTest>(arguments, box, alive, own_half, __popc(stored), ahead, &crowded,
                                  hits);
    const unsigned counted = ahead ? wait(index) : ~0u;
    alive[0] = alive[0] && (hits[0] & counted) == 0u;
    alive[1] = alive[1] && (hits[1] & counted) == 0u;
  };
  if (place.tile > 0) {
    // The first tile tells what is to be expected.
    const auto kept = static_cast<unsigned>(wait_for_half(words + lane % 2));
    const int kept_here = __popc(kept);
    const int first_kept = kept_here + __shfl_xor_sync(kFullWarp, kept_here, 1);
    progress.met = kTile / 2 * first_kept;
    progress.hits = kTile - first_kept;
  }
  for (int group = -(place.tile % kNmsGroupTiles); group < place.tile;) {
    const int groups_left = (place.tile - group) / kNmsGroupTiles;
    // Twice as sure for what is tested ahead: all of it may be in vain where a box is suppressed.
    const bool ahead = progress.expects_few_hits(2 * place.tile * kTile);
    const int groups = ahead ? groups_left : progress.expects_few_hits(kNmsGroupBoxes) ? 1 : 0;
    if (progress.left == 0) {
      for (int index = 2 * group + warp; index < 2 * place.tile; index += kNmsChainWarps) {
        if (index >= 0) wait(index);
      }
      group = place.tile;
    } else if (groups > 0) {
      const int next = group + groups * kNmsGroupTiles;
      const int end = 2 * next - (ahead ? kNmsChainWarps : 0);
      for (int index = 2 * group + warp; index < end; index += kNmsChainWarps) {
        if (index >= 0) meet_together(index, false);
      }
      if (ahead) {
        test_pairs<kClassAware, kTest>(arguments, box[0], alive[0], tile, pairs);
        pairs_known = true;
        if (end + warp >= 0) meet_together(end + warp, true);
      }
      group = next;
    } else {
      const int index = 2 * group + warp;
      NmsBox other = {};
      if (index >= 0) other = load_half(index);
      const int word = 2 * group + static_cast<int>(lane) % kNmsChainWarps;
      auto kept_of_word = static_cast<unsigned>(wait_for_half(words + max(word, 0)));
      if (word < 0) kept_of_word = 0u;
      unsigned kept = 0u;
      int before = 0;  // kept in the halves of earlier warps
      int count = 0;   // in all of them
#pragma unroll
      for (int i = 0; i < kNmsChainWarps; ++i) {
        const unsigned kept_of_half = __shfl_sync(kFullWarp, kept_of_word, i);
        if (i == warp) {
          kept = kept_of_half;
          before = count;
        }
        count += __popc(kept_of_half);
      }
      kept_seen += __popc(kept);
      if (((kept >> lane) & 1u) != 0u) {
        list.store<kClassAware, kTest>(before + __popc(kept & ((1u << lane) - 1u)), other);
      }
      __syncthreads();
      if (warp < 2 && alive[0]) {
        alive[0] = passes<kClassAware, kTest>(arguments, box[0], list, count);
      }
      group += kNmsGroupTiles;
    }
    WarpReport* const current = reports + round++ % 2 * kNmsChainWarps;
    report(current, alive, kept_seen);
    __syncthreads();
    progress.update(current, alive);
    if (progress.kept >= workspace.stop) break;
    if (progress.left == 0) {
      if (warp == 0) publish_tile(words, place.tile, {0u, 0u});
      if (!is_last) return;
    }
  }

  const bool settles = progress.kept < workspace.stop && progress.left > 0;
  if (settles && !pairs_known && progress.expects_few_hits(kTile / 2) &&
      8 * progress.left >= 7 * kTile) {
    test_pairs<kClassAware, kTest>(arguments, box[0], alive[0], tile, pairs);
    pairs_known = true;
    __syncthreads();
  }
  if (kClassAware && place.tile == 0) __syncthreads();
  if (warp != 0) return;
  TileMask kept = {0u, 0u};
  if (settles) {
    const TileMask settled =
        settle_tile<kClassAware, kTest>(arguments, box, tile, related, pairs_known, alive);
    const std::int64_t room = workspace.stop - progress.kept;
    kept = first_flags(settled, static_cast<int>(min(room, std::int64_t{kTile})));
  }
  publish_tile(words, place.tile, kept);

  const NmsImage image = locate_image(arguments, place.image);
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    if (!flag_of(kept, lane, k == 1)) continue;
    const int slot = progress.kept + rank_in_tile(kept, lane, k == 1);
    const int position = tile_start + kWarpSize * k + static_cast<int>(lane);
    workspace.kept[image_start + slot] = static_cast<std::uint32_t>(position);
    if (workspace.limit_classes) continue;
    const std::uint32_t element = workspace.order[image_start + position];
    write_slot(arguments, image, slot, element);
    write_kept(arguments, image, element);
  }
  if (is_last && lane == 0) {
    const int kept_count = progress.kept + kept.count();
    workspace.state[place.image].kept = static_cast<std::uint32_t>(kept_count);
    if (arguments.out.count != nullptr) arguments.out.count[place.image] = kept_count;
  }
}

}  // namespace cudet::device
