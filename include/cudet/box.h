// How the numbers of a box are read; shared by all families.
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
//
// A rotated box has five numbers (cx, cy, w, h, angle), in float32 on load:
//   rotated   centre, size, and the angle by which the box is turned about its centre, in the unit
//             and the direction that the options name. With angle 0 it is the cxcywh box.
// With a the angle in radians, of the point (x, y) of the box that is not turned, seen from its
// centre, becomes (x cos a - y sin a, x sin a + y cos a) for `clockwise`, and the same with -a for
// `counter_clockwise`; the names hold for images, whose y axis points down. A rotated box is valid
// where |cx| and |cy| are at most 2^61, 0 <= w <= 2^61, 0 <= h <= 2^61, and |angle| is at most 2^20
// of its unit. `legacy_offset` does not go with rotated boxes.
#pragma once

#include <cudet/export.h>

#include <cstdint>

namespace cudet {

enum class BoxFormat : std::int32_t { xyxy, xywh, cxcywh, rotated };

enum class AngleUnit : std::int32_t { degrees, radians };

enum class AngleDirection : std::int32_t {
  counter_clockwise,  ///< detectron2, torchvision
  clockwise           ///< OpenCV, mmcv
};

/// How many numbers a box has in the format: 5 for rotated boxes, 4 for all others.
constexpr std::int64_t numbers_of(BoxFormat format) noexcept {
  return format == BoxFormat::rotated ? 5 : 4;
}

/// Name of the format as it is spelled in the enumeration, for example "xyxy".
CUDET_API const char* to_string(BoxFormat format) noexcept;
CUDET_API const char* to_string(AngleUnit unit) noexcept;
CUDET_API const char* to_string(AngleDirection direction) noexcept;

}  // namespace cudet
