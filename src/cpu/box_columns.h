// Boxes on the CPU, an array for each of their numbers.
#pragma once

#include "../reference/box.h"
#include "box_loops.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cudet::cpu {

/// A growing list of boxes as the loops read them.
class BoxList {
 public:
  void reserve(std::int64_t count);
  void push_back(const PairBox& box);
  void clear();
  std::int64_t size() const { return static_cast<std::int64_t>(numbers_[0].size()); }
  PairBox operator[](std::int64_t index) const;
  /// The boxes from `first` on; good until the list changes.
  BoxColumns columns(std::int64_t first = 0) const;

 private:
  std::vector<float> numbers_[6];
};

/// A valid box with its area and, if asked for, its angle.
PairBox make_pair_box(const reference::Box& box, bool with_angle);

}  // namespace cudet::cpu
