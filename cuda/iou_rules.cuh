// What the kernels that serve all formats and kinds know of a pair: how a box is read, what becomes
// of an absent one, and the value.
#pragma once

#include "box_array.h"
#include "device/real.cuh"
#include "device/rotated_box.h"
#include "iou_pair.cuh"

#include <cudet/iou.h>

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

namespace cudet::device {

/// One set of boxes as the rules read it.
struct IouSet {
  BoxArray boxes;
  const std::uint8_t* crowds;  ///< null: none
  AngleUnit angle_unit;        ///< of rotated boxes
  AngleDirection angle_direction;
};

/// A kind of upright boxes.
template <IouKind kKind>
struct UprightRule {
  using Box = PairBox;
  static constexpr int kColumnsTogether = 4;

  static __device__ __forceinline__ Box load(const IouSet& set, std::int64_t index) {
    return make_pair_box<kKind>(load_corners(set.boxes, index));
  }
  /// A box that is invalid.
  static __device__ __forceinline__ Box none() {
    return make_pair_box<kKind>({1.0f, 1.0f, 0.0f, 0.0f});
  }
  static __device__ __forceinline__ float value(const Box& a, const Box& b, float eps) {
    return pair_value<kKind>(a, b, eps);
  }
};

/// IoU, where a second box that is a crowd is not part of the union.
struct CrowdRule {
  static constexpr int kColumnsTogether = 4;
  struct alignas(16) Box {
    Corners corners;
    float area;
    bool is_crowd;
  };

  static __device__ __forceinline__ Box load(const IouSet& set, std::int64_t index) {
    const PairBox box = UprightRule<IouKind::iou>::load(set, index);
    return {box.corners, box.area, set.crowds != nullptr && set.crowds[index] != 0};
  }
  static __device__ __forceinline__ Box none() { return {{0.0f, 0.0f, 0.0f, 0.0f}, 0.0f, false}; }
  static __device__ __forceinline__ float value(const Box& a, const Box& b, float) {
    const float overlap = signed_intersection(a.corners, b.corners);
    const float union_area = __fsub_rn(__fadd_rn(a.area, b.area), overlap);
    return unit_ratio(overlap, b.is_crowd ? a.area : union_area);
  }
};

/// IoU or IoF of rotated boxes.
template <IouKind kKind>
struct RotatedRule {
  using Box = pinned::RotatedBox;
  static constexpr int kColumnsTogether = 1;

  static __device__ __forceinline__ Box load(const IouSet& set, std::int64_t index) {
    float numbers[5];
#pragma unroll
    for (int k = 0; k < 5; ++k)
      numbers[k] = load_real(set.boxes.data, set.boxes.type, 5 * index + k);
    return pinned::make_rotated_box(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],
                                    set.angle_unit, set.angle_direction);
  }
  static __device__ __forceinline__ Box none() {
    return pinned::empty_rotated_box();
  }
  static __device__ __forceinline__ float value(const Box& a, const Box& b, float) {
    if constexpr (kKind == IouKind::iof) {
      return unit_ratio(pinned::rotated_intersection(a, b), a.area);
    }
    return pinned::rotated_iou(a, b);
  }
};

/// Calls `function` with the rule of the options, crowds apart, as an object of its type.
template <class Function>
auto with_iou_rule(const IouMatrixOptions& options, const Function& function) {
  if (options.format == BoxFormat::rotated) {
    return options.kind == IouKind::iof ? function(RotatedRule<IouKind::iof>())
                                        : function(RotatedRule<IouKind::iou>());
  }
  switch (options.kind) {
    case IouKind::iof:
      return function(UprightRule<IouKind::iof>());
    case IouKind::giou:
      return function(UprightRule<IouKind::giou>());
    case IouKind::diou:
      return function(UprightRule<IouKind::diou>());
    case IouKind::ciou:
      return function(UprightRule<IouKind::ciou>());
    case IouKind::eiou:
      return function(UprightRule<IouKind::eiou>());
    default:
      return function(UprightRule<IouKind::iou>());
  }
}

}  // namespace cudet::device
