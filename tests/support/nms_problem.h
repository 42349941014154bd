// Inputs and results of nms() in host memory, random problems, and a check of a result against the
// definition that shares no code with the library.
#pragma once

#include "host_tensor.h"
#include "random.h"

#include <cudet/nms.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {

struct NmsProblem {
  NmsOptions options;
  HostTensor boxes;    ///< [batch, n, 4]
  HostTensor scores;   ///< [batch, n]
  HostTensor classes;  ///< [batch, n] or absent
  HostTensor counts;   ///< [batch] or absent

  std::int64_t batch() const { return boxes.shape()[0]; }
  std::int64_t n() const { return boxes.shape()[1]; }
  std::int64_t capacity() const {
    return options.max_outputs == NmsOptions::kNoLimit ? n() : options.max_outputs;
  }

  /// Read-only views of the host arrays.
  NmsInput input() const;

  /// Options, shapes and types in one line, for messages.
  std::string describe() const;
};

/// A problem of one image, float32, without classes and counts.
NmsProblem make_nms_problem(const std::vector<float>& boxes, const std::vector<float>& scores,
                            float iou_threshold);

struct NmsResult {
  HostTensor count, indices, boxes, scores, classes;
  NmsOutput output();
  /// Indices that image `image` keeps.
  std::vector<std::int64_t> kept(std::int64_t image) const;
};

/// Poisoned outputs of the right shapes; classes only where the input has some.
NmsResult make_nms_result(const NmsProblem& problem, DataType index_type = DataType::int32);

/// All outputs bit for bit.
testing::AssertionResult same_result(const NmsResult& got, const NmsResult& expected);

/// Options, types, formats, classes, counts, limits and thresholds at random, with thresholds that
/// are met exactly among them; at most `largest_n` boxes an image and `largest_batch` images.
NmsProblem random_nms_problem(Random& random, std::int64_t largest_n, std::int64_t largest_batch);

/// Multiplies boxes of ordinary size by a power of two, so that their areas are subnormal or close
/// to it, or close to the largest number.
void rescale_boxes(Random& random, std::vector<float>* boxes);

/// A box as include/cudet/box.h reads it.
struct Corners {
  float x1, y1, x2, y2;
  bool valid;
};
Corners corners_of(const NmsProblem& problem, std::int64_t image, std::int64_t index);

/// IoU with every operation rounded to float32; 0 for invalid boxes and for 0 / 0.
float float32_iou(const Corners& a, const Corners& b);

/// True where `result`, with every output present, is what the definition asks for: kept boxes are
/// candidates in order, none of them suppressed by an earlier one; every other candidate is
/// suppressed by a kept one before it or lies beyond the limit; values are copies and slots behind
/// the count are padding. This determines the result uniquely.
testing::AssertionResult is_nms_of(const NmsResult& result, const NmsProblem& problem);

}  // namespace cudet::test
