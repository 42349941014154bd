// The channels of a depthwise convolution in the groups that are computed together.
#pragma once

#include "depthwise_image.h"

#include <algorithm>
#include <cstdint>
#include <vector>

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

/// Bias of the channels of a group, 0 where there is none.
inline std::vector<float> bias_of(const Tensor& bias, const ChannelGroup& group) {
  std::vector<float> values(static_cast<std::size_t>(group.lanes), 0.0f);
  for (int k = 0; bias.present() && k < group.count; ++k)
    values[static_cast<std::size_t>(k)] = reference::real_at(bias, group.first + k * group.step);
  return values;
}

inline void add_bias(const std::vector<float>& bias, float* row, std::int64_t count) {
  const auto lanes = static_cast<std::int64_t>(bias.size());
  for (std::int64_t first = 0; first < count; first += lanes) {
    for (std::int64_t k = 0; k < lanes; ++k)
      row[first + k] += bias[static_cast<std::size_t>(k)];
  }
}

}  // namespace cudet::cpu
