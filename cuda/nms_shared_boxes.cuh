// Boxes in shared memory, and the loops in which a thread compares its own with them.
#pragma once

#include "device/sign_bit.cuh"
#include "nms_overlap.cuh"

namespace cudet::device {

/// Shared boxes come in groups: the areas of a group are one access, a thread looks at its
/// decisions once a group and not after each box, and lists are filled up with boxes that overlap
/// nothing.
constexpr int kSharedBoxGroup = 4;

__device__ __forceinline__ int round_up_to_group(int count) {
  return (count + kSharedBoxGroup - 1) / kSharedBoxGroup * kSharedBoxGroup;
}

/// Boxes in shared memory that many threads compare theirs with. The arrays that a test has no use
/// for may be of one element.
struct SharedBoxes {
  float4* corners;              ///< of the fast and the general test
  float4* areas;                ///< of the fast test, a group each
  pinned::RotatedBox* rotated;  ///< of the test for rotated boxes
  std::int64_t* classes;        ///< where classes are compared

  __device__ Corners at(int i) const {
    const float4 c = corners[i];
    return {c.x, c.y, c.z, c.w};
  }

  __device__ float& area_at(int i) const { return reinterpret_cast<float*>(areas)[i]; }

  /// From box `first` on, a multiple of kSharedBoxGroup.
  __device__ SharedBoxes from(int first) const {
    return {corners + first, areas + first / kSharedBoxGroup, rotated + first, classes + first};
  }

  /// Stores `box` as number `i`.
  template <bool kWithClasses, NmsTest kTest>
  __device__ void store(int i, const NmsBox& box) const {
    if constexpr (kTest == NmsTest::rotated) {
      rotated[i] = box.rotated;
    } else {
      corners[i] = make_float4(box.corners.x1, box.corners.y1, box.corners.x2, box.corners.y2);
    }
    if constexpr (kTest == NmsTest::fast) area_at(i) = box.area;
    if constexpr (kWithClasses) classes[i] = box.class_id;
  }
};

/// Elements of the arrays of SharedBoxes for so many boxes.
template <NmsTest kTest, int kBoxes>
constexpr int kSharedCorners = kTest == NmsTest::rotated ? 1 : kBoxes;
template <NmsTest kTest, int kBoxes>
constexpr int kSharedAreas = kTest == NmsTest::fast ? kBoxes / kSharedBoxGroup : 1;
template <NmsTest kTest, int kBoxes>
constexpr int kSharedRotated = kTest == NmsTest::rotated ? kBoxes : 1;

/// The metric of a pair, for the tests that divide.
template <NmsTest kTest>
__device__ __forceinline__ float metric_with(const NmsArguments& arguments, const NmsBox& box,
                                             const SharedBoxes& others, int i) {
  if constexpr (kTest == NmsTest::rotated) {
    return metric_of(arguments, box.rotated, others.rotated[i]);
  } else {
    return metric_of(arguments, box.corners, others.at(i));
  }
}

/// One of the tests for a single pair.
template <NmsTest kTest>
__device__ __forceinline__ bool overlaps(const NmsArguments& arguments, const NmsBox& box,
                                         const SharedBoxes& others, int i) {
  if constexpr (kTest == NmsTest::rotated) {
    return exceeds_threshold(arguments, box.rotated, others.rotated[i], box.threshold);
  } else if constexpr (kTest == NmsTest::general) {
    return exceeds_threshold(arguments, box.corners, others.at(i), box.threshold);
  } else {
    const float negative = negative_intersection(box.corners, others.at(i));
    const float union_area = __fadd_rn(__fadd_rn(box.area, others.area_at(i)), negative);
    return box.careful ? exceeds_carefully(-negative, union_area, arguments.iou_threshold)
                       : threshold_margin(negative, union_area, arguments.iou_threshold) < 0.0f;
  }
}

/// Pushes the decisions of the fast test between kRows boxes and the shared boxes of a group, one
/// after the other, into a word a row; with kCompareClasses, "no" for boxes of other classes.
template <bool kCompareClasses, int kRows>
__device__ __forceinline__ void push_overlaps(const NmsArguments& arguments, const NmsBox* rows,
                                              const SharedBoxes& columns, int group,
                                              unsigned* bits) {
  const float4 four = columns.areas[group];
  const float areas[kSharedBoxGroup] = {four.x, four.y, four.z, four.w};
#pragma unroll
  for (int i = 0; i < kSharedBoxGroup; ++i) {
    const Corners other = columns.at(kSharedBoxGroup * group + i);
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      const float negative = negative_intersection(rows[k].corners, other);
      const float union_area = __fadd_rn(__fadd_rn(rows[k].area, areas[i]), negative);
      float margin = threshold_margin(negative, union_area, arguments.iou_threshold);
      if constexpr (kCompareClasses) {
        const bool same = columns.classes[kSharedBoxGroup * group + i] == rows[k].class_id;
        margin = same ? margin : 0.0f;
      }
      bits[k] = push_sign(bits[k], margin);
    }
  }
}

