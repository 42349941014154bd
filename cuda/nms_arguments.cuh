// What a call of nms() hands to its kernels: where the elements of an image lie, their scores,
// classes and boxes, the order of scores, and the outputs. An element is what takes part: a box, or
// with dense scores a pair of box i and class c, numbered i * classes + c.
#pragma once

#include "device/box.cuh"
#include "device/pinned_math.h"
#include "device/real.cuh"

#include "../src/nms_plan.h"
#include "iou_threshold.h"

#include <cuda_runtime.h>

#include <cstdint>

namespace cudet::device {

/// Outputs; a null pointer is one that nobody wants.
struct NmsSlots {
  std::int32_t* count;
  void* indices;
  bool indices_are_64_bit;
  void* boxes;
  void* scores;
  void* classes;
  bool classes_are_64_bit;
  std::uint8_t* keep;
  void* suppressed_by;
  bool suppressed_by_is_64_bit;
};

struct NmsArguments {
  BoxArray boxes;
  const void* scores;
  DataType score_type;
  const void* classes;
  bool classes_are_64_bit;
  const std::int32_t* counts;
  const void* offsets;
  bool offsets_are_64_bit;
  bool class_aware;
  bool dense;
  bool boxes_per_class;
  bool class_box;  ///< dense scores lie class after class
  bool sigmoid;
  bool reorder_corners;
  AngleUnit angle_unit;  ///< of rotated boxes
  AngleDirection angle_direction;
  int box_numbers;  ///< 5 for rotated boxes, else 4
  std::int64_t total;
  std::int64_t n;
  std::int64_t class_count;
  std::int64_t elements;
  std::int64_t candidates;  ///< elements an image that can take part, at most
  std::int64_t capacity;
  std::int64_t class_capacity;  ///< the most boxes of a class that an image keeps
  NmsScoreThreshold score_threshold;
  std::int64_t background_class;

  IouThreshold iou_threshold;  ///< of the fast test, see nms_overlap.cuh
  OverlapMetric metric;        ///< what follows is of the general test
  float threshold;
  bool suppress_equal;
  const float* class_thresholds;
  std::int64_t class_threshold_count;

  NmsMethod method;
  float sigma;
  float decayed_score_threshold;

