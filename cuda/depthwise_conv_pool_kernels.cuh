// Global average pooling of the depthwise convolution's output: every thread of its kernels stores
// the sum of its elements, its piece of a plane, and a second kernel adds the pieces of each plane.
//
// The pieces of nchw lie plane by plane, [n c m, pieces]; those of nhwc side by side as channels
// do, [n, pieces, c m]. Either way neighbouring lanes store neighbours.
#pragma once

#include "depthwise_conv_parameters.cuh"

namespace cudet::device {

struct DepthwisePoolParameters {
  const float* partials;
  void* pool;
  DataType type;
  unsigned planes;    ///< n c m
  unsigned channels;  ///< c m
  unsigned pieces;
  float factor;  ///< 1 / elements of a plane
};

constexpr int kPoolThreads = 256;
constexpr int kPoolWarps = kPoolThreads / kWarpSize;

/// nchw: a warp a plane. A lane adds every 32nd piece, the lanes meet in a butterfly.
__global__ void __launch_bounds__(kPoolThreads)
    depthwise_pool_nchw_kernel(const __grid_constant__ DepthwisePoolParameters p) {
  const unsigned plane = blockIdx.x * kPoolWarps + threadIdx.x / kWarpSize;
  if (plane >= p.planes) return;
  const unsigned lane = threadIdx.x % kWarpSize;
  const float* const partials = p.partials + std::int64_t{plane} * p.pieces;
  float sum = 0.0f;
  for (unsigned i = lane; i < p.pieces; i += kWarpSize)
    sum += __ldcs(partials + i);
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2)
    sum += __shfl_xor_sync(kFullWarp, sum, offset);
  if (lane == 0) store_real(p.pool, p.type, plane, sum * p.factor);
}

/// nhwc: 32 channels a block. A warp adds every eighth piece, the warps' sums are added in order.
__global__ void __launch_bounds__(kPoolThreads)
    depthwise_pool_nhwc_kernel(const __grid_constant__ DepthwisePoolParameters p) {
  CUDET_SHARED_ARRAY(float, warp_sums, kPoolThreads);
  const unsigned blocks_per_image = (p.channels + kWarpSize - 1) / kWarpSize;
  const unsigned b = blockIdx.x / blocks_per_image;
  const unsigned lane = threadIdx.x % kWarpSize;
  const unsigned channel = (blockIdx.x - b * blocks_per_image) * kWarpSize + lane;
  float sum = 0.0f;
  if (channel < p.channels) {
    const float* const partials = p.partials + std::int64_t{b} * p.pieces * p.channels + channel;
    for (unsigned i = threadIdx.x / kWarpSize; i < p.pieces; i += kPoolWarps)
      sum += __ldcs(partials + std::int64_t{i} * p.channels);
  }
  warp_sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x >= kWarpSize || channel >= p.channels) return;
  for (int warp = 1; warp < kPoolWarps; ++warp)
    sum += warp_sums[warp * kWarpSize + static_cast<int>(lane)];
  store_real(p.pool, p.type, std::int64_t{b} * p.channels + channel, sum * p.factor);
}

}  // namespace cudet::device