/// For each of kRows boxes, which of the 32 shared boxes overlap it; with kCompareClasses, of those
/// of its class.
template <bool kCompareClasses, NmsTest kTest, int kRows>
__device__ __forceinline__ void overlaps_of_rows(const NmsArguments& arguments, const NmsBox* rows,
                                                 const SharedBoxes& columns, unsigned* bits) {
  constexpr int kColumns = 32;
  const auto test_one = [&](int k, int i) {
    if (kCompareClasses && columns.classes[i] != rows[k].class_id) return;
    bits[k] |= static_cast<unsigned>(overlaps<kTest>(arguments, rows[k], columns, i)) << i;
  };
#pragma unroll
  for (int k = 0; k < kRows; ++k)
    bits[k] = 0u;
  if constexpr (kTest != NmsTest::fast) {
#pragma unroll 1
    for (int i = 0; i < kColumns; ++i) {
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        test_one(k, i);
    }
  } else {
    constexpr int kGroups = kColumns / kSharedBoxGroup;
    [[maybe_unused]] constexpr int kUnrolled = kRows > 2 ? 2 : 4;
#pragma unroll kUnrolled
    for (int group = 0; group < kGroups; ++group)
      push_overlaps<kCompareClasses, kRows>(arguments, rows, columns, group, bits);
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      bits[k] = __brev(bits[k]);  // the first one was pushed furthest up
      if (!rows[k].careful) continue;
      bits[k] = 0u;
#pragma unroll 1
      for (int i = 0; i < kColumns; ++i)
        test_one(k, i);
    }
  }
}

/// For each of kRows boxes that is alive, whether it still is when it has met the first `count`
/// shared boxes, a multiple of kSharedBoxGroup; with kCompareClasses, those of its class.
template <bool kCompareClasses, NmsTest kTest, int kRows>
__device__ __forceinline__ void drop_overlapping(const NmsArguments& arguments, const NmsBox* rows,
                                                 const SharedBoxes& others, int count,
                                                 bool* alive) {
  const auto test_one_by_one = [&](int k) {
#pragma unroll 1
    for (int i = 0; i < count && alive[k]; ++i) {
      if (kCompareClasses && others.classes[i] != rows[k].class_id) continue;
      alive[k] = !overlaps<kTest>(arguments, rows[k], others, i);
    }
  };
  if constexpr (kTest != NmsTest::fast) {
#pragma unroll
    for (int k = 0; k < kRows; ++k)
      test_one_by_one(k);
  } else {
    bool careful = false;
    unsigned hit[static_cast<unsigned>(kRows)];  // not 0: not alive
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      careful = careful || (alive[k] && rows[k].careful);
      hit[k] = alive[k] ? 0u : 1u;
    }
    if (careful) {
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        test_one_by_one(k);
      return;
    }
    const auto all_hit = [&] {
      bool all = true;
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        all = all && hit[k] != 0u;
      return all;
    };
    for (int group = 0; kSharedBoxGroup * group < count && !all_hit(); ++group) {
      unsigned bits[static_cast<unsigned>(kRows)] = {};
      push_overlaps<kCompareClasses, kRows>(arguments, rows, others, group, bits);
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        hit[k] |= bits[k];
    }
#pragma unroll
    for (int k = 0; k < kRows; ++k)
      alive[k] = hit[k] == 0u;
  }
}

}  // namespace cudet::device
