// Boxes on the CPU, an array for each of their numbers.
#pragma once

#include "../reference/box.h"
#include "box_loops.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cudet::cpu {

/// A growing list of boxes as the loops read them. All columns are in one allocation: there is a
/// list for every class of an image.
class BoxList {
 public:
  void reserve(std::int64_t capacity);
  void push_back(const PairBox& box) {
    if (size_ == capacity_) reserve(std::max<std::int64_t>(16, 2 * capacity_));
    const float numbers[kColumns] = {box.x1, box.y1, box.x2, box.y2, box.area, box.angle};
    for (std::int64_t i = 0; i < kColumns; ++i)
      numbers_[static_cast<std::size_t>(i * capacity_ + size_)] = numbers[i];
    ++size_;
  }
  void clear() { size_ = 0; }
  std::int64_t size() const { return size_; }
  PairBox operator[](std::int64_t index) const;
  /// The boxes from `first` on; good until the list changes.
  BoxColumns columns(std::int64_t first = 0) const;

 private:
  static constexpr std::int64_t kColumns = 6;
  std::vector<float> numbers_;  ///< columns of `capacity_` each
  std::int64_t capacity_ = 0;
  std::int64_t size_ = 0;
};

/// A valid box with its area and, if asked for, its angle.
PairBox make_pair_box(const reference::Box& box, bool with_angle);

}  // namespace cudet::cpu
