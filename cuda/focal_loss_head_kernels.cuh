// Sigmoid focal loss with class targets and the usual options, in the layout of a detector's head.
//
// A warp takes one anchor's tile of neighbouring positions and of a few classes: per class one
// vector of 16 bytes a lane, 2048 elements in all. Warps of a block that differ in their classes
// alone share the targets, which are read once for all of them. A tile without a positive asks no
// questions. Counts as in focal_loss_rows_kernels.cuh, and a position's 4 or 8 bytes of target.
#pragma once

#include "device/bitwise_select.cuh"
#include "device/shared_memory.cuh"
#include "focal_loss_parameters.cuh"

namespace cudet::device {

/// Blocks of the largest size that a multiprocessor is to hold.
constexpr int kHeadBlocks = kFocalBlocks * kFocalBlockThreads / kFocalHeadBlockThreads;

template <class T>
constexpr unsigned kHeadPositions = kWarpSize* kVectorElements<T>;
template <class T>
constexpr unsigned kHeadClasses = static_cast<unsigned>(kFocalChunk) / kHeadPositions<T>;

/// The targets of a tile's positions, for the warps that share them.
template <class T>
struct HeadTargets {
  int row_class[kHeadPositions<T>];  ///< kIgnored past the last position
  // One word for every 32 positions.
  unsigned ignored[kHeadPositions<T> / kWarpSize];  ///< bit p: position p of the 32 takes no part
  unsigned marked[kHeadPositions<T> / kWarpSize];   ///< bit w: warp w of those has a positive there
};

/// A warp's tile.
struct HeadTile {
  unsigned plane;     ///< of the tile's first class, in [B, A C]
  unsigned row;       ///< of the tile's first position, in [B, A, H W]
  unsigned position;  ///< the tile's first, in H W
  unsigned positions;
  int first_class;
  int last_class;
};

/// `tile` counts the tiles of positions of all levels. Where class_tile is too large, the tile's
/// last class comes before its first.
template <class T>
__device__ __forceinline__ HeadTile head_tile(const SigmoidFocalParameters& parameters,
                                              const FocalLevelParameters& level, unsigned tile,
                                              unsigned class_tile) {
  const unsigned classes = static_cast<unsigned>(parameters.classes);
  const unsigned level_tile = tile - level.first_chunk / parameters.class_tiles;
  const unsigned plane_tiles = (level.positions + kHeadPositions<T> - 1) / kHeadPositions<T>;
  const unsigned image_anchor = level_tile / plane_tiles;
  const unsigned first_class = class_tile * kHeadClasses<T>;
  HeadTile result;
  result.position = (level_tile - image_anchor * plane_tiles) * kHeadPositions<T>;
  result.positions = min(kHeadPositions<T>, level.positions - result.position);
  result.plane = image_anchor * classes + first_class;
  result.row = image_anchor * level.positions + result.position;
  result.first_class = static_cast<int>(first_class);
  result.last_class = static_cast<int>(min(first_class + kHeadClasses<T>, classes)) - 1;
  return result;
}

/// Reads the targets of a tile's positions, together with the other warps that share them: this is
/// thread `thread` of theirs. `first_tile` is the first one's tile of classes.
template <class T>
__device__ __forceinline__ void stage_targets(const SigmoidFocalParameters& parameters,
                                              const FocalLevelParameters& level,
                                              const HeadTile& tile, unsigned first_tile,
                                              unsigned thread, HeadTargets<T>& targets) {
  const unsigned sharing = parameters.block_class_tiles;
  for (unsigned p = thread; p < kHeadPositions<T>; p += sharing * kWarpSize) {
    int row_class = kIgnored;
    if (p < tile.positions) {
      row_class = class_of_target(parameters,
                                  load_target(level.targets, parameters.target_type, tile.row + p));
    }
    targets.row_class[p] = row_class;
    unsigned marked = 0;
    if (row_class >= 0) {
      // Wraps round, to a large number, where the class belongs to a block before.
      const unsigned sharer = static_cast<unsigned>(row_class) / kHeadClasses<T> - first_tile;
      if (sharer < sharing) marked = 1u << sharer;
    }
    const unsigned ignored = __ballot_sync(kFullWarp, static_cast<int>(row_class == kIgnored));
    if (__any_sync(kFullWarp, static_cast<int>(marked)) != 0) marked = warp_or(marked);
    if (p % kWarpSize == 0) {
      targets.ignored[p / kWarpSize] = ignored;
      targets.marked[p / kWarpSize] = marked;
    }
  }
}

/// What a lane has of a tile: parts of four positions.
struct HeadLane {
  unsigned first;     ///< position of the tile
  unsigned step;      ///< from a position of a part to the next
  unsigned part;      ///< from a part to the next, by its positions
  unsigned existing;  ///< bit k: the lane's position k exists
  unsigned ignored;   ///< bit k: it does not, or takes no part
};
constexpr unsigned kHeadPart = 4;

/// A lane's positions lie together where planes start at whole vectors and nothing is marked, those
/// of a part where planes start at one, and otherwise none: then a warp reads without gaps one
/// element at a time. Fixed by shape and targets, so that the sum's tree is.
template <class T>
__device__ __forceinline__ HeadLane head_lane(unsigned positions, const HeadTile& tile,
                                              const HeadTargets<T>& targets, bool marked) {
  constexpr unsigned kCount = kVectorElements<T>;
  const unsigned index = threadIdx.x % kWarpSize;
  HeadLane lane = {index, kWarpSize, kWarpSize, 0, 0};
  if (positions % kCount == 0 && !marked) {
    lane = {index * kCount, 1, 1, 0, 0};
  } else if (positions % kHeadPart == 0) {
    lane = {index * kHeadPart, 1, kWarpSize, 0, 0};
  }
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k) {
    const unsigned position =
        lane.first + k / kHeadPart * kHeadPart * lane.part + k % kHeadPart * lane.step;
    if (position < tile.positions) lane.existing |= 1u << k;
    if (targets.row_class[position] == kIgnored) lane.ignored |= 1u << k;
  }
  return lane;
}

