// IoU of aligned pairs: the kernel.
//
// Floor: every box is read once and every value written once, 32 n + s n bytes from float32 boxes
// with s the size of a value. One thread a pair: 16-byte loads and a store without gaps, nothing
// shared. A pair is allowed 300 instructions at the rate of DRAM; the dearest kind has 100.
#pragma once

#include "box_array.h"
#include "device/real.cuh"
#include "iou_pair.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

constexpr int kIouPairsBlockThreads = 256;

struct IouPairsParameters {
  BoxArray boxes1;
  BoxArray boxes2;
  void* values;
  DataType value_type;
  std::int64_t n;
  float eps;
};

template <IouKind kKind>
__global__ void __launch_bounds__(kIouPairsBlockThreads)
    iou_pairs_kernel(const IouPairsParameters parameters) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kIouPairsBlockThreads + threadIdx.x;
  if (i >= parameters.n) return;
  const PairBox box1 = make_pair_box<kKind>(load_corners(parameters.boxes1, i));
  const PairBox box2 = make_pair_box<kKind>(load_corners(parameters.boxes2, i));
  store_real(parameters.values, parameters.value_type, i,
             pair_value<kKind>(box1, box2, parameters.eps));
}

}  // namespace cudet::device
