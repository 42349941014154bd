// Depthwise convolution of small nchw planes: several at once in shared memory.
//
// Bytes      x and y once, 16 bytes of float32 an access, whatever the width of a row is: planes
//            lie one after the other without gaps
// Arithmetic K^2 multiply-adds an output. Around them, for four outputs of a row: the copies into
//            and out of shared memory, and K (2 + K / 4) accesses to it.
//
//      x     |plane 0|plane 1|plane 2|plane 3|      flat: every access is whole
//               |
//               v    rows get room for the padding on the left and right, which is zero
//      tile  |0 row 0 0|0 row 1 0|0 row 2 0| ...    kernel rows above and below are left out
//               |
//               v    a thread has four columns of a row of y
//      out   |plane 0|plane 1|plane 2|plane 3|      flat: activation, residual, stores
#pragma once

#include "depthwise_conv_parameters.cuh"

namespace cudet::device {

constexpr int kPlaneColumns = 4;  // of y, a thread

/// A kernel row takes whole vectors in shared memory.
template <int kKernel>
constexpr int kWeightPitch = (kKernel + 3) / 4 * 4;

/// Calls visit(i, count) for every group of four of `elements`, the thread's share of them; `count`
/// of the group exist.
template <class Visit>
__device__ __forceinline__ void for_each_group(int elements, Visit visit) {
  for (int i = 4 * static_cast<int>(threadIdx.x); i < elements;
       i += 4 * static_cast<int>(kDepthwiseThreads))
    visit(i, min(4, elements - i));
}

/// Copies `rows` rows of x, which lie one after the other, into the tile.
template <class T>
__device__ __forceinline__ void stage_planes(const DepthwiseConvParameters& p, const T* x, int rows,
                                             float* tile) {
  const int pitch = p.tile_pitch;
  for (int i = static_cast<int>(threadIdx.x); i < rows * pitch / 4;
       i += static_cast<int>(kDepthwiseThreads))
    reinterpret_cast<float4*>(tile)[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  __syncthreads();
  const int gap = keep(pitch - p.w);
  for_each_group(rows * p.w, [&](int i, int count) {
    int column = i % p.w;
    int place = i / p.w * pitch + p.pad_left + column;
    const auto put = [&](float value) {
      tile[place] = value;
      ++column;
      place += column == p.w ? gap + 1 : 1;
      column = column == p.w ? 0 : column;
    };
    if (p.x_vectors && count == 4) {
      float four[4];
      load_four(x + i, four);
#pragma unroll
      for (const float value : four)
        put(value);
    } else {
      for (int k = 0; k < count; ++k)
        put(to_float(x[i + k]));
    }
  });
}

template <class T, int kKernel>
__device__ __forceinline__ void stage_plane_weights(const DepthwiseConvParameters& p,
                                                    unsigned first_plane, int planes,
                                                    float* weights) {
  constexpr int kTaps = kKernel * kKernel;
  for (int i = static_cast<int>(threadIdx.x); i < planes * kTaps;
       i += static_cast<int>(kDepthwiseThreads)) {
    const int plane = i / kTaps;
    const int tap = i - plane * kTaps;
    const unsigned channel =
        (first_plane + static_cast<unsigned>(plane)) % static_cast<unsigned>(p.c);
    weights[(plane * kKernel + tap / kKernel) * kWeightPitch<kKernel> + tap % kKernel] =
        to_float(static_cast<const T*>(p.weight)[channel * kTaps + static_cast<unsigned>(tap)]);
  }
}

/// kCount neighbours from a multiple of four on.
template <int kCount>
__device__ __forceinline__ void read_shared(const float* from, Floats<kCount>& values) {
#pragma unroll
  for (int k = 0; k < kCount; k += 4) {
    const float4 four = reinterpret_cast<const float4*>(from)[k / 4];
    const float parts[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (k + j < kCount) values[k + j] = parts[j];
    }
  }
}

/// Four columns of a row of y. `tile` is the plane's, `row` the one that kernel row 0 reads.
template <int kKernel, int kStride>
__device__ __forceinline__ void convolve_columns(const DepthwiseConvParameters& p,
                                                 const float* tile, const float* weights, int row,
                                                 Floats<kPlaneColumns>& sums) {
#pragma unroll
  for (int i = 0; i < kKernel; ++i) {
    if (static_cast<unsigned>(row + i) >= static_cast<unsigned>(p.h)) continue;
    Floats<(kPlaneColumns - 1) * kStride + kKernel> window;
    Floats<kKernel> weight;
    read_shared<(kPlaneColumns - 1) * kStride + kKernel>(tile + (row + i) * p.tile_pitch, window);
    read_shared<kKernel>(weights + i * kWeightPitch<kKernel>, weight);
#pragma unroll
    for (int q = 0; q < kKernel; ++q) {
#pragma unroll
      for (int v = 0; v < kPlaneColumns; ++v)
        sums[v] = fmaf(weight[q], window[v * kStride + q], sums[v]);
    }
  }
}

/// Activates and stores the block's part of y; where pooling is wanted, `out` is then y.
template <class T>
__device__ __forceinline__ void store_planes(const DepthwiseConvParameters& p, std::int64_t index,
                                             int elements, float* out) {
  const bool pools = keep(p.pool_partials != nullptr);
  // The last group of the last block may have fewer elements than four; it is no vector then.
  const Finish<4> finish(p, {0, elements % 4 == 0 ? 4 : elements % 4});
  const Finish<4> whole(p, {0, 4});
  for_each_group(elements, [&](int i, int count) {
    float v[4];
    read_shared<4>(out + i, v);
    if (count == 4) {
      whole.template store<T>(index + i, v);
    } else {
      finish.template store<T>(index + i, v);
    }
    if (!pools) return;
#pragma unroll
    for (int k = 0; k < 4; ++k)
      out[i + k] = v[k];
  });
}

/// A warp adds a plane: a lane every 32nd element, then a butterfly.
__device__ __forceinline__ void pool_planes(const DepthwiseConvParameters& p, unsigned first_plane,
                                            int planes, const float* out) {
  const int size = p.oh * p.ow;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (int plane = static_cast<int>(threadIdx.x) / kWarpSize; plane < planes;
       plane += static_cast<int>(kDepthwiseThreads) / kWarpSize) {
    float sum = 0.0f;
    for (int i = lane; i < size; i += kWarpSize)
      sum += out[plane * size + i];
    for (int offset = kWarpSize / 2; offset > 0; offset /= 2)
      sum += __shfl_xor_sync(kFullWarp, sum, offset);
    if (lane == 0) p.pool_partials[first_plane + static_cast<unsigned>(plane)] = sum;
  }
}

template <class T, int kKernel, int kStride>
__global__ void __launch_bounds__(kDepthwiseThreads)
    depthwise_conv_planes_kernel(const __grid_constant__ DepthwiseConvParameters p) {
  constexpr bool kIsInt8 = sizeof(T) == 1;
  CUDET_DYNAMIC_SHARED(float4, plane_memory);
  const unsigned first_plane = blockIdx.x * static_cast<unsigned>(p.block_planes);
  const int planes =
      static_cast<int>(min(static_cast<unsigned>(p.block_planes), p.planes - first_plane));
  float* const tile = reinterpret_cast<float*>(plane_memory);
  float* const weights = tile + p.block_planes * p.h * p.tile_pitch;
  float* const out = weights + p.block_planes * kKernel * kWeightPitch<kKernel>;

  stage_plane_weights<T, kKernel>(p, first_plane, planes, weights);
  stage_planes(p, static_cast<const T*>(p.x) + nchw_offset(first_plane, 1, 0, p.h, 0, p.w, 0),
               planes * p.h, tile);
  __syncthreads();
  const int items = planes * p.oh * p.column_groups;
  for (int item = static_cast<int>(threadIdx.x); item < items;
       item += static_cast<int>(kDepthwiseThreads)) {
    const int out_row_of_block = item / p.column_groups;
    const int group = item - out_row_of_block * p.column_groups;
    const int plane = out_row_of_block / p.oh;
    const int out_row = out_row_of_block - plane * p.oh;
    const int channel =
        static_cast<int>((first_plane + static_cast<unsigned>(plane)) % static_cast<unsigned>(p.c));
    const float bias = bias_of(p, channel);
    const float scale = scale_of<T>(p, channel);
    Floats<kPlaneColumns> sums;
#pragma unroll
    for (float& sum : sums)
      sum = kIsInt8 ? 0.0f : bias;
    convolve_columns<kKernel, kStride>(
        p, tile + plane * p.h * p.tile_pitch + group * kPlaneColumns * kStride,
        weights + plane * kKernel * kWeightPitch<kKernel>, out_row * kStride - p.pad_top, sums);
#pragma unroll
    for (int k = 0; k < kPlaneColumns; ++k) {
      const int column = group * kPlaneColumns + k;
      if (column < p.ow) {
        out[out_row_of_block * p.ow + column] = kIsInt8 ? fmaf(sums[k], scale, bias) : sums[k];
      }
    }
  }
  __syncthreads();
  store_planes<T>(p, nchw_offset(first_plane, 1, 0, p.oh, 0, p.ow, 0), planes * p.oh * p.ow, out);
  if (p.pool_partials == nullptr) return;
  __syncthreads();
  pool_planes(p, first_plane, planes, out);
}

}  // namespace cudet::device
