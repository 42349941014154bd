// Boxes in shared memory, and the loops in which a thread compares its own with them.
#pragma once

#include "device/shared_memory.cuh"
#include "device/sign_bit.cuh"
#include "device/warp.cuh"
#include "nms_overlap.cuh"

namespace cudet::device {

/// Shared boxes come in groups: the areas or shares of a group are one access, a thread looks at
/// its decisions once a group and not after each box, and lists are filled up with boxes that
/// overlap nothing.
constexpr int kSharedBoxGroup = 4;

__device__ __forceinline__ int round_up_to_group(int count) {
  return (count + kSharedBoxGroup - 1) / kSharedBoxGroup * kSharedBoxGroup;
}

/// Boxes in shared memory that many threads compare theirs with. The arrays that a test has no use
/// for may be of one element.
struct SharedBoxes {
  float4* corners;              ///< of the fast and the general test
  float4* areas;                ///< of overlaps_of_rows() with the fast test, a group each
  pinned::RotatedBox* rotated;  ///< of the test for rotated boxes
  std::int64_t* classes;        ///< where classes are compared
  float4* shares = nullptr;     ///< of all else with the fast test, a group each

  __device__ Corners at(int i) const {
    const float4 c = corners[i];
    return {c.x, c.y, c.z, c.w};
  }

  __device__ float& area_at(int i) const { return reinterpret_cast<float*>(areas)[i]; }
  __device__ float& share_at(int i) const { return reinterpret_cast<float*>(shares)[i]; }

  /// From box `first` on, a multiple of kSharedBoxGroup.
  __device__ SharedBoxes from(int first) const {
    const int group = first / kSharedBoxGroup;
    return {corners + first, areas == nullptr ? nullptr : areas + group, rotated + first,
            classes + first, shares == nullptr ? nullptr : shares + group};
  }

