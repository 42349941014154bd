// An array of boxes as kernels receive it.
#pragma once

#include <cudet/box.h>
#include <cudet/tensor.h>

#include <cstdint>

namespace cudet::device {

struct BoxArray {
  const void* data;
  DataType type;
  BoxFormat format;
  bool legacy_offset;
  bool aligned;  ///< every box starts on a multiple of its size, so that one access reads it
};

inline BoxArray make_box_array(const Tensor& boxes, BoxFormat format, bool legacy_offset) {
  const auto address = reinterpret_cast<std::uintptr_t>(boxes.data());
  const auto box_bytes = static_cast<std::uintptr_t>(4 * size_of(boxes.type()));
  return {boxes.data(), boxes.type(), format, legacy_offset, address % box_bytes == 0};
}

}  // namespace cudet::device
