#include "box_columns.h"

#include "../../cuda/device/pinned_math.h"

#include <utility>

namespace cudet::cpu {

void BoxList::reserve(std::int64_t capacity) {
  if (capacity <= capacity_) return;
  std::vector<float> numbers(static_cast<std::size_t>(kColumns * capacity));
  for (std::int64_t i = 0; i < kColumns; ++i) {
    const auto column = numbers_.begin() + i * capacity_;
    std::copy(column, column + size_, numbers.begin() + i * capacity);
  }
  numbers_ = std::move(numbers);
  capacity_ = capacity;
}

PairBox BoxList::operator[](std::int64_t index) const {
  const BoxColumns box = columns(index);
  return {*box.x1, *box.y1, *box.x2, *box.y2, *box.area, *box.angle};
}

BoxColumns BoxList::columns(std::int64_t first) const {
  const float* const column = numbers_.data() + first;
  return {column,
          column + capacity_,
          column + 2 * capacity_,
          column + 3 * capacity_,
          column + 4 * capacity_,
          column + 5 * capacity_};
}

PairBox make_pair_box(const reference::Box& box, bool with_angle) {
  const float width = box.x2 - box.x1;
  const float height = box.y2 - box.y1;
  return {box.x1, box.y1,         box.x2,
          box.y2, width * height, with_angle ? pinned::aspect_angle(width, height) : 0.0f};
}

}  // namespace cudet::cpu
