// What follows the sums of products of a depthwise convolution: activation, residual, pooling.
#pragma once

#include "depthwise_image.h"

#include <cstdint>
#include <vector>

namespace cudet::cpu {

class DepthwiseEpilogue {
 public:
  DepthwiseEpilogue(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                    const DepthwiseConvInput& input, const DepthwiseConvOutput& output);

  /// True where sums may be put into y and finished there.
  bool in_place() const { return in_place_; }

  /// `count` elements of y from number `first` on, from their sums, which are there.
  void run_in_place(std::int64_t first, std::int64_t count) const;

  /// Row i of a group of channels of image b, from its sums in `row`.
  void run(float* row, std::int64_t b, const ChannelGroup& group, std::int64_t i);

 private:
  void activate(float* values, std::int64_t count) const;

  const DepthwiseConvShape& shape_;
  const DepthwiseConvOptions& options_;
  const DepthwiseConvInput& input_;
  const DepthwiseConvOutput& output_;
  reference::ImageIndex y_;
  bool in_place_;
  std::vector<float> residual_;  ///< a row
};

}  // namespace cudet::cpu
