#include "depthwise_image.h"

#include "real_block.h"

#include <algorithm>
#include <cstring>

namespace cudet::cpu {
namespace {

/// True where a place's numbers lie together, all of them, as float32.
bool is_whole_slab(const Tensor& tensor, const ChannelGroup& group) {
  return tensor.type() == DataType::float32 && group.step == 1 && group.count == kSlab;
}

ChannelRows rows_of(const reference::ImageIndex& index, const ChannelGroup& group) {
  return {group.step * index.rows * index.columns, group.count, index.columns};
}

}  // namespace

void load_row(const Tensor& tensor, const reference::ImageIndex& index, std::int64_t b,
              const ChannelGroup& group, std::int64_t row, float* line) {
  const std::int64_t first = index(b, group.first, row, 0);
  if (group.lanes == 1) return load_reals(tensor, first, index.columns, line);
  if (index.layout == ImageLayout::nchw) {
    const float* const from = tensor.data_as<const float>() + first;
    return depthwise_loops().interleave(from, rows_of(index, group), line);
  }
  if (is_whole_slab(tensor, group)) {
    const float* from = tensor.data_as<const float>() + first;
    for (std::int64_t j = 0; j < index.columns; ++j)
      std::memcpy(line + j * kSlab, from + j * index.channels, kSlab * sizeof(float));
    return;
  }
  std::fill_n(line, index.columns * kSlab, 0.0f);
  for (std::int64_t j = 0; j < index.columns; ++j) {
    for (int k = 0; k < group.count; ++k) {
      line[j * kSlab + k] = reference::real_at(tensor, first + j * index.channels + k * group.step);
    }
  }
}

void store_row(const Tensor& tensor, const reference::ImageIndex& index, std::int64_t b,
               const ChannelGroup& group, std::int64_t row, const float* line) {
  const std::int64_t first = index(b, group.first, row, 0);
  if (group.lanes == 1) return store_reals(tensor, first, index.columns, line);
  if (index.layout == ImageLayout::nchw) {
    float* const to = tensor.data_as<float>() + first;
    return depthwise_loops().separate(line, rows_of(index, group), to);
  }
  if (is_whole_slab(tensor, group)) {
    float* to = tensor.data_as<float>() + first;
    for (std::int64_t j = 0; j < index.columns; ++j)
      std::memcpy(to + j * index.channels, line + j * kSlab, kSlab * sizeof(float));
    return;
  }
  for (std::int64_t j = 0; j < index.columns; ++j) {
    for (int k = 0; k < group.count; ++k) {
      reference::store_real(tensor, first + j * index.channels + k * group.step,
                            line[j * kSlab + k]);
    }
  }
}

}  // namespace cudet::cpu