/// Four elements of a class, of which `plane` is the first; 0 past the last position. kTogether
/// says that they are neighbours, kVector that these are one access.
template <bool kTogether, bool kVector, class T>
__device__ __forceinline__ void load_part(const T* plane, unsigned existing,
                                          float (&x)[kHeadPart]) {
#pragma unroll
  for (unsigned k = 0; k < kHeadPart; ++k)
    x[k] = 0.0f;
  if constexpr (kVector) {
    if ((existing & 1u) != 0u) load_streaming_vector(plane, x);
  } else {
#pragma unroll
    for (unsigned k = 0; k < kHeadPart; ++k) {
      if ((existing >> k & 1u) != 0u) x[k] = to_float(plane[kTogether ? k : k * kWarpSize]);
    }
  }
}
template <bool kTogether, bool kVector, class T>
__device__ __forceinline__ void store_part(T* plane, unsigned existing,
                                           const float (&x)[kHeadPart]) {
  if constexpr (kVector) {
    if ((existing & 1u) != 0u) store_streaming_vector(plane, x);
  } else {
#pragma unroll
    for (unsigned k = 0; k < kHeadPart; ++k) {
      if ((existing >> k & 1u) != 0u) plane[kTogether ? k : k * kWarpSize] = from_float<T>(x[k]);
    }
  }
}

/// The positives of a tile among every 32nd of its positions: their classes, of which bit c stands
/// for first_class + c, and how many there are.
struct HeadPositives {
  unsigned classes;
  unsigned count;
};
template <class T>
__device__ __forceinline__ HeadPositives head_positives(int last_class,
                                                        const HeadTargets<T>& targets) {
  const int first_class =
      last_class / static_cast<int>(kHeadClasses<T>) * static_cast<int>(kHeadClasses<T>);
  HeadPositives positives = {0, 0};
#pragma unroll 1
  for (unsigned p = threadIdx.x % kWarpSize; p < kHeadPositions<T>; p += kWarpSize) {
    const int row_class = targets.row_class[p];
    if (row_class >= first_class && row_class <= last_class) {
      positives.classes |= 1u << (row_class - first_class);
      ++positives.count;
    }
  }
  return positives;
}

/// Where a warp's tile lies in memory; `gradient` is null where that is not wanted.
template <class T>
struct HeadPlanes {
  const T* logits;
  T* gradient;
  unsigned positions;  ///< from a class to the next

  __device__ __forceinline__ HeadPlanes(const FocalLevelParameters& level, const HeadTile& tile,
                                        unsigned lane_first)
      : logits(static_cast<const T*>(level.logits)),
        gradient(static_cast<T*>(level.gradient)),
        positions(level.positions) {
    const std::int64_t offset =
        static_cast<std::int64_t>(tile.plane) * positions + tile.position + lane_first;
    logits += offset;
    if (gradient != nullptr) gradient += offset;
  }
};

/// All bits of the elements of a vector's word that take no part, by a lane's bits `ignored`.
template <class T>
__device__ __forceinline__ unsigned ignored_word(unsigned ignored, unsigned word) {
  if constexpr (sizeof(T) == 4) {
    return (ignored >> word & 1u) != 0u ? 0xffffffffu : 0u;
  } else {
    const unsigned lower = (ignored >> 2 * word & 1u) != 0u ? 0xffffu : 0u;
    return (ignored >> (2 * word + 1) & 1u) != 0u ? lower | 0xffff0000u : lower;
  }
}