  /// Stores `box` as number `i`.
  template <bool kWithClasses, NmsTest kTest>
  __device__ void store(int i, const NmsBox& box) const {
    if constexpr (kTest == NmsTest::rotated) {
      rotated[i] = box.rotated;
    } else {
      corners[i] = make_float4(box.corners.x1, box.corners.y1, box.corners.x2, box.corners.y2);
    }
    if constexpr (kTest == NmsTest::fast) {
      if (areas != nullptr) area_at(i) = box.area;
      if (shares != nullptr) share_at(i) = box.share;
    }
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

/// The margin of the fast test, see threshold_margin(); not for boxes that need care.
__device__ __forceinline__ float margin_with(const NmsArguments& arguments, const NmsBox& box,
                                             const Corners& other, float other_area) {
  const float negative = negative_intersection(box.corners, other);
  const float union_area = __fadd_rn(__fadd_rn(box.area, other_area), negative);
  return threshold_margin(negative, union_area, arguments.iou_threshold);
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
    const Corners other = others.at(i);
    const float negative = negative_intersection(box.corners, other);
    const float union_area = __fadd_rn(__fadd_rn(box.area, area(other)), negative);
    return box.careful() ? exceeds_carefully(-negative, union_area, arguments.iou_threshold)
                         : threshold_margin(negative, union_area, arguments.iou_threshold) < 0.0f;
  }
}

/// Pushes the decisions of the fast test between kRows boxes and kColumns shared boxes, one after
/// the other, into a word a row. `first` is a multiple of kColumns, if that is a whole group.
template <int kRows, int kColumns>
__device__ __forceinline__ void push_overlaps(const NmsArguments& arguments, const NmsBox* rows,
                                              const SharedBoxes& columns, int first,
                                              unsigned* bits) {
  float areas[static_cast<unsigned>(kColumns)];
  if constexpr (kColumns == kSharedBoxGroup) {
    const float4 four = columns.areas[first / kSharedBoxGroup];
    areas[0] = four.x;
    areas[1] = four.y;
    areas[2] = four.z;
    areas[3] = four.w;
  } else {
#pragma unroll
    for (int i = 0; i < kColumns; ++i)
      areas[i] = columns.area_at(first + i);
  }
#pragma unroll
  for (int i = 0; i < kColumns; ++i) {
    const Corners other = columns.at(first + i);
#pragma unroll
    for (int k = 0; k < kRows; ++k)
      bits[k] = push_sign(bits[k], margin_with(arguments, rows[k], other, areas[i]));
  }
}

/// Clears the bits of columns of other classes than the row's, for kRows boxes a lane and 32 shared
/// boxes; all lanes of the warp take part. Each class among the columns has a bucket with a bit for
/// each of them, so that a row looks its class up once. Where two of them have the same bucket,
/// rows compare classes for each bit that is set.
template <int kRows>
__device__ __forceinline__ void keep_same_class(const NmsBox* rows, const SharedBoxes& columns,
                                                unsigned* bits) {
  constexpr int kBuckets = 256;
  constexpr int kWarps = 8;  // of the largest block that compares classes so
  constexpr int kVectors = kBuckets / 4;
  CUDET_SHARED_ARRAY(uint4, vectors_of_warps, kWarps * kVectors);
  uint4* const vectors = vectors_of_warps + threadIdx.x / kWarpSize * kVectors;
  auto* const buckets = reinterpret_cast<unsigned*>(vectors);
  const unsigned lane = threadIdx.x % kWarpSize;
  const auto bucket_of = [&](std::int64_t class_id) {
    return buckets + static_cast<unsigned>(class_id) % kBuckets;
  };
  const auto class_of = [&](unsigned bucket) {  // not empty
    return columns.classes[__ffs(static_cast<int>(bucket)) - 1];
  };
  __syncwarp();  // the buckets of the last call have been read
  for (unsigned i = lane; i < kVectors; i += kWarpSize)
    vectors[i] = make_uint4(0u, 0u, 0u, 0u);
  __syncwarp();
  const std::int64_t own_class = columns.classes[lane];
  atomicOr(bucket_of(own_class), 1u << lane);
  __syncwarp();
  const bool one_class_a_bucket = class_of(*bucket_of(own_class)) == own_class;
  if (__all_sync(kFullWarp, static_cast<int>(one_class_a_bucket)) != 0) {
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      const unsigned bucket = *bucket_of(rows[k].class_id);
      const bool same = bucket != 0u && class_of(bucket) == rows[k].class_id;
      bits[k] &= same ? bucket : 0u;
    }
    return;
  }
#pragma unroll
  for (int k = 0; k < kRows; ++k) {
    bits[k] &= *bucket_of(rows[k].class_id);
    for (unsigned left = bits[k]; left != 0u; left &= left - 1u) {
      if (class_of(left) != rows[k].class_id) bits[k] &= ~(left & (0u - left));
    }
  }
}

/// For each of kRows boxes, which of the 32 shared boxes overlap it; with kCompareClasses, of those
/// of its class, and then all lanes of the warp take part.
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
    [[maybe_unused]] constexpr int kUnrolled = kRows > 2 ? 2 : 8;
#pragma unroll kUnrolled
    for (int first = 0; first < kColumns; first += kSharedBoxGroup)
      push_overlaps<kRows, kSharedBoxGroup>(arguments, rows, columns, first, bits);
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      bits[k] = __brev(bits[k]);  // the first one was pushed furthest up
      if (!rows[k].careful()) continue;
      bits[k] = 0u;
#pragma unroll 1
      for (int i = 0; i < kColumns; ++i)
        test_one(k, i);
    }
    if constexpr (kCompareClasses) keep_same_class<kRows>(rows, columns, bits);
  }
}

/// What share_left() has to be below for a test: nothing is where a box is not alive.
__device__ __forceinline__ float share_bound(const NmsBox& box, bool alive) {
  return alive ? -box.share : -INFINITY;
}

