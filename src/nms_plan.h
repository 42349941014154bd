// What nms() derives from options and shapes before anything runs: checked sizes, the choice of
// kernels, and where the pieces of the workspace lie. Pure host arithmetic.
#pragma once

#include <cudet/nms.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Forms and sizes of a call, known once its input has been checked.
struct NmsShape {
  std::int64_t batch = 0;
  std::int64_t n = 0;         ///< boxes an image; of ragged batches the most that one has
  std::int64_t total = 0;     ///< boxes of the whole batch
  std::int64_t classes = 1;   ///< classes of dense scores, C in nms.h
  std::int64_t elements = 0;  ///< scores an image, n * classes
  std::int64_t top_k = 0;     ///< the most elements of an image that take part
  std::int64_t capacity = 0;  ///< output slots an image, K in nms.h
  NmsMethod method = NmsMethod::greedy;
  bool dense = false;
  bool boxes_per_class = false;
  bool ragged = false;
  bool rotated = false;
  bool class_aware = false;  ///< boxes of different classes must not suppress each other
};

inline bool is_soft(NmsMethod method) {
  return method == NmsMethod::soft_linear || method == NmsMethod::soft_gaussian;
}
inline bool is_matrix(NmsMethod method) {
  return method == NmsMethod::matrix_linear || method == NmsMethod::matrix_gaussian;
}
inline bool decays_scores(NmsMethod method) {
  return is_soft(method) || is_matrix(method);
}

/// Checks everything but the execution; on success `shape` is known.
Status check_nms_input(const NmsOptions& options, const NmsInput& input, bool with_data,
                       NmsShape* shape) noexcept;
Status check_nms_output(const NmsOptions& options, const NmsInput& input, const NmsOutput& output,
                        const NmsShape& shape) noexcept;

/// Elements that one warp holds, sorts and suppresses by itself.
inline constexpr std::int64_t kNmsWarpBoxes = 64;

/// Elements that one block holds, sorts and suppresses by itself.
inline constexpr std::int64_t kNmsBlockBoxes = 1024;

/// A block an image leaves a device idle where there are few images. Up to so many of more than
/// kNmsFewElements elements are therefore worked off in panels, whose tiles all multiprocessors
/// share; by the model of docs/performance.md the second launch pays from there on.
inline constexpr std::int64_t kNmsFewImages = 16;
inline constexpr std::int64_t kNmsFewElements = 256;

/// Pairs of elements of a batch up to which comparing them all takes less time than sorting, which
/// is six launches more: 10 us of a large device, by the same model.
inline constexpr std::int64_t kNmsRankedPairs = std::int64_t{1} << 27;

/// Side of the square tiles of the suppression mask: one bit a pair, a word of 64 bits a row.
inline constexpr std::int64_t kNmsTile = 64;

/// Boxes of one panel. Larger images are worked off panel by panel, so that the mask stays at 1 MB
/// an image however many boxes there are.
inline constexpr std::int64_t kNmsPanelBoxes = 4096;

/// Counters of one digit of the selection of the best candidates, and its bits.
inline constexpr int kNmsDigitBits = 11;
inline constexpr std::int64_t kNmsDigits = std::int64_t{1} << kNmsDigitBits;

/// Tiles on and above the diagonal of a square of `side` tiles.
constexpr std::int64_t triangle(std::int64_t side) {
  return side * (side + 1) / 2;
}

/// Pairs of tiles above each other in the same triangle; an odd tile of a column counts as a pair.
constexpr std::int64_t tile_pairs(std::int64_t side) {
  return (side + 1) * (side + 1) / 4;
}

/// Warps work on pairs of tiles, which read each column for two of them. Up to so many pairs are
/// worked on tile by tile instead: 4 warps on each of 132 multiprocessors.
inline constexpr std::int64_t kNmsFewTasks = 528;

/// Which kernels do the work once the candidates are known.
enum class NmsPath {
  warp,    ///< greedy, one warp an image
  block,   ///< greedy, one block an image, which sorts as well; not for rotated boxes
  chain,   ///< greedy, a block a tile of 64 sorted boxes, each waiting for those before it
  panels,  ///< greedy and weighted, any number: panels of sorted boxes, one after the other
  soft,    ///< soft methods: one block an image, nothing sorted
  matrix   ///< matrix methods: a device-wide sort before and one after
};

/// How elements get into their order.
enum class NmsOrdering {
  automatic,
  ranking,  ///< by a chain or panels, sorted by comparing all pairs of elements
  sorting   ///< one block an image where that is possible, and else a device-wide sort
};

