// Sigmoid focal loss with class targets and the usual options, the classes of a row lying together.
//
// Bytes      one read of the logits and one write of the gradient; targets 4 or 8 bytes a row
// Arithmetic a negative element with gamma = 2 takes 21 instructions for float32 and 19 for 16-bit
//            logits, 2 of them special functions; conversions take 2 more, the loop 1
// A warp looks at the targets of its chunk first: mostly all rows are background, and then its loop
// asks no questions. Otherwise every vector of 16 bytes asks whether it holds a positive.
#pragma once

#include "focal_loss_parameters.cuh"

namespace cudet::device {

/// True where one of the rows `first` ... `last` has a positive element or is ignored; the same in
/// all lanes.
__device__ __forceinline__ bool any_marked_row(const SigmoidFocalParameters& parameters,
                                               const FocalLevelParameters& level, unsigned first,
                                               unsigned last) {
  bool marked = false;
  for (unsigned row = first + threadIdx.x % kWarpSize; row <= last; row += kWarpSize) {
    const long long target = load_target(level.targets, parameters.target_type, row);
    marked = marked || class_of_target(parameters, target) != kBackground;
  }
  return __any_sync(kFullWarp, static_cast<int>(marked)) != 0;
}

/// Which of a vector's elements are positive, and which take no part; one bit each.
struct VectorMarks {
  unsigned positive;
  unsigned ignored;
};

/// Bits `begin` ... `end` - 1, where begin <= end < 32.
__device__ __forceinline__ unsigned bit_range(unsigned begin, unsigned end) {
  return (1u << end) - (1u << begin);
}

/// Adds the marks of the part of a row whose class `c` is the vector's element `begin`.
__device__ __forceinline__ void mark_row(const SigmoidFocalParameters& parameters,
                                         const FocalLevelParameters& level, unsigned row,
                                         unsigned c, unsigned begin, unsigned end,
                                         VectorMarks& marks) {
  const int row_class =
      class_of_target(parameters, load_target(level.targets, parameters.target_type, row));
  if (row_class == kIgnored) marks.ignored |= bit_range(begin, end);
  // Wraps round, to a large number, where the class lies before c or is none.
  const unsigned position = static_cast<unsigned>(row_class) - c;
  if (position < end - begin) marks.positive |= 1u << (begin + position);
}

/// Marks of the vector that starts at class `c` of a row and has `count` elements in the level.
/// With C >= kCount it reaches into one more row at most.
template <unsigned kCount>
__device__ __forceinline__ VectorMarks marks_of_vector(const SigmoidFocalParameters& parameters,
                                                       const FocalLevelParameters& level,
                                                       unsigned row, unsigned c, unsigned count) {
  VectorMarks marks = {0, bit_range(count, kCount)};
  if (count == 0) return marks;
  const unsigned in_row = min(count, static_cast<unsigned>(parameters.classes) - c);
  mark_row(parameters, level, row, c, 0, in_row, marks);
  if (in_row < count) mark_row(parameters, level, row + 1, 0, in_row, count, marks);
  return marks;
}

/// Loads what the level has of a vector; 0 for the rest.
template <class T, unsigned kCount>
__device__ __forceinline__ void load_part(const T* address, bool whole, unsigned count,
                                          float (&x)[kCount]) {
  if (whole) {
    load_streaming_vector(address, x);
    return;
  }
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k)
    x[k] = k < count ? to_float(address[k]) : 0.0f;
}
template <class T, unsigned kCount>
__device__ __forceinline__ void store_part(T* address, bool whole, unsigned count,
                                           const float (&x)[kCount]) {
  if (whole) {
    store_streaming_vector(address, x);
    return;
  }
#pragma unroll
  for (unsigned k = 0; k < kCount; ++k) {
    if (k < count) address[k] = from_float<T>(x[k]);
  }
}

/// A chunk whose elements are all negative, whole and aligned; the sum of its losses. `index`
/// is the lane's first element, `weight` the factor of its gradients.
template <class T, bool kSquare, bool kGradient>
__device__ __forceinline__ float plain_rows_chunk(const SigmoidFocalParameters& parameters,
                                                  const FocalLevelParameters& level, unsigned index,
                                                  float weight) {
  constexpr unsigned kCount = kVectorElements<T>;
  constexpr unsigned kStep = kWarpSize * kCount;
  [[maybe_unused]] constexpr int kUnroll = kSquare ? 4 : 1;
  const T* const logits = static_cast<const T*>(level.logits) + index;
  T* const gradient = static_cast<T*>(level.gradient) + (kGradient ? index : 0);
  float sum = 0.0f;
#pragma unroll kUnroll
  for (unsigned i = 0; i < static_cast<unsigned>(kFocalChunk); i += kStep) {
    float x[kCount];
    load_streaming_vector(logits + i, x);
    sum = fmaf(parameters.negative_weight, plain_negatives<T, kSquare>(parameters, weight, x), sum);
    if constexpr (kGradient) store_streaming_vector(gradient + i, x);
  }
  return sum;
}