/// Sum of the losses of a tile without positives that a lane reads in vectors; bit k of `ignored`
/// says that the lane's position k takes no part.
template <bool kSquare, bool kIgnoring, bool kGradient, class T>
__device__ __forceinline__ float plain_tile(const SigmoidFocalParameters& parameters,
                                            HeadPlanes<T> planes, int classes, unsigned ignored,
                                            float weight) {
  [[maybe_unused]] constexpr int kUnroll = kSquare ? 4 : 1;
  const uint4 masks = {ignored_word<T>(ignored, 0), ignored_word<T>(ignored, 1),
                       ignored_word<T>(ignored, 2), ignored_word<T>(ignored, 3)};
  float sum = 0.0f;
#pragma unroll kUnroll
  for (int c = 0; c < classes; ++c) {
    uint4 words = __ldcs(reinterpret_cast<const uint4*>(planes.logits));
    if constexpr (kIgnoring) {  // a logit of minus infinity has loss and gradient 0
      constexpr unsigned kNothing = minus_infinity_word(T());
      words.x = bitwise_select(masks.x, kNothing, words.x);
      words.y = bitwise_select(masks.y, kNothing, words.y);
      words.z = bitwise_select(masks.z, kNothing, words.z);
      words.w = bitwise_select(masks.w, kNothing, words.w);
    }
    float x[kVectorElements<T>];
    unpack_vector<T>(words, x);
    sum = fmaf(parameters.negative_weight, plain_negatives<T, kSquare>(parameters, weight, x), sum);
    planes.logits += planes.positions;
    if constexpr (kGradient) {
      store_streaming_vector(planes.gradient, x);
      planes.gradient += planes.positions;
    }
  }
  return sum;
}

/// Any other tile. Its sums are those of plain_tile() where both can compute them.
template <bool kTogether, bool kVector, bool kSquare, class T>
__device__ __forceinline__ FocalLaneSum marked_tile(const SigmoidFocalParameters& parameters,
                                                    const FocalLevelParameters& level,
                                                    const HeadTile& tile,
                                                    const HeadTargets<T>& targets, bool marked,
                                                    float factor) {
  const HeadLane lane = head_lane(level.positions, tile, targets, marked);
  const float weight = factor * parameters.negative_weight;
  const T* const logits = static_cast<const T*>(level.logits);
  T* const gradient = static_cast<T*>(level.gradient);
  unsigned element = tile.plane * level.positions + tile.position + lane.first;
  // Vectors are read here only where parts do not lie together.
  const unsigned part = kTogether && !kVector ? lane.part : kWarpSize;
  const unsigned lane_bits = lane.existing << kVectorElements<T> | lane.ignored;
  // Registers are short in this loop: one bit more ends it, and positives are counted after it.
  unsigned classes = warp_or(head_positives(tile.last_class, targets).classes) |
                     1u << (tile.last_class + 1 - tile.first_class);
  FocalLaneSum result;
  int c = tile.first_class;
#pragma unroll 1
  for (; classes != 1; ++c, classes >>= 1) {
    float sum = 0.0f;
#pragma unroll 1
    for (unsigned first = 0; first < kVectorElements<T>; first += kHeadPart) {
      const unsigned ignored = lane_bits >> first;
      const unsigned existing = ignored >> kVectorElements<T>;
      const unsigned offset = first * part;
      float x[kHeadPart];
      load_part<kTogether, kVector>(logits + (element + offset), existing, x);
      if ((classes & 1u) != 0u) {
#pragma unroll
        for (unsigned k = 0; k < kHeadPart; ++k) {
          const bool positive =
              targets.row_class[lane.first + offset + (kTogether ? k : k * kWarpSize)] == c;
          x[k] = marked_element<T, kSquare>(parameters, x[k], positive, (ignored >> k & 1u) != 0u,
                                            factor, sum);
        }
      } else {
#pragma unroll
        for (unsigned k = 0; k < kHeadPart; ++k)
          x[k] = (ignored >> k & 1u) != 0u ? -INFINITY : x[k];
        sum = plain_negatives<T, kSquare>(parameters, weight, x, sum);
      }
      if (gradient != nullptr) {
        store_part<kTogether, kVector>(gradient + (element + offset), existing, x);
      }
    }
    result.loss = (classes & 1u) != 0u ? result.loss + sum
                                       : fmaf(parameters.negative_weight, sum, result.loss);
    element += level.positions;
  }
  result.positives = head_positives(c - 1, targets).count;
  return result;
}

