// Sigmoid focal loss with class targets and the usual options, in the layout of a detector's head.
//
// A warp takes one anchor's tile of 128 neighbouring positions and 16 classes: it reads their
// targets once, and per class one vector of four neighbours a lane. Classes of which none is
// positive ask no questions. Counts as in focal_loss_rows_kernels.cuh, and 4 or 8 bytes of targets
// to 16 elements.
#pragma once

#include "focal_loss_parameters.cuh"

namespace cudet::device {

constexpr unsigned kHeadVector = 4;
static_assert(kFocalHeadPositions == kWarpSize * kHeadVector);

/// Blocks that a multiprocessor is to hold: one less than in rows where this kernel would spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int kSquareHeadBlocks = 5;
#else
constexpr int kSquareHeadBlocks = kSquareBlocks;
#endif
template <bool kSquare>
constexpr int kHeadBlocks = kSquare ? kSquareHeadBlocks : kFocalBlocks<false>;

/// A warp's tile.
struct HeadTile {
  unsigned plane;     ///< of the tile's first class, in [B, A C]
  unsigned row;       ///< of position 0 of this anchor, in [B, A, H W]
  unsigned position;  ///< the lane's first
  unsigned step;      ///< from one of its positions to the next
  unsigned count;     ///< of its positions that exist
  int first_class;
  int last_class;
};

/// Positions lie together in a lane where the shape lets every plane start at a whole vector,
/// otherwise every 32nd belongs to it: then a warp reads without gaps one element at a time.
__device__ __forceinline__ HeadTile head_tile(const SigmoidFocalParameters& parameters,
                                              const FocalLevelParameters& level, unsigned chunk) {
  constexpr unsigned kPositions = static_cast<unsigned>(kFocalHeadPositions);
  constexpr unsigned kClasses = static_cast<unsigned>(kFocalHeadClasses);
  const unsigned classes = static_cast<unsigned>(parameters.classes);
  const unsigned position_tiles = (level.positions + kPositions - 1) / kPositions;
  const unsigned class_tiles = (classes + kClasses - 1) / kClasses;
  const unsigned position_tile = chunk % position_tiles;
  const unsigned class_tile = chunk / position_tiles % class_tiles;
  const unsigned image_anchor = chunk / position_tiles / class_tiles;
  const unsigned first_class = class_tile * kClasses;
  const unsigned lane = threadIdx.x % kWarpSize;
  const bool together = level.positions % kHeadVector == 0;
  HeadTile tile;
  tile.plane = image_anchor * classes + first_class;
  tile.row = image_anchor * level.positions;
  tile.position = position_tile * kPositions + (together ? kHeadVector * lane : lane);
  tile.step = together ? 1 : kWarpSize;
  tile.count = 0;
  if (tile.position < level.positions) {
    tile.count = min((level.positions - tile.position + tile.step - 1) / tile.step, kHeadVector);
  }
  tile.first_class = static_cast<int>(first_class);
  tile.last_class = static_cast<int>(min(first_class + kClasses, classes)) - 1;
  return tile;
}

/// The lane's four elements of one class, which begin at `plane`; 0 past the last position. kVector
/// says that they are a vector.
template <class T, bool kVector>
__device__ __forceinline__ void load_positions(const T* plane, const HeadTile& tile,
                                               float (&x)[kHeadVector]) {
  if constexpr (kVector) {
    load_streaming_vector(plane, x);
  } else {
#pragma unroll
    for (unsigned k = 0; k < kHeadVector; ++k)
      x[k] = k < tile.count ? to_float(plane[k * tile.step]) : 0.0f;
  }
}
template <class T, bool kVector>
__device__ __forceinline__ void store_positions(T* plane, const HeadTile& tile,
                                                const float (&x)[kHeadVector]) {
  if constexpr (kVector) {
    store_streaming_vector(plane, x);
  } else {
#pragma unroll
    for (unsigned k = 0; k < kHeadVector; ++k) {
      if (k < tile.count) plane[k * tile.step] = from_float<T>(x[k]);
    }
  }
}

/// Four neighbouring targets, of which the first is aligned to 16 bytes.
__device__ __forceinline__ void load_vector(const int* address, int (&values)[kHeadVector]) {
  const int4 vector = __ldg(reinterpret_cast<const int4*>(address));
  values[0] = vector.x;
  values[1] = vector.y;
  values[2] = vector.z;
  values[3] = vector.w;
}
__device__ __forceinline__ void load_vector(const long long* address,
                                            long long (&values)[kHeadVector]) {
#pragma unroll
  for (unsigned k = 0; k < kHeadVector; k += 2) {
    const longlong2 pair = __ldg(reinterpret_cast<const longlong2*>(address + k));
    values[k] = pair.x;
    values[k + 1] = pair.y;
  }
}

/// The classes of the lane's rows; those past the last position are ignored.
template <class Integer>
__device__ __forceinline__ void load_targets(const SigmoidFocalParameters& parameters,
                                             const FocalLevelParameters& level,
                                             const HeadTile& tile, int (&row_class)[kHeadVector]) {
  const Integer* const targets = static_cast<const Integer*>(level.targets) + tile.row;
  Integer values[kHeadVector] = {};
  if (level.targets_aligned && tile.step == 1) {
    if (tile.count != 0) load_vector(targets + tile.position, values);
  } else {
#pragma unroll
    for (unsigned k = 0; k < kHeadVector; ++k) {
      if (k < tile.count) values[k] = __ldg(targets + tile.position + k * tile.step);
    }
  }
#pragma unroll
  for (unsigned k = 0; k < kHeadVector; ++k)
    row_class[k] = k < tile.count ? class_of_target(parameters, values[k]) : kIgnored;
}

/// What a warp has to look at beside the logits of its tile; the same in all lanes.
struct TileMarks {
  unsigned positive_classes;  ///< bit c: class first_class + c has a positive element
  bool any_ignored;
};
__device__ __forceinline__ TileMarks marks_of_tile(const HeadTile& tile,
                                                   const int (&row_class)[kHeadVector]) {
  unsigned classes = 0;
  bool ignored = false;
#pragma unroll
  for (unsigned k = 0; k < kHeadVector; ++k) {
    ignored = ignored || (k < tile.count && row_class[k] == kIgnored);
    if (row_class[k] >= tile.first_class && row_class[k] <= tile.last_class) {
      classes |= 1u << (row_class[k] - tile.first_class);
    }
  }
  TileMarks marks = {0, __any_sync(kFullWarp, static_cast<int>(ignored)) != 0};
  if (__any_sync(kFullWarp, static_cast<int>(classes)) != 0)
    marks.positive_classes = warp_or(classes);
  return marks;
}

/// All classes of the tile; kIgnoring says that a lane of the warp has an ignored row.
template <class T, bool kSquare, bool kIgnoring, bool kVector>
__device__ __forceinline__ FocalLaneSum tile_classes(const SigmoidFocalParameters& parameters,
                                                     const FocalLevelParameters& level,
                                                     const HeadTile& tile, float factor,
                                                     unsigned positive_classes,
                                                     const int (&row_class)[kHeadVector]) {
  const float weight = factor * parameters.negative_weight;
  const unsigned positions = level.positions;
  const bool with_gradient = level.gradient != nullptr;
  const std::int64_t offset = static_cast<std::int64_t>(tile.plane) * positions + tile.position;
  const T* logits = static_cast<const T*>(level.logits) + offset;
  T* gradient = static_cast<T*>(level.gradient) + (with_gradient ? offset : 0);
  FocalLaneSum lane;
#pragma unroll 1
  for (int c = tile.first_class; c <= tile.last_class; ++c, positive_classes >>= 1) {
    float x[kHeadVector];
    load_positions<T, kVector>(logits, tile, x);
    if ((positive_classes & 1u) != 0u) {
      float sum = 0.0f;
#pragma unroll
      for (unsigned k = 0; k < kHeadVector; ++k) {
        const bool positive = row_class[k] == c;
        x[k] = marked_element<T, kSquare>(parameters, x[k], positive, row_class[k] == kIgnored,
                                          factor, sum);
        lane.positives += positive ? 1u : 0u;
      }
      lane.loss += sum;
    } else {
      if constexpr (kIgnoring) {
#pragma unroll
        for (unsigned k = 0; k < kHeadVector; ++k)
          x[k] = row_class[k] == kIgnored ? -INFINITY : x[k];  // loss and gradient 0
      }
      lane.loss = fmaf(parameters.negative_weight,
                       plain_negatives<T, kSquare>(parameters, weight, x), lane.loss);
    }
    logits += positions;
    if (with_gradient) {
      store_positions<T, kVector>(gradient, tile, x);
      gradient += positions;
    }
  }
  return lane;
}

template <class T, bool kSquare>
__device__ __forceinline__ FocalLaneSum head_chunk(const SigmoidFocalParameters& parameters,
                                                   unsigned chunk) {
  const FocalLevelParameters& level = parameters.levels[level_of_chunk(parameters, chunk)];
  const HeadTile tile = head_tile(parameters, level, chunk - level.first_chunk);
  const float factor = gradient_factor(parameters);
  int row_class[kHeadVector];
  if (parameters.target_type == DataType::int64) {
    load_targets<long long>(parameters, level, tile, row_class);
  } else {
    load_targets<int>(parameters, level, tile, row_class);
  }
  const TileMarks marks = marks_of_tile(tile, row_class);
  // Whether lanes read vectors must not show in the result: it hangs on addresses.
  if (level.aligned && tile.step == 1) {
    if (tile.count == 0) return FocalLaneSum();
    return marks.any_ignored
               ? tile_classes<T, kSquare, true, true>(parameters, level, tile, factor,
                                                      marks.positive_classes, row_class)
               : tile_classes<T, kSquare, false, true>(parameters, level, tile, factor,
                                                       marks.positive_classes, row_class);
  }
  return tile_classes<T, kSquare, true, false>(parameters, level, tile, factor,
                                               marks.positive_classes, row_class);
}

/// One warp a tile of kFocalHeadClasses x kFocalHeadPositions elements.
template <class T, bool kSquare>
__global__ void __launch_bounds__(kFocalBlockThreads, kHeadBlocks<kSquare>)
    focal_head_kernel(const __grid_constant__ SigmoidFocalParameters parameters) {
  const unsigned chunk = blockIdx.x * (blockDim.x / kWarpSize) + threadIdx.x / kWarpSize;
  FocalLaneSum lane;
  if (chunk < parameters.chunks) lane = head_chunk<T, kSquare>(parameters, chunk);
  reduce(parameters.reduction, chunk, lane.loss, lane.positives);
}

}  // namespace cudet::device
