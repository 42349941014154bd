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
  HostTensor boxes;           ///< [batch, n, 4] and the other forms of NmsInput
  HostTensor scores;          ///< [batch, n] and the other forms
  HostTensor classes;         ///< [batch, n] or absent
  HostTensor counts;          ///< [batch] or absent
  HostTensor offsets;         ///< [batch + 1] or absent
  HostTensor iou_thresholds;  ///< [T] or absent
  std::int64_t max_image_boxes = NmsOptions::kNoLimit;

  bool ragged() const { return offsets.present(); }
  bool dense() const { return scores.shape().size() == (ragged() ? 2u : 3u); }
  bool class_box() const { return dense() && options.score_layout == ScoreLayout::class_box; }
  bool boxes_per_class() const {
    return boxes.shape().size() == scores.shape().size() + 1 && dense();
  }
  bool class_aware() const { return (dense() || classes.present()) && !options.class_agnostic; }
  std::int64_t batch() const;
  std::int64_t n() const;
  std::int64_t class_count() const;
  std::int64_t elements() const { return n() * class_count(); }
  std::int64_t capacity() const {
    return options.max_outputs == NmsOptions::kNoLimit ? elements() : options.max_outputs;
  }

  /// Read-only views of the host arrays.
  NmsInput input() const;

  /// Options, shapes and types in one line, for messages.
  std::string describe() const;
};

/// A problem of one image, float32, without classes and counts; boxes of 4 or 5 numbers.
NmsProblem make_nms_problem(const std::vector<float>& boxes, const std::vector<float>& scores,
                            float iou_threshold, std::int64_t numbers = 4);

struct NmsResult {
  HostTensor count, indices, boxes, scores, classes, keep, suppressed_by;
  NmsOutput output();
  /// All seven, in this order.
  std::vector<HostTensor*> all();
  std::vector<const HostTensor*> all() const;
  /// Indices that image `image` keeps.
  std::vector<std::int64_t> kept(std::int64_t image) const;
};

/// Poisoned outputs of the right shapes; classes only where the input has some.
NmsResult make_nms_result(const NmsProblem& problem, DataType index_type = DataType::int32);

/// All outputs bit for bit.
testing::AssertionResult same_result(const NmsResult& got, const NmsResult& expected);

/// What the reference gives for `problem`, checked for success. The CPU mode must give the same.
NmsResult reference_result(const NmsProblem& problem, DataType index_type = DataType::int32);

/// Images of `n` boxes and scores each, float32 and without classes, and the default options.
NmsProblem random_images(Random& random, std::int64_t batch, std::int64_t n,
                         BoxDistribution distribution, ScoreDistribution score_distribution);

/// Greedy problems: options, forms of input, types, formats, limits and thresholds at random, with
/// thresholds that are met exactly among them; at most `largest_n` boxes an image and
/// `largest_batch` images.
NmsProblem random_nms_problem(Random& random, std::int64_t largest_n, std::int64_t largest_batch);

/// The same with any method.
NmsProblem random_method_problem(Random& random, std::int64_t largest_n,
                                 std::int64_t largest_batch);

/// The same with rotated boxes and the methods that know them.
NmsProblem random_rotated_problem(Random& random, std::int64_t largest_n,
                                  std::int64_t largest_batch);

/// Multiplies boxes of ordinary size by a power of two, so that their areas are subnormal or close
/// to it, or close to the largest number.
void rescale_boxes(Random& random, std::vector<float>* boxes);

/// A flat problem of the options that have been there from the beginning: greedy IoU, batches of
/// equal images.
NmsProblem random_flat_problem(Random& random, std::int64_t largest_n, std::int64_t largest_batch);

}  // namespace cudet::test