/// The least that intersections of each of kRows boxes with a group of others leave of the shares
/// of those.
template <int kRows>
__device__ __forceinline__ void least_share_left(const NmsBox* rows, const float4* corners,
                                                 const float4& shares, float* least) {
  const float share[kSharedBoxGroup] = {shares.x, shares.y, shares.z, shares.w};
#pragma unroll
  for (int i = 0; i < kSharedBoxGroup; ++i) {
    const float4 c = corners[i];
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      const float left = share_left(rows[k].corners, {c.x, c.y, c.z, c.w}, share[i]);
      least[k] = i == 0 ? left : fminf(least[k], left);
    }
  }
}

/// For each of kRows boxes that is alive, whether it still is when it has met the shared boxes from
/// `begin`, a multiple of kSharedBoxGroup, to `end`; with kCompareClasses, those of its class. With
/// the fast test it meets a group at a time, and the last one is filled up. That is for boxes few
/// of which are dropped: where shares let one pass, the group is tested again.
template <bool kCompareClasses, NmsTest kTest, int kRows>
__device__ __forceinline__ void drop_overlapping(const NmsArguments& arguments, const NmsBox* rows,
                                                 const SharedBoxes& others, int begin, int end,
                                                 bool* alive) {
  const auto test_one_by_one = [&](int k, int from, int to) {
#pragma unroll 1
    for (int i = from; i < to && alive[k]; ++i) {
      if (kCompareClasses && others.classes[i] != rows[k].class_id) continue;
      alive[k] = !overlaps<kTest>(arguments, rows[k], others, i);
    }
  };
  if constexpr (kTest != NmsTest::fast) {
#pragma unroll
    for (int k = 0; k < kRows; ++k)
      test_one_by_one(k, begin, end);
  } else {
    float bound[static_cast<unsigned>(kRows)];
    const auto any_alive = [&] {
      bool any = false;
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        any = any || alive[k];
      return any;
    };
#pragma unroll
    for (int k = 0; k < kRows; ++k)
      bound[k] = share_bound(rows[k], alive[k]);
    const float4* corners = others.corners + begin;
    const float4* shares = others.shares + begin / kSharedBoxGroup;
    const float4* stop = any_alive() ? others.corners + end : corners;
#pragma unroll 1
    for (; corners < stop; corners += kSharedBoxGroup, ++shares) {
      float least[static_cast<unsigned>(kRows)];
      least_share_left<kRows>(rows, corners, *shares, least);
      bool hit = false;
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        hit = hit | (least[k] < bound[k]);
      if (!hit) continue;
      const auto first = static_cast<int>(corners - others.corners);
#pragma unroll
      for (int k = 0; k < kRows; ++k) {
        if (!(least[k] < bound[k])) continue;
        test_one_by_one(k, first, first + kSharedBoxGroup);
        bound[k] = share_bound(rows[k], alive[k]);
      }
      if (!any_alive()) stop = corners;  // and not a return, so that lanes go on together
    }
  }
}

/// How pairs that overlap too little for the fast test are told from others, in as few operations
/// as can be. What is left has to be tested.
enum class PairFilter {
  intersection,  ///< they have no more than an edge in common
  shares         ///< see share_left(); takes two operations more, and leaves hardly any in vain
};

