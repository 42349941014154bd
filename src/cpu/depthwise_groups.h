// The channels of a depthwise convolution in the groups that are computed together.
#pragma once

#include "depthwise_image.h"

#include <algorithm>
#include <cstdint>

namespace cudet::cpu {

/// True where the channels of a slab are computed side by side: in nhwc, where they lie so, and in
/// nchw where that is worth turning planes that fit in the second-level cache: with strides, and
/// with rows that leave a quarter of a vector's lanes without a column.
inline bool suits_slabs(const DepthwiseConvShape& shape) {
  if (shape.layout == ImageLayout::nhwc) return true;
  constexpr std::int64_t kMostPlaces = 1 << 14;
  const bool strided = shape.stride_h > 1 || shape.stride_w > 1;
  const std::int64_t lanes = (shape.ow + kSlab - 1) / kSlab * kSlab;
  return shape.type == DataType::float32 && (shape.c % kSlab == 0 || shape.c >= 3 * kSlab) &&
         shape.w <= kMostPlaces / std::max<std::int64_t>(shape.h, 1) &&
         (strided || 4 * shape.ow <= 3 * lanes);
}

class ChannelGroups {
 public:
  explicit ChannelGroups(const DepthwiseConvShape& shape)
      : channels_(shape.c), multiplier_(shape.multiplier), lanes_(suits_slabs(shape) ? kSlab : 1) {}

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

/// Output rows of a band, so that what they read stays in the second-level cache. With a pool a
/// plane is one band.
inline std::int64_t rows_of_band(const DepthwiseConvShape& shape, const DepthwiseConvOutput& output,
                                 int lanes) {
  constexpr std::int64_t kNumbers = 1 << 15;
  constexpr std::int64_t kFewestRows = 8;
  if (output.pool.present()) return shape.oh;
  const std::int64_t row = (shape.w + shape.pad_left + shape.pad_right) * lanes;
  return std::min(shape.oh, std::max(kFewestRows, kNumbers / row));
}

/// Items of a stretch, of `items` that a call's images are: few stretches, since each may have
/// buffers of its own, but enough that threads end together, and none so short that starting a
/// thread for it takes longer.
inline std::int64_t stretch_of(const DepthwiseConvShape& shape, std::int64_t items, int threads) {
  // Of a number reading and writing take as long as some products.
  constexpr double kMoving = 8.0;
  constexpr double kFewestProducts = 1 << 19;
  const auto numbers = static_cast<double>(shape.n * shape.out_channels() *
                                           std::max(shape.h * shape.w, shape.oh * shape.ow));
  const auto taps = static_cast<double>(shape.kernel_h * shape.kernel_w);
  const double products = numbers * (taps + kMoving);
  const double shortest = std::min(1.0, kFewestProducts / std::max(products, 1.0));
  return std::max({std::int64_t{1},
                   static_cast<std::int64_t>(shortest * static_cast<double>(items)),
                   items / (8 * static_cast<std::int64_t>(threads))});
}

}  // namespace cudet::cpu
