// Images of the depthwise convolution, row by row, for the channels that are computed together.
#pragma once

#include "../reference/depthwise_conv.h"
#include "depthwise_loops.h"

#include <cstdint>
#include <vector>

namespace cudet::cpu {

/// Channels first, first + step, ... that are computed together: one, or a slab that may have fewer
/// than kSlab. In nchw slabs are of float32 alone.
struct ChannelGroup {
  std::int64_t first;
  std::int64_t step;
  int count;
  int lanes;  ///< numbers of a place: 1 or kSlab
};

/// line[column * lanes + k] = element (b, channel k of the group, row, column); 0 for the channels
/// that a slab lacks.
void load_row(const Tensor& tensor, const reference::ImageIndex& index, std::int64_t b,
              const ChannelGroup& group, std::int64_t row, float* line);

/// The way back.
void store_row(const Tensor& tensor, const reference::ImageIndex& index, std::int64_t b,
               const ChannelGroup& group, std::int64_t row, const float* line);

}  // namespace cudet::cpu
