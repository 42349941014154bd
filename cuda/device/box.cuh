// Boxes in registers: loading, validity and area, as include/cudet/box.h defines them.
#pragma once

#include "../box_array.h"
#include "real.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

/// Upper left and lower right corner.
struct Corners {
  float x1, y1, x2, y2;
};

/// The four numbers of box `index` as they are stored, in float32.
__device__ __forceinline__ Corners load_box(const BoxArray& boxes, std::int64_t index) {
  Corners box;
  if (boxes.type == DataType::float32) {
    const float* data = static_cast<const float*>(boxes.data) + 4 * index;
    if (boxes.aligned) {
      const float4 v = __ldg(reinterpret_cast<const float4*>(data));
      box = {v.x, v.y, v.z, v.w};
    } else {
      box = {data[0], data[1], data[2], data[3]};
    }
    return box;
  }
  const unsigned short* data = static_cast<const unsigned short*>(boxes.data) + 4 * index;
  ushort4 v;
  if (boxes.aligned) {
    v = __ldg(reinterpret_cast<const ushort4*>(data));
  } else {
    v = make_ushort4(data[0], data[1], data[2], data[3]);
  }
  if (boxes.type == DataType::float16) {
    box = {to_float(__ushort_as_half(v.x)), to_float(__ushort_as_half(v.y)),
           to_float(__ushort_as_half(v.z)), to_float(__ushort_as_half(v.w))};
  } else {
    box = {to_float(__ushort_as_bfloat16(v.x)), to_float(__ushort_as_bfloat16(v.y)),
           to_float(__ushort_as_bfloat16(v.z)), to_float(__ushort_as_bfloat16(v.w))};
  }
  return box;
}

/// Corners of the four numbers in `format`. Halving is exact, so that a contracted multiply-add
/// could not change the centre format; the intrinsics keep the other roundings where box.h puts
/// them.
__device__ __forceinline__ Corners to_corners(Corners box, BoxFormat format, bool legacy_offset) {
  if (format == BoxFormat::xywh) {
    box.x2 = __fadd_rn(box.x1, box.x2);
    box.y2 = __fadd_rn(box.y1, box.y2);
  } else if (format == BoxFormat::cxcywh) {
    const float half_width = __fmul_rn(0.5f, box.x2);
    const float half_height = __fmul_rn(0.5f, box.y2);
    const float cx = box.x1;
    const float cy = box.y1;
    box = {__fsub_rn(cx, half_width), __fsub_rn(cy, half_height), __fadd_rn(cx, half_width),
           __fadd_rn(cy, half_height)};
  }
  if (legacy_offset) {
    box.x2 = __fadd_rn(box.x2, 1.0f);
    box.y2 = __fadd_rn(box.y2, 1.0f);
  }
  return box;
}

/// Box `index` as corners.
__device__ __forceinline__ Corners load_corners(const BoxArray& boxes, std::int64_t index) {
  return to_corners(load_box(boxes, index), boxes.format, boxes.legacy_offset);
}

/// True where a box is stored as Corners are, so that a copy is all that load_corners() does.
__device__ __forceinline__ bool are_corners(const BoxArray& boxes) {
  return boxes.type == DataType::float32 && boxes.aligned && boxes.format == BoxFormat::xyxy &&
         !boxes.legacy_offset;
}

/// False for NaN, inverted and out-of-range boxes.
__device__ __forceinline__ bool is_valid(const Corners& box) {
  constexpr float kLimit = 4611686018427387904.0f;                     // 2^62
  return box.x1 >= -kLimit && box.x2 >= box.x1 && box.x2 <= kLimit &&  //
         box.y1 >= -kLimit && box.y2 >= box.y1 && box.y2 <= kLimit;
}

__device__ __forceinline__ float area(const Corners& box) {
  return __fmul_rn(__fsub_rn(box.x2, box.x1), __fsub_rn(box.y2, box.y1));
}

/// Area of the intersection of two valid boxes; where they are apart, a number that is not
/// positive. One clamp is enough: with both sides negative their product would look like an
/// overlap.
__device__ __forceinline__ float intersection(const Corners& a, const Corners& b) {
  const float width = fmaxf(__fsub_rn(fminf(a.x2, b.x2), fmaxf(a.x1, b.x1)), 0.0f);
  const float height = __fsub_rn(fminf(a.y2, b.y2), fmaxf(a.y1, b.y1));
  return __fmul_rn(width, height);
}

}  // namespace cudet::device
