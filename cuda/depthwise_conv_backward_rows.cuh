// Loading and storing pieces of rows for the kernels whose window slides down in registers.
#pragma once

#include "depthwise_conv_backward_parameters.cuh"
#include "device/image_element.cuh"
#include "device/keep.cuh"

#include <cuda_runtime.h>

#include <type_traits>

namespace cudet::device {

/// How the columns of a row are read and written. The last three are for channels that are the
/// neighbours in memory.
enum class RowAccess {
  vectors,   ///< four at a time: rows, their width and a thread's own columns are aligned fours
  elements,  ///< one by one
  pairs,     ///< two channels of a column at a time: all are even and aligned
  channels,  ///< the same two, one by one
  channel    ///< one channel
};

template <RowAccess kAccess>
constexpr bool kIsChannelsLast = kAccess >= RowAccess::pairs;

/// Channels of a thread.
template <RowAccess kAccess>
constexpr int kThreadChannels =
    kAccess == RowAccess::pairs || kAccess == RowAccess::channels ? 2 : 1;

/// What a thread has of a column, and of some columns.
template <RowAccess kAccess>
using ColumnValue = std::conditional_t<kThreadChannels<kAccess> == 2, float2, float>;
template <RowAccess kAccess, int kCount>
using Columns = ColumnValue<kAccess>[static_cast<std::size_t>(kCount)];

__device__ __forceinline__ float multiply_add(float a, float b, float c) {
  return fmaf(a, b, c);
}
__device__ __forceinline__ float2 multiply_add(float2 a, float2 b, float2 c) {
  return make_float2(fmaf(a.x, b.x, c.x), fmaf(a.y, b.y, c.y));
}
__device__ __forceinline__ float add(float a, float b) {
  return a + b;
}
__device__ __forceinline__ float2 add(float2 a, float2 b) {
  return make_float2(a.x + b.x, a.y + b.y);
}

/// A thread's piece of every row of a plane: kLeft columns of its left neighbour, kMiddle of its
/// own and kRight of its right one. Those of the neighbours come from the first-level cache.
struct Piece {
  unsigned columns;  ///< bit k: column k of the piece lies in the image
  int column_step;   ///< distance of columns; 1 unless channels are the neighbours in memory
  int second;        ///< distance of the second channel, where there are two; < 0: there is none
};

/// `first` is the thread's own first column.
template <int kLeft, int kMiddle, int kRight>
__device__ __forceinline__ Piece make_piece(int first, int width, int column_step, int second) {
  static_assert(kLeft <= 4 && kMiddle % 4 == 0 && kRight <= 4);
  unsigned columns = 0;
#pragma unroll
  for (int k = 0; k < kLeft + kMiddle + kRight; ++k) {
    const bool exists = static_cast<unsigned>(first - kLeft + k) < static_cast<unsigned>(width);
    columns |= exists ? 1u << k : 0u;
  }
  return {keep(columns), keep(column_step), second};
}

/// x[kStart ...] = kCount <= 4 neighbours that end or begin at a multiple of four.
template <int kStart, int kCount, int kTotal, class T>
__device__ __forceinline__ void load_beside(const T* address, Floats<kTotal>& x) {
  if constexpr (kCount == 1) {
    x[kStart] = to_float(*address);
  } else {
    // Both ends of a row's fours are whole vectors, of which some elements are not needed.
    constexpr bool kIsLeft = kStart == 0;
    float four[4];
    load_four(kIsLeft ? address + (kCount - 4) : address, four);
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      x[kStart + k] = four[kIsLeft ? 4 - kCount + k : k];
  }
}

/// A thread's channels of a column.
template <RowAccess kAccess, class T>
__device__ __forceinline__ ColumnValue<kAccess> load_column(const T* address, int second) {
  if constexpr (kAccess == RowAccess::pairs) {
    return load_two(address);
  } else if constexpr (kAccess == RowAccess::channels) {
    return make_float2(to_float(*address), second < 0 ? 0.0f : to_float(address[second]));
  } else {
    return to_float(*address);
  }
}
template <RowAccess kAccess, class T>
__device__ __forceinline__ void store_column(T* address, int second, ColumnValue<kAccess> x) {
  if constexpr (kAccess == RowAccess::pairs) {
    store_two(address, x);
  } else if constexpr (kAccess == RowAccess::channels) {
    address[0] = from_float<T>(x.x);
    if (second > 0) address[1] = from_float<T>(x.y);
  } else {
    *address = from_float<T>(x);
  }
}

/// x = the piece of a row, 0 outside of the image; `own` is the address of the thread's own first
/// column.
template <int kLeft, int kMiddle, int kRight, RowAccess kAccess, class T>
__device__ __forceinline__ void load_piece(const T* own, const Piece& piece,
                                           Columns<kAccess, kLeft + kMiddle + kRight>& x) {
  constexpr int kTotal = kLeft + kMiddle + kRight;
  if constexpr (kIsChannelsLast<kAccess>) {
    const long long step = piece.column_step;
    const T* address = own - step * kLeft;
    if (piece.columns == (1u << kTotal) - 1) {
#pragma unroll
      for (int k = 0; k < kTotal; ++k) {
        x[k] = load_column<kAccess>(address, piece.second);
        address += step;
      }
    } else {
#pragma unroll
      for (int k = 0; k < kTotal; ++k) {
        x[k] = ColumnValue<kAccess>();
        if ((piece.columns >> k & 1u) != 0) x[k] = load_column<kAccess>(address, piece.second);
        address += step;
      }
    }
  } else if constexpr (kAccess == RowAccess::elements) {
#pragma unroll
    for (int k = 0; k < kTotal; ++k) {
      x[k] = 0.0f;
      if ((piece.columns >> k & 1u) != 0) x[k] = to_float(own[k - kLeft]);
    }
  } else {
#pragma unroll
    for (float& element : x)
      element = 0.0f;
    if constexpr (kLeft > 0) {
      if ((piece.columns & 1u) != 0) load_beside<0, kLeft, kTotal>(own - kLeft, x);
    }
#pragma unroll
    for (int start = 0; start < kMiddle; start += 4) {
      // The first four are there, or the thread would not be.
      if (start > 0 && (piece.columns >> (kLeft + start) & 1u) == 0) continue;
      float four[4];
      load_four(own + start, four);
#pragma unroll
      for (int k = 0; k < 4; ++k)
        x[kLeft + start + k] = four[k];
    }
    if constexpr (kRight > 0) {
      if ((piece.columns >> (kLeft + kMiddle) & 1u) != 0) {
        load_beside<kLeft + kMiddle, kRight, kTotal>(own + kMiddle, x);
      }
    }
  }
}

/// Where a thread reads g in the row that it has come to.
template <class T>
struct GradientWalk {
  const char* own;             ///< its own first column
  const char* pre_activation;  ///< the same there, where `is_saved`
  long long row_bytes;
  bool is_plain;  ///< nothing but g is there, and in T
  bool is_saved;
  Activation activation;
  float negative_slope;

