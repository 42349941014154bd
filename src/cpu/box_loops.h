// The inner loops over boxes, written so that the compiler vectorises them, and compiled once for
// every set of instructions that is worth it.
#pragma once

#include <cudet/iou.h>
#include <cudet/nms.h>

#include <cstdint>

namespace cudet::cpu {

/// A box with what its pairs need of it.
struct PairBox {
  float x1, y1, x2, y2;
  float area;   ///< (x2 - x1) (y2 - y1)
  float angle;  ///< atan(width / height), where the kind or metric asks for it
};

/// The same of many boxes, an array for each number.
struct BoxColumns {
  const float* x1;
  const float* y1;
  const float* x2;
  const float* y2;
  const float* area;
  const float* angle;
};

struct BoxLoops {
  const char* name;  ///< of the instruction set, for example "x86-64-v3"

  /// values[j] = kind(box1, boxes2[j]), j < count, with the bits of the kernels. An invalid box is
  /// a point at the origin with the area 0 for iou and iof, and else -infinity, which makes its
  /// pairs -1.
  void (*iou_row)(IouKind kind, const PairBox& box1, const BoxColumns& boxes2, std::int64_t count,
                  float eps, float* values);

  /// values[j] = kind(boxes1[j], boxes2[j]), likewise.
  void (*iou_pairs)(IouKind kind, const BoxColumns& boxes1, const BoxColumns& boxes2,
                    std::int64_t count, float eps, float* values);

  /// True where metric(kept[j], box) >= bound for any j < count; all boxes are valid. The bits are
  /// those of include/cudet/nms.h.
  bool (*overlaps_any)(OverlapMetric metric, const BoxColumns& kept, std::int64_t count,
                       const PairBox& box, float bound);
};

/// For any machine that the library runs on.
extern const BoxLoops kGenericBoxLoops;

/// With AVX2 and FMA; null where the library is for another processor or this one lacks them.
const BoxLoops* x86_64_v3_box_loops() noexcept;

/// The fastest that this machine can run.
const BoxLoops& box_loops() noexcept;

}  // namespace cudet::cpu