/// Of the first kColumns shared boxes, clears for each of kRows boxes the flags of those that the
/// filter tells to be too far.
template <PairFilter kFilter, int kRows, int kColumns>
__device__ __forceinline__ void clear_far(const NmsBox* rows, const SharedBoxes& columns,
                                          unsigned* flags) {
  constexpr int kStep = kColumns < kWarpSize / 2 ? kColumns : kWarpSize / 2;
  static_assert(kColumns % kStep == 0 && kStep % kSharedBoxGroup == 0, "whole groups");
  unsigned close[static_cast<unsigned>(kRows)] = {};
  SharedBoxes next = columns;
#pragma unroll 1
  for (int first = 0; first < kColumns; first += kStep) {
#pragma unroll
    for (int i = 0; i < kStep; ++i) {
      const Corners other = next.at(i);
#pragma unroll
      for (int k = 0; k < kRows; ++k) {
        float far;  // has no sign then
        if constexpr (kFilter == PairFilter::intersection) {
          const Corners& row = rows[k].corners;
          far = fmaxf(__fsub_rn(fmaxf(row.x1, other.x1), fminf(row.x2, other.x2)),
                      __fsub_rn(fmaxf(row.y1, other.y1), fminf(row.y2, other.y2)));
        } else {
          far = __fadd_rn(share_left(rows[k].corners, other, next.share_at(i)), rows[k].share);
        }
        close[k] = push_sign(close[k], far);
      }
    }
    next = next.from(kStep);
  }
#pragma unroll
  for (int k = 0; k < kRows; ++k)
    flags[k] &= __brev(close[k]) >> (kWarpSize - kColumns);  // the first was pushed furthest up
}

/// Which of the flagged shared boxes overlap a box; the first of them, unless all are wanted.
template <NmsTest kTest>
__device__ __forceinline__ unsigned overlapping(const NmsArguments& arguments, const NmsBox& box,
                                                const SharedBoxes& others, unsigned flags,
                                                bool all = true) {
  unsigned found = 0u;
#pragma unroll 1
  for (unsigned left = flags; left != 0u && (all || found == 0u); left &= left - 1u) {
    const int other = __ffs(static_cast<int>(left)) - 1;
    found |= static_cast<unsigned>(overlaps<kTest>(arguments, box, others, other)) << other;
  }
  return found;
}

/// The first of the shared boxes from `begin` to `end` that shares do not rule out for the fast
/// test, `end` if they rule out all. With kAligned, `begin` is a multiple of kSharedBoxGroup.
template <bool kAligned>
__device__ __forceinline__ int first_close(const NmsBox& box, const SharedBoxes& others, int begin,
                                           int end) {
  const float bound = share_bound(box, true);
  const float4* corners = others.corners + begin;
  const float* shares = &others.share_at(begin);
  const float4* const stop = others.corners + end;
  const float4* const group_stop = corners + (end - begin) / kSharedBoxGroup * kSharedBoxGroup;
  const auto is_close = [&](int i, float share) {
    const float4 c = corners[i];
    return share_left(box.corners, {c.x, c.y, c.z, c.w}, share) < bound;
  };
  const auto number = [&](int i) { return static_cast<int>(corners - others.corners) + i; };
#pragma unroll 1
  for (; corners != group_stop; corners += kSharedBoxGroup, shares += kSharedBoxGroup) {
    float4 four = {};
    if constexpr (kAligned) four = *reinterpret_cast<const float4*>(shares);
    if (is_close(0, kAligned ? four.x : shares[0])) return number(0);
    if (is_close(1, kAligned ? four.y : shares[1])) return number(1);
    if (is_close(2, kAligned ? four.z : shares[2])) return number(2);
    if (is_close(3, kAligned ? four.w : shares[3])) return number(3);
  }
#pragma unroll 1
  for (; corners != stop && !is_close(0, *shares); ++corners, ++shares) {
  }
  return number(0);
}

/// The first of the shared boxes from `begin` to `end` that overlaps a box, `end` if none does.
/// What shares do not rule out hardly ever comes out otherwise, so that from there on each is
/// tested; threads wait for each other before that.
template <NmsTest kTest, bool kAligned>
__device__ __forceinline__ int first_overlapping(const NmsArguments& arguments, const NmsBox& box,
                                                 const SharedBoxes& others, int begin, int end) {
  int i = begin;
  if constexpr (kTest == NmsTest::fast) i = first_close<kAligned>(box, others, begin, end);
#pragma unroll 1
  while (i < end && !overlaps<kTest>(arguments, box, others, i))
    ++i;
  return i;
}

}  // namespace cudet::device