  /// Sort keys of selected elements, [batch, candidates]; null: all elements of an image can take
  /// part, and the kernel makes the keys itself.
  const std::uint64_t* selected_keys;
  NmsSlots out;
};

/// An image's place in the arrays.
struct NmsImage {
  std::int64_t index;
  std::int64_t first_box;  ///< its first box among those of the batch
  std::int64_t boxes;      ///< how many it has
};

__device__ __forceinline__ std::int64_t load_integer(const void* data, bool is_64_bit,
                                                     std::int64_t index) {
  return is_64_bit ? static_cast<const std::int64_t*>(data)[index]
                   : static_cast<const std::int32_t*>(data)[index];
}

__device__ __forceinline__ std::int64_t clamp(std::int64_t value, std::int64_t low,
                                              std::int64_t high) {
  return value < low ? low : (value > high ? high : value);
}

__device__ __forceinline__ NmsImage locate_image(const NmsArguments& arguments,
                                                 std::int64_t image) {
  if (arguments.offsets != nullptr) {
    const std::int64_t first = clamp(
        load_integer(arguments.offsets, arguments.offsets_are_64_bit, image), 0, arguments.total);
    const std::int64_t end =
        clamp(load_integer(arguments.offsets, arguments.offsets_are_64_bit, image + 1), first,
              arguments.total);
    return {image, first, clamp(end - first, 0, arguments.n)};
  }
  const std::int64_t boxes =
      arguments.counts == nullptr ? arguments.n : clamp(arguments.counts[image], 0, arguments.n);
  return {image, image * arguments.n, boxes};
}

/// Box and class of an element.
struct NmsElement {
  std::int64_t box;
  std::int64_t class_index;  ///< of dense scores
};

__device__ __forceinline__ NmsElement split_element(const NmsArguments& arguments,
                                                    unsigned element) {
  if (!arguments.dense) return {element, 0};
  const auto classes = static_cast<unsigned>(arguments.class_count);
  return {element / classes, element % classes};
}

/// Where the score of an element lies, and its entry in outputs of that shape.
__device__ __forceinline__ std::int64_t score_position(const NmsArguments& arguments,
                                                       const NmsImage& image, unsigned element) {
  if (!arguments.class_box) return image.first_box * arguments.class_count + element;
  const NmsElement e = split_element(arguments, element);
  return (image.index * arguments.class_count + e.class_index) * arguments.n + e.box;
}

__device__ __forceinline__ std::int64_t load_class(const NmsArguments& arguments,
                                                   const NmsImage& image, unsigned element) {
  if (arguments.dense) return split_element(arguments, element).class_index;
  return load_integer(arguments.classes, arguments.classes_are_64_bit, image.first_box + element);
}

/// Which of the boxes in memory an element has.
__device__ __forceinline__ std::int64_t box_position(const NmsArguments& arguments,
                                                     const NmsImage& image, unsigned element) {
  if (arguments.boxes_per_class) return image.first_box * arguments.class_count + element;
  return image.first_box + split_element(arguments, element).box;
}

/// Sorts after every candidate.
constexpr unsigned kNotACandidate = 0xffffffffu;

/// A number that orders candidates by decreasing score: equal for equal scores (-0 and 0 too),
/// kNotACandidate for a score that does not pass the threshold, which NaN never does. The bits of
/// positive floats grow with them and those of negative ones fall; flipping evens that out.
__device__ __forceinline__ unsigned score_key(float score, const NmsScoreThreshold& threshold) {
  const bool passes = score > threshold.value || (threshold.inclusive && score == threshold.value);
  if (!passes) return kNotACandidate;
  const unsigned bits = score == 0.0f ? 0u : __float_as_uint(score);
  const unsigned ascending = (bits >> 31) != 0u ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

/// The key of an element, which may lie behind the boxes that its image really has.
__device__ __forceinline__ unsigned element_key(const NmsArguments& arguments,
                                                const NmsImage& image, unsigned element) {
  if (element >= image.boxes * arguments.class_count) return kNotACandidate;
  const std::int64_t position = score_position(arguments, image, element);
  const unsigned key = score_key(load_real(arguments.scores, arguments.score_type, position),
                                 arguments.score_threshold);
  if (arguments.background_class == NmsOptions::kNoClass || key == kNotACandidate) return key;
  return load_class(arguments, image, element) == arguments.background_class ? kNotACandidate : key;
}

/// Element `index` of an array as bits; `bytes`, the size of an element, is 2, 4 or 8.
__device__ __forceinline__ std::uint64_t load_bits(const void* array, std::int64_t index,
                                                   int bytes) {
  if (bytes == 2) return static_cast<const std::uint16_t*>(array)[index];
  if (bytes == 4) return static_cast<const std::uint32_t*>(array)[index];
  return static_cast<const std::uint64_t*>(array)[index];
}

__device__ __forceinline__ void store_bits(void* array, std::int64_t index, int bytes,
                                           std::uint64_t bits) {
  if (bytes == 2) {
    static_cast<std::uint16_t*>(array)[index] = static_cast<std::uint16_t>(bits);
  } else if (bytes == 4) {
    static_cast<std::uint32_t*>(array)[index] = static_cast<std::uint32_t>(bits);
  } else {
    static_cast<std::uint64_t*>(array)[index] = bits;
  }
}

__device__ __forceinline__ void store_integer(void* array, bool is_64_bit, std::int64_t index,
                                              std::int64_t value) {
  store_bits(array, index, is_64_bit ? 8 : 4, static_cast<std::uint64_t>(value));
}

__device__ __forceinline__ int bytes_of(DataType type) {
  return type == DataType::float32 ? 4 : 2;
}

/// Bits of `value` in a type of real numbers, rounded once.
__device__ __forceinline__ std::uint64_t bits_of(float value, DataType type) {
  if (type == DataType::float16) return __half_as_ushort(from_float<__half>(value));
  if (type == DataType::bfloat16) return __bfloat16_as_ushort(from_float<__nv_bfloat16>(value));
  return __float_as_uint(value);
}

/// The score of an element as options mean it.
__device__ __forceinline__ float activated_score(const NmsArguments& arguments,
                                                 const NmsImage& image, unsigned element) {
  const float score =
      load_real(arguments.scores, arguments.score_type, score_position(arguments, image, element));
  return arguments.sigmoid ? pinned::sigmoid(score) : score;
}

/// Fills an output slot of an image with padding.
__device__ __forceinline__ void write_padding(const NmsArguments& arguments, std::int64_t image,
                                              std::int64_t slot) {
  const NmsSlots& out = arguments.out;
  const std::int64_t to = image * arguments.capacity + slot;
  if (out.indices != nullptr) store_integer(out.indices, out.indices_are_64_bit, to, -1);
  if (out.boxes != nullptr) {
    const int bytes = bytes_of(arguments.boxes.type);
    for (int i = 0; i < arguments.box_numbers; ++i)
      store_bits(out.boxes, arguments.box_numbers * to + i, bytes, 0);
  }
  if (out.scores != nullptr) store_bits(out.scores, to, bytes_of(arguments.score_type), 0);
  if (out.classes != nullptr) store_integer(out.classes, out.classes_are_64_bit, to, -1);
}

/// Writes a kept element into output slot `slot` of its image, with another score than its own
/// where `score` points to one.
__device__ __forceinline__ void write_slot(const NmsArguments& arguments, const NmsImage& image,
                                           std::int64_t slot, unsigned element,
                                           const float* score = nullptr) {
  const NmsSlots& out = arguments.out;
  const std::int64_t to = image.index * arguments.capacity + slot;
  if (out.indices != nullptr) {
    store_integer(out.indices, out.indices_are_64_bit, to, split_element(arguments, element).box);
  }
  if (out.boxes != nullptr) {
    const int bytes = bytes_of(arguments.boxes.type);
    const int numbers = arguments.box_numbers;
    const std::int64_t from = numbers * box_position(arguments, image, element);
    for (int i = 0; i < numbers; ++i) {
      store_bits(out.boxes, numbers * to + i, bytes,
                 load_bits(arguments.boxes.data, from + i, bytes));
    }
  }
  if (out.scores != nullptr) {
    const int bytes = bytes_of(arguments.score_type);
    std::uint64_t bits;
    if (score != nullptr || arguments.sigmoid) {
      bits = bits_of(score != nullptr ? *score : activated_score(arguments, image, element),
                     arguments.score_type);
    } else {
      bits = load_bits(arguments.scores, score_position(arguments, image, element), bytes);
    }
    store_bits(out.scores, to, bytes, bits);
  }
  if (out.classes != nullptr) {
    store_integer(out.classes, out.classes_are_64_bit, to, load_class(arguments, image, element));
  }
}

/// The outputs that have an entry for each element: first all of them, ...
__device__ __forceinline__ void write_not_kept(const NmsArguments& arguments, const NmsImage& image,
                                               unsigned element) {
  const NmsSlots& out = arguments.out;
  if (out.keep == nullptr && out.suppressed_by == nullptr) return;
  if (arguments.offsets != nullptr && element >= image.boxes * arguments.class_count) return;
  const std::int64_t to = score_position(arguments, image, element);
  if (out.keep != nullptr) out.keep[to] = 0;
  if (out.suppressed_by != nullptr) {
    store_integer(out.suppressed_by, out.suppressed_by_is_64_bit, to, -1);
  }
}

/// ... and once it is known, what is kept and what is suppressed.
__device__ __forceinline__ void write_kept(const NmsArguments& arguments, const NmsImage& image,
                                           unsigned element) {
  if (arguments.out.keep != nullptr) {
    arguments.out.keep[score_position(arguments, image, element)] = 1;
  }
}

__device__ __forceinline__ void write_suppressor(const NmsArguments& arguments,
                                                 const NmsImage& image, unsigned element,
                                                 unsigned suppressor) {
  store_integer(arguments.out.suppressed_by, arguments.out.suppressed_by_is_64_bit,
                score_position(arguments, image, element),
                split_element(arguments, suppressor).box);
}

}  // namespace cudet::device
