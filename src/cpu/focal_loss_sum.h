// Sums over the stretches of a call, the same for any number of threads.
#pragma once

#include "parallel.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cudet::cpu {

/// What a stretch adds to the results of its call.
struct FocalSum {
  double loss = 0.0;
  std::int64_t counted = 0;
};

/// sum_of(begin, end) for stretches of `grain` items of 0 ... count - 1, added in their order.
template <class SumOf>
FocalSum sum_of_stretches(int threads, std::int64_t count, std::int64_t grain,
                          const SumOf& sum_of) {
  std::vector<FocalSum> sums(static_cast<std::size_t>((count + grain - 1) / grain));
  parallel_for(threads, count, grain, [&](std::int64_t begin, std::int64_t end) {
    sums[static_cast<std::size_t>(begin / grain)] = sum_of(begin, end);
  });
  FocalSum total;
  for (const FocalSum& sum : sums) {
    total.loss += sum.loss;
    total.counted += sum.counted;
  }
  return total;
}

}  // namespace cudet::cpu
