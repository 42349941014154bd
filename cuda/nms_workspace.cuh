// The workspace of a call of nms() as its kernels see it, and how their grids cover a batch.
#pragma once

#include "device/overlapped_kernel.cuh"
#include "nms_shared_boxes.cuh"
#include "nms_tile.cuh"

namespace cudet::device {

constexpr int kNmsThreads = 256;  // of the kernels that treat an element a thread

/// Entry of NmsWorkspace::suppressors of a box that nothing suppresses.
constexpr std::uint32_t kNoSuppressor = 0xffffffffu;

/// Every array is [batch, ...] as NmsPlan lays it out; a null pointer is one that the path that
/// was chosen has no use for.
struct NmsWorkspace {
  std::uint32_t* histogram;
  NmsSelection* selection;
  std::uint64_t* keys;
  std::uint32_t* order;
  float4* boxes;
  float* angles;
  std::int64_t* classes;
  std::uint32_t* removed;
  std::uint64_t* tile_words;
  std::uint32_t* tickets;
  TileMask* mask;
  TileMask* mask_rows;
  std::uint32_t* kept;
  NmsImageState* state;
  std::uint32_t* elements;
  float* scores;
  float* overlaps;
  std::uint32_t* suppressors;
  std::int64_t chain_tiles;
  std::int64_t removed_words;
  std::int64_t panel_boxes;
  std::int64_t panel_tiles;
  std::int64_t panel_tasks;
  int task_tiles;
  std::int64_t stop;   ///< boxes that an image keeps before its panels end
  bool limit_classes;  ///< what a chain or panels keep is not final: classes may have a limit
  int element_bits;    ///< of the number of an element in the key of a selected one
  int score_shift;     ///< where the score's key begins in a sort key
};

/// The image and the block within it that blockIdx.x stands for.
struct BlockOfImage {
  std::int64_t image;
  std::int64_t block;
};
__device__ __forceinline__ BlockOfImage block_of_image(unsigned blocks_per_image) {
  return {blockIdx.x / blocks_per_image, blockIdx.x % blocks_per_image};
}

/// Where a kernel left the box of a sorted position of the batch for later ones.
template <NmsTest kTest>
__device__ __forceinline__ void store_sorted_numbers(const NmsWorkspace& workspace,
                                                     std::int64_t position,
                                                     const BoxNumbers& numbers) {
  workspace.boxes[position] = numbers.first;
  if constexpr (kTest == NmsTest::rotated) workspace.angles[position] = numbers.angle;
}
template <NmsTest kTest>
__device__ __forceinline__ BoxNumbers sorted_numbers(const NmsWorkspace& workspace,
                                                     std::int64_t position) {
  return {workspace.boxes[position], kTest == NmsTest::rotated ? workspace.angles[position] : 0.0f};
}

/// The box at a sorted position of the batch, and none from `end` on.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ NmsBox load_sorted_box(const NmsArguments& arguments,
                                                  const NmsWorkspace& workspace,
                                                  std::int64_t position, std::int64_t end) {
  const bool exists = position < end;
  const BoxNumbers numbers = exists ? sorted_numbers<kTest>(workspace, position) : no_box<kTest>();
  const std::int64_t class_id = kClassAware && exists ? workspace.classes[position] : 0;
  return make_nms_box<kTest>(arguments, numbers, class_id);
}

/// The box (and class and number) of a candidate at its sorted position of the batch.
template <bool kClassAware, NmsTest kTest>
__device__ __forceinline__ void store_candidate(const NmsArguments& arguments,
                                                const NmsWorkspace& workspace,
                                                const NmsImage& image, unsigned element,
                                                std::int64_t position) {
  store_sorted_numbers<kTest>(
      workspace, position, load_nms_box<kTest>(arguments, box_position(arguments, image, element)));
  if (workspace.elements != nullptr) workspace.elements[position] = element;
  if constexpr (kClassAware) {
    workspace.classes[position] = load_class(arguments, image, element);
  }
}

/// Number `i` of everything that has to be set at the beginning: outputs of an element, a word of
/// flags, a tile's words, the suppressor of a candidate, an output slot; and with the first one the
/// image's state.
__device__ __forceinline__ void initialise_item(const NmsArguments& arguments,
                                                const NmsWorkspace& workspace,
                                                const NmsImage& image, std::int64_t i) {
  if (i < arguments.elements) write_not_kept(arguments, image, static_cast<unsigned>(i));
  if (workspace.state == nullptr) return;  // one block does the rest
  if (i < workspace.removed_words) {
    workspace.removed[image.index * workspace.removed_words + i] = 0;
  }
  if (i < 2 * workspace.chain_tiles) {
    workspace.tile_words[image.index * 2 * workspace.chain_tiles + i] = 0;
  }
  if (workspace.suppressors != nullptr && i < arguments.candidates) {
    workspace.suppressors[image.index * arguments.candidates + i] = kNoSuppressor;
  }
  if (i < arguments.capacity) write_padding(arguments, image.index, i);
  if (i == 0) {
    workspace.state[image.index] = NmsImageState();
    if (image.index == 0 && workspace.tickets != nullptr) *workspace.tickets = 0;
    if (arguments.out.count != nullptr) arguments.out.count[image.index] = 0;
  }
}

}  // namespace cudet::device
