// What nms() derives from options and shapes before anything runs: checked sizes, the choice of
// kernels, and where the pieces of the workspace lie. Pure host arithmetic.
#pragma once

#include <cudet/nms.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Checks everything but the execution; on success `batch`, `n` and `capacity` are known.
struct NmsShape {
  std::int64_t batch = 0;
  std::int64_t n = 0;         ///< boxes an image
  std::int64_t capacity = 0;  ///< output slots an image, K in nms.h
};
Status check_nms_input(const NmsOptions& options, const NmsInput& input, bool with_data,
                       NmsShape* shape) noexcept;
Status check_nms_output(const NmsInput& input, const NmsOutput& output,
                        const NmsShape& shape) noexcept;

/// Boxes that one block holds, sorts and suppresses by itself.
inline constexpr std::int64_t kNmsBlockBoxes = 1024;

/// Side of the square tiles of the suppression mask: one bit a pair, a word of 64 bits a row.
inline constexpr std::int64_t kNmsTile = 64;

/// Boxes of one panel. Larger images are worked off panel by panel, so that the mask stays at 1 MB
/// an image however many boxes there are.
inline constexpr std::int64_t kNmsPanelBoxes = 4096;

/// Tiles on and above the diagonal of a square of `side` tiles.
constexpr std::int64_t triangle(std::int64_t side) {
  return side * (side + 1) / 2;
}

struct NmsPlan {
  NmsShape shape;
  bool one_block = true;  ///< an image fits in one block: a single launch, no workspace
  int sort_bits = 0;      ///< bits of a sort key that differ: 32 of score, the rest of image number
  std::int64_t panels = 0;         ///< panels an image
  std::int64_t panel_boxes = 0;    ///< boxes of all panels but the last one
  std::int64_t panel_tiles = 0;    ///< mask tiles of a full panel
  std::int64_t removed_words = 0;  ///< 32-bit words of removal flags an image

  // Offsets of the workspace's pieces; every array is [batch, ...].
  std::size_t keys[2] = {};        ///< uint64 [n], sort keys and their alternate buffer
  std::size_t order[2] = {};       ///< uint32 [n], box indices, sorted along with the keys
  std::size_t sort_temporary = 0;  ///< of the sort
  std::size_t sort_temporary_bytes = 0;
  std::size_t boxes = 0;    ///< float32 [n, 4], corners in sorted order
  std::size_t classes = 0;  ///< int64 [n], in sorted order
  std::size_t removed = 0;  ///< uint32 [removed_words], by sorted position
  std::size_t mask = 0;     ///< uint64 [panel_tiles, 64], tile after tile
  std::size_t kept = 0;     ///< uint32 [panel_boxes], sorted positions kept in this panel
  std::size_t state = 0;    ///< NmsImageState
  std::size_t workspace_bytes = 0;
};

/// Progress of one image on the device.
struct NmsImageState {
  std::uint32_t candidates;      ///< boxes whose score passes; they are the first in sorted order
  std::uint32_t kept;            ///< boxes kept so far
  std::uint32_t kept_in_panel;   ///< boxes kept in the latest panel
  std::uint32_t blocks_arrived;  ///< blocks that have stored their part of the panel's mask
};

/// Fails where a size exceeds what the kernels index.
Status make_nms_plan(const NmsShape& shape, bool class_aware, NmsPlan* plan) noexcept;

/// True where boxes of different classes must not suppress each other.
inline bool is_class_aware(const NmsOptions& options, const NmsInput& input) {
  return input.classes.present() && !options.class_agnostic;
}

}  // namespace cudet