struct NmsPlan {
  NmsShape shape;
  NmsPath path = NmsPath::block;
  bool ranks = false;           ///< a chain or panels whose elements are not sorted, but ranked
  std::int64_t candidates = 0;  ///< elements an image that can take part, M below
  bool has_all = false;         ///< one kernel sees all elements of an image and takes the best M
  bool select = false;      ///< M best elements are selected first, so that the rest is not sorted
  int element_bits = 0;     ///< bits of an element's number within its image
  int score_shift = 0;      ///< bits of a sort key below the score: an element's number, or none
  int sort_bits = 0;        ///< bits of a sort key that differ
  std::int64_t panels = 0;  ///< panels an image
  std::int64_t panel_boxes = 0;    ///< boxes of all panels but the last one
  std::int64_t panel_tiles = 0;    ///< mask tiles of a full panel
  int task_tiles = 0;              ///< tiles of a task
  std::int64_t panel_tasks = 0;    ///< tasks of a full panel
  std::int64_t chain_tiles = 0;    ///< tiles of a chain
  std::int64_t removed_words = 0;  ///< 32-bit words of removal flags an image

  // Offsets of the workspace's pieces; every array is [batch, ...].
  std::size_t histogram = 0;       ///< uint32 [kNmsDigits]
  std::size_t selection = 0;       ///< NmsSelection
  std::size_t keys[2] = {};        ///< uint64 [M], sort keys and their alternate buffer
  std::size_t order[2] = {};       ///< uint32 [M], elements, sorted along with the keys
  std::size_t sort_temporary = 0;  ///< of the sort
  std::size_t sort_temporary_bytes = 0;
  std::size_t boxes = 0;    ///< float32 [M, 4], corners in sorted order, or the numbers of rotated
                            ///< boxes but for their
  std::size_t angles = 0;   ///< float32 [M]
  std::size_t classes = 0;  ///< int64 [M], in sorted order
  std::size_t removed = 0;  ///< uint32 [removed_words], by sorted position
  std::size_t tile_words = 0;  ///< uint64 [chain_tiles, 2], what each tile of a chain publishes
  std::size_t tickets = 0;     ///< uint32 of the whole batch: tiles that blocks have taken
  std::size_t mask = 0;        ///< uint64 [panel_tiles, 64], tile after tile
  std::size_t mask_rows = 0;   ///< uint64 [panel_tiles], rows of a tile that have a bit
  std::size_t kept = 0;        ///< uint32 [M], sorted positions that are kept, in order
  std::size_t state = 0;       ///< NmsImageState
  std::size_t elements = 0;  ///< uint32 [M], elements in sorted order, where `order` is sorted anew
  std::size_t scores = 0;    ///< float32 [M], decayed scores
  std::size_t overlaps = 0;  ///< float32 [M], largest metric with an earlier box; where keys[1] is
  std::size_t suppressors = 0;  ///< uint32 [M], sorted position of the box that suppresses it
  std::size_t workspace_bytes = 0;

  /// A device-wide sort orders the candidates.
  bool sorts() const { return orders() && !ranks; }

  /// Kernels work on candidates in sorted order in memory.
  bool orders() const {
    return path == NmsPath::chain || path == NmsPath::panels || path == NmsPath::matrix;
  }
};

/// Progress of one image on the device.
struct NmsImageState {
  std::uint32_t candidates;      ///< elements that take part; they are the first in sorted order
  std::uint32_t kept;            ///< boxes kept so far
  std::uint32_t kept_in_panel;   ///< boxes kept in the latest panel
  std::uint32_t blocks_arrived;  ///< blocks that have stored their part of the panel's mask
};

/// Progress of the selection of the best elements of one image.
struct NmsSelection {
  std::uint64_t prefix;    ///< upper digits, as far as they are found, of the last selected number
  std::uint64_t last;      ///< the last number with that prefix
  std::uint32_t wanted;    ///< how many elements with that prefix are to be selected
  std::uint32_t arrived;   ///< blocks that have counted the present digit
  std::uint32_t selected;  ///< elements stored so far
  std::uint32_t settled;   ///< 1: those are all that there are; `last` is final
};

/// Fails where a size exceeds what the kernels index. Results are the same for every ordering;
/// tests ask for one of them.
Status make_nms_plan(const NmsShape& shape, NmsPlan* plan,
                     NmsOrdering ordering = NmsOrdering::automatic) noexcept;

/// The score threshold for raw scores: a raw score passes exactly where its activated one passes
/// the options' threshold.
struct NmsScoreThreshold {
  float value;
  bool inclusive;
};
NmsScoreThreshold raw_score_threshold(const NmsOptions& options) noexcept;

}  // namespace cudet
