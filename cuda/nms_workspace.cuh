// The workspace of a call of nms() as its kernels see it, and how their grids cover a batch.
#pragma once

#include "nms_overlap.cuh"
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
  std::int64_t* classes;
  std::uint32_t* removed;
  TileMask* mask;
  std::uint32_t* kept;
  NmsImageState* state;
  std::uint32_t* elements;
  float* scores;
  float* overlaps;
  std::uint32_t* suppressors;
  std::int64_t removed_words;
  std::int64_t panel_boxes;
  std::int64_t panel_tiles;
  std::int64_t panel_tasks;
  std::int64_t stop;   ///< boxes that an image keeps before its panels end
  bool limit_classes;  ///< what the panels keep is not final: classes may have a limit
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

/// The box at a sorted position of the batch, and none from `end` on.
template <bool kClassAware, bool kGeneral>
__device__ __forceinline__ NmsBox load_sorted_box(const NmsArguments& arguments,
                                                  const NmsWorkspace& workspace,
                                                  std::int64_t position, std::int64_t end) {
  const bool exists = position < end;
  const float4 corners = exists ? workspace.boxes[position] : no_box<kGeneral>();
  const std::int64_t class_id = kClassAware && exists ? workspace.classes[position] : 0;
  return make_nms_box<kGeneral>(arguments, corners, class_id);
}

}  // namespace cudet::device
