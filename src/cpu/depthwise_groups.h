// The channels of a depthwise convolution in the groups that are computed together.
#pragma once

#include "depthwise_image.h"

#include <algorithm>
#include <cstdint>

namespace cudet::cpu {

class ChannelGroups {
 public:
  explicit ChannelGroups(const DepthwiseConvShape& shape)
      : channels_(shape.c),
        multiplier_(shape.multiplier),
        lanes_(shape.layout == ImageLayout::nchw ? 1 : kSlab) {}

  int lanes() const { return lanes_; }
  std::int64_t count() const { return (channels_ + lanes_ - 1) / lanes_; }

  /// Channels of x of group `number`.
  ChannelGroup of_x(std::int64_t number) const {
    const std::int64_t first = number * lanes_;
    return {first, 1, static_cast<int>(std::min<std::int64_t>(lanes_, channels_ - first)), lanes_};
  }

  /// Of those channels of y that read them, number `copy` each.
  ChannelGroup of_y(std::int64_t number, std::int64_t copy) const {
    ChannelGroup group = of_x(number);
    group.first = group.first * multiplier_ + copy;
    group.step = multiplier_;
    return group;
  }

 private:
  std::int64_t channels_;
  std::int64_t multiplier_;
  int lanes_;
};

/// Items of a stretch: few stretches, since each has buffers of its own, but enough that threads
/// end together.
inline std::int64_t stretch_of(std::int64_t items, int threads) {
  return std::max<std::int64_t>(1, items / (8 * static_cast<std::int64_t>(threads)));
}

/// sums[lane] += the numbers of the lane in a row of `columns` places.
inline void add_row(const float* row, std::int64_t columns, int lanes, double* sums) {
  for (std::int64_t j = 0; j < columns; ++j) {
    for (int k = 0; k < lanes; ++k)
      sums[k] += static_cast<double>(row[j * lanes + k]);
  }
}

}  // namespace cudet::cpu
