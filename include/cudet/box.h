// How the four numbers of a box are read; shared by all families.
//
// On load a box becomes its corners (x1, y1, x2, y2) in float32, with one rounding an operation:
//   xyxy    x1, y1, x2, y2                              corners, the upper left one first
//   xywh    x, y, x + w, y + h                          upper left corner and size (COCO)
//   cxcywh  cx - w/2, cy - h/2, cx + w/2, cy + h/2      centre and size (YOLO, DETR)
// and with `legacy_offset` x2 and y2 then grow by 1: the corners are the first and the last pixel
// that the box covers, so that its width is x2 - x1 + 1 (Pascal VOC, py-faster-rcnn).
//
// A box is *valid* where -2^62 <= x1 <= x2 <= 2^62, and y1 and y2 likewise, after this conversion;
// so an inverted box and one with a NaN, an infinity or a number beyond 4.6e18 is *invalid*. An
// invalid box overlaps nothing: its area is 0 and its IoU with every box, itself included, is 0. A
// box of zero width or height is valid and has area 0. Areas of valid boxes and their sums are
// finite in float32.
#pragma once

#include <cudet/export.h>

#include <cstdint>

namespace cudet {

enum class BoxFormat : std::int32_t { xyxy, xywh, cxcywh };

/// Name of the format as it is spelled in the enumeration, for example "xyxy".
CUDET_API const char* to_string(BoxFormat format) noexcept;

}  // namespace cudet
