// IoU of aligned pairs: the kernel.
//
// Floor: every box is read once and every value written once, 32 n + s n bytes from float32 boxes
// with s the size of a value. One thread a pair: 16-byte loads and a store without gaps, nothing
// shared. A pair is allowed 300 instructions at the rate of DRAM; the dearest kind of
// upright boxes has 100, rotated ones have more.
#pragma once

#include "device/real.cuh"
#include "iou_rules.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

constexpr int kIouPairsBlockThreads = 256;

struct IouPairsParameters {
  IouSet set1;
  IouSet set2;
  void* values;
  DataType value_type;
  std::int64_t n;
  float eps;
};

template <class Rule>
__global__ void __launch_bounds__(kIouPairsBlockThreads)
    iou_pairs_kernel(const IouPairsParameters parameters) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kIouPairsBlockThreads + threadIdx.x;
  if (i >= parameters.n) return;
  const typename Rule::Box box1 = Rule::load(parameters.set1, i);
  const typename Rule::Box box2 = Rule::load(parameters.set2, i);
  store_real(parameters.values, parameters.value_type, i, Rule::value(box1, box2, parameters.eps));
}

}  // namespace cudet::device