/// A tile without positives whose planes begin at whole vectors.
template <bool kSquare, class T>
__device__ __forceinline__ FocalLaneSum vector_tile(const SigmoidFocalParameters& parameters,
                                                    const FocalLevelParameters& level,
                                                    const HeadTile& tile,
                                                    const HeadTargets<T>& targets, float factor) {
  constexpr unsigned kCount = kVectorElements<T>;
  const unsigned first = threadIdx.x % kWarpSize * kCount;
  const bool exists = first < tile.positions;
  const unsigned ignored =
      targets.ignored[first / kWarpSize] >> first % kWarpSize & ((1u << kCount) - 1u);
  const bool ignoring = __any_sync(kFullWarp, static_cast<int>(exists && ignored != 0)) != 0;
  FocalLaneSum result;
  if (!exists) return result;
  const HeadPlanes<T> planes(level, tile, first);
  const int classes = tile.last_class - tile.first_class + 1;
  const float weight = factor * parameters.negative_weight;
  if (planes.gradient == nullptr) {
    result.loss = plain_tile<kSquare, true, false>(parameters, planes, classes, ignored, weight);
  } else if (ignoring) {
    result.loss = plain_tile<kSquare, true, true>(parameters, planes, classes, ignored, weight);
  } else {
    result.loss = plain_tile<kSquare, false, true>(parameters, planes, classes, ignored, weight);
  }
  return result;
}

/// Loss and gradient of a warp's tile; the warp is number `sharer` of those that share the targets.
/// Whether vectors are read hangs on addresses too, and must not show in the result.
template <bool kSquare, class T>
__device__ __forceinline__ FocalLaneSum head_tile_sum(const SigmoidFocalParameters& parameters,
                                                      const FocalLevelParameters& level,
                                                      const HeadTile& tile, unsigned sharer,
                                                      const HeadTargets<T>& targets) {
  const float factor = gradient_factor(parameters);
  const unsigned word = threadIdx.x % kWarpSize;
  const bool marked =
      __any_sync(kFullWarp, static_cast<int>(word < kHeadPositions<T> / kWarpSize &&
                                             (targets.marked[word] >> sharer & 1u) != 0u)) != 0;
  if (level.positions % kHeadPart != 0) {
    return marked_tile<false, false, kSquare>(parameters, level, tile, targets, marked, factor);
  }
  if (!level.aligned) {
    return marked_tile<true, false, kSquare>(parameters, level, tile, targets, marked, factor);
  }
  if (marked || level.positions % kVectorElements<T> != 0) {
    return marked_tile<true, true, kSquare>(parameters, level, tile, targets, marked, factor);
  }
  return vector_tile<kSquare>(parameters, level, tile, targets, factor);
}

/// One block all tiles of classes of a few tiles of positions, or where they are many some of one.
template <class T, bool kSquare>
__global__ void __launch_bounds__(kFocalHeadBlockThreads, kHeadBlocks)
    focal_head_kernel(const __grid_constant__ SigmoidFocalParameters parameters) {
  CUDET_DYNAMIC_SHARED(uint4, memory);
  const unsigned sharing = parameters.block_class_tiles;
  const unsigned groups = parameters.block_groups;
  const unsigned warp = threadIdx.x / kWarpSize;
  const unsigned block_tile = warp / sharing;  // of positions, in the block
  const unsigned sharer = warp - block_tile * sharing;
  const unsigned block_tiles = parameters.block_tiles;
  const unsigned block = blockIdx.x / groups;
  const unsigned first_tile = (blockIdx.x - block * groups) * sharing;  // of classes
  const unsigned tile_index = block * block_tiles + block_tile;
  const unsigned chunk = tile_index * parameters.class_tiles;
  HeadTargets<T>& targets = reinterpret_cast<HeadTargets<T>*>(memory)[block_tile];
  const bool exists = block_tile < block_tiles && chunk < parameters.chunks;
  const FocalLevelParameters& level =
      parameters.levels[exists ? level_of_chunk(parameters, chunk) : 0];
  // Where the warp's sum goes, kept here since registers are short.
  CUDET_SHARED_ARRAY(unsigned, partials, kFocalHeadBlockThreads / kWarpSize);
  HeadTile tile = {};
  unsigned partial = parameters.chunks;  // none
  if (exists) {
    tile = head_tile<T>(parameters, level, tile_index, first_tile + sharer);
    stage_targets(parameters, level, tile, first_tile, sharer * kWarpSize + threadIdx.x % kWarpSize,
                  targets);
    if (tile.first_class <= tile.last_class) partial = chunk + first_tile + sharer;
  }
  if (threadIdx.x % kWarpSize == 0) partials[warp] = partial;
  __syncthreads();
  FocalLaneSum lane;
  if (partial < parameters.chunks)
    lane = head_tile_sum<kSquare>(parameters, level, tile, sharer, targets);
  reduce(parameters.reduction, partials[warp], lane.loss, lane.positives);
}

}  // namespace cudet::device