  __device__ __forceinline__ void next_row() {
    own += row_bytes;
    pre_activation += row_bytes;
  }
};

/// The walk begins at element `index` with rows `row` elements apart.
template <class T>
__device__ __forceinline__ GradientWalk<T> walk_gradient(const GradientSource& source,
                                                         long long index, int row) {
  const long long bytes = source.is_float32 ? 4 : static_cast<long long>(sizeof(T));
  const bool is_saved = source.pre_activation != nullptr;
  const char* const first = static_cast<const char*>(source.grad_output) + index * bytes;
  return {keep(first),
          keep(is_saved ? static_cast<const char*>(source.pre_activation) + index * bytes : first),
          keep(row * bytes),
          keep(!is_saved && (std::is_same_v<T, float> || !source.is_float32)),
          is_saved,
          source.activation,
          source.negative_slope};
}

/// The row of g where the thread is.
template <int kLeft, int kMiddle, int kRight, RowAccess kAccess, class T>
__device__ __forceinline__ void load_piece(const GradientWalk<T>& walk, const Piece& piece,
                                           Columns<kAccess, kLeft + kMiddle + kRight>& g) {
  if (walk.is_plain) {
    load_piece<kLeft, kMiddle, kRight, kAccess>(reinterpret_cast<const T*>(walk.own), piece, g);
    return;
  }
  if (!walk.is_saved) {
    load_piece<kLeft, kMiddle, kRight, kAccess>(reinterpret_cast<const float*>(walk.own), piece, g);
    return;
  }
  load_piece<kLeft, kMiddle, kRight, kAccess>(reinterpret_cast<const T*>(walk.own), piece, g);
  Columns<kAccess, kLeft + kMiddle + kRight> v;
  load_piece<kLeft, kMiddle, kRight, kAccess>(reinterpret_cast<const T*>(walk.pre_activation),
                                              piece, v);
  constexpr int kElements = (kLeft + kMiddle + kRight) * kThreadChannels<kAccess>;
  multiply_by_slopes<kElements>(walk.activation, walk.negative_slope,
                                reinterpret_cast<const Floats<kElements>&>(v),
                                reinterpret_cast<Floats<kElements>&>(g));
}

/// Stores a piece without neighbours.
template <int kCount, RowAccess kAccess, class T>
__device__ __forceinline__ void store_piece(T* own, const Piece& piece,
                                            const Columns<kAccess, kCount>& x) {
  if constexpr (kAccess == RowAccess::vectors) {
#pragma unroll
    for (int start = 0; start < kCount; start += 4) {
      if (start > 0 && (piece.columns >> start & 1u) == 0) continue;
      const float four[4] = {x[start], x[start + 1], x[start + 2], x[start + 3]};
      store_four(own + start, four);
    }
  } else {
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      if ((piece.columns >> k & 1u) != 0) store_column<kAccess>(own, piece.second, x[k]);
      own += kIsChannelsLast<kAccess> ? piece.column_step : 1;
    }
  }
}

/// Rounded up and down; kStride is 1 or 2 and `a` may be negative.
template <int kStride>
__device__ __forceinline__ int divide_up(int a) {
  return kStride == 1 ? a : (a + 1) >> 1;
}
template <int kStride>
__device__ __forceinline__ int divide_down(int a) {
  return kStride == 1 ? a : a >> 1;
}

}  // namespace cudet::device