/// Any other chunk: `first` ... `end` - 1 are its elements.
template <class T, bool kSquare>
__device__ __forceinline__ FocalLaneSum marked_rows_chunk(const SigmoidFocalParameters& parameters,
                                                          const FocalLevelParameters& level,
                                                          unsigned first, unsigned end,
                                                          float factor) {
  constexpr unsigned kCount = kVectorElements<T>;
  constexpr unsigned kStep = kWarpSize * kCount;
  const unsigned classes = static_cast<unsigned>(parameters.classes);
  const unsigned lane_offset = threadIdx.x % kWarpSize * kCount;
  FocalLaneSum lane;
#pragma unroll 1
  for (; first < end; first += kStep) {
    const unsigned index = first + lane_offset;
    const unsigned count = index < end ? min(end - index, kCount) : 0;
    const bool whole = level.aligned && count == kCount;
    float x[kCount];
    load_part(static_cast<const T*>(level.logits) + index, whole, count, x);
    const VectorMarks marks =
        marks_of_vector<kCount>(parameters, level, index / classes, index % classes, count);
    // The lanes decide together: otherwise a warp with one mark would go both ways.
    if (__any_sync(kFullWarp, static_cast<int>(marks.positive | marks.ignored)) == 0) {
      const float weight = factor * parameters.negative_weight;
      lane.loss = fmaf(parameters.negative_weight,
                       plain_negatives<T, kSquare>(parameters, weight, x), lane.loss);
    } else {
      float sum = 0.0f;
#pragma unroll
      for (unsigned k = 0; k < kCount; ++k) {
        x[k] = marked_element<T, kSquare>(parameters, x[k], (marks.positive >> k & 1u) != 0u,
                                          (marks.ignored >> k & 1u) != 0u, factor, sum);
      }
      lane.loss += sum;
      lane.positives += static_cast<unsigned>(__popc(marks.positive));
    }
    if (level.gradient != nullptr) {
      store_part(static_cast<T*>(level.gradient) + index, whole, count, x);
    }
  }
  return lane;
}

template <class T, bool kSquare>
__device__ __forceinline__ FocalLaneSum rows_chunk(const SigmoidFocalParameters& parameters,
                                                   unsigned chunk) {
  constexpr unsigned kChunk = static_cast<unsigned>(kFocalChunk);
  const FocalLevelParameters& level = parameters.levels[level_of_chunk(parameters, chunk)];
  const unsigned first = (chunk - level.first_chunk) * kChunk;
  const unsigned end = min(first + kChunk, level.elements);
  const unsigned classes = static_cast<unsigned>(parameters.classes);
  const float factor = gradient_factor(parameters);
  if (!level.aligned || end - first < kChunk ||
      any_marked_row(parameters, level, first / classes, (end - 1) / classes)) {
    return marked_rows_chunk<T, kSquare>(parameters, level, first, end, factor);
  }
  FocalLaneSum lane;
  const unsigned lane_first = first + threadIdx.x % kWarpSize * kVectorElements<T>;
  const float weight = factor * parameters.negative_weight;
  lane.loss = level.gradient != nullptr
                  ? plain_rows_chunk<T, kSquare, true>(parameters, level, lane_first, weight)
                  : plain_rows_chunk<T, kSquare, false>(parameters, level, lane_first, weight);
  return lane;
}

/// sm_120 would spill where vectors have eight elements and the loop is unrolled.
template <class T, bool kSquare>
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1200
constexpr int kRowsBlocks = kSquare && sizeof(T) == 2 ? 5 : kFocalBlocks;
#else
constexpr int kRowsBlocks = kFocalBlocks;
#endif

/// One warp a chunk of kFocalChunk elements. C is at least kVectorElements<T>.
template <class T, bool kSquare>
__global__ void __launch_bounds__(kFocalBlockThreads, kRowsBlocks<T, kSquare>)
    focal_rows_kernel(const __grid_constant__ SigmoidFocalParameters parameters) {
  const unsigned chunk = blockIdx.x * (blockDim.x / kWarpSize) + threadIdx.x / kWarpSize;
  FocalLaneSum lane;
  if (chunk < parameters.chunks) lane = rows_chunk<T, kSquare>(parameters, chunk);
  reduce(parameters.reduction, chunk, lane.loss, lane.positives);
}

}  // namespace cudet::device
