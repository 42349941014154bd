#include "box_columns.h"

#include "../../cuda/device/pinned_math.h"

namespace cudet::cpu {

void BoxList::reserve(std::int64_t count) {
  for (std::vector<float>& numbers : numbers_)
    numbers.reserve(static_cast<std::size_t>(count));
}

void BoxList::push_back(const PairBox& box) {
  const float numbers[6] = {box.x1, box.y1, box.x2, box.y2, box.area, box.angle};
  for (int i = 0; i < 6; ++i)
    numbers_[i].push_back(numbers[i]);
}

void BoxList::clear() {
  for (std::vector<float>& numbers : numbers_)
    numbers.clear();
}

PairBox BoxList::operator[](std::int64_t index) const {
  const auto i = static_cast<std::size_t>(index);
  return {numbers_[0][i], numbers_[1][i], numbers_[2][i],
          numbers_[3][i], numbers_[4][i], numbers_[5][i]};
}

BoxColumns BoxList::columns(std::int64_t first) const {
  return {numbers_[0].data() + first, numbers_[1].data() + first, numbers_[2].data() + first,
          numbers_[3].data() + first, numbers_[4].data() + first, numbers_[5].data() + first};
}

PairBox make_pair_box(const reference::Box& box, bool with_angle) {
  const float width = box.x2 - box.x1;
  const float height = box.y2 - box.y1;
  return {box.x1, box.y1,         box.x2,
          box.y2, width * height, with_angle ? pinned::aspect_angle(width, height) : 0.0f};
}

}  // namespace cudet::cpu
