#include <numeric>
#include <optional>

#include "block.h"
#include "kernel_launch.h"
#include "random.h"
#include "sanitizers.h"

namespace cudet::emulation {
namespace {

// The order of the blocks: i -> (i * step + first) modulo their number, a permutation since the two
// have no common divisor. A table would need as much memory as the grid has blocks.
struct BlockOrder {
  std::uint64_t count;
  std::uint64_t step = 1;
  std::uint64_t first = 0;

  BlockOrder(std::uint64_t blocks, std::optional<Random>& random) : count(blocks) {
    if (!random) return;
    first = random->below(count);
    do {
      step = 1 + random->below(count);
    } while (std::gcd(step, count) != 1);
  }

  // No overflow where the grid has fewer than 2^32 blocks; a larger one would not end anyway.
  std::uint64_t at(std::uint64_t i) const { return (i * step + first) % count; }
};

}  // namespace

void run_grid(const KernelLaunch& launch, std::uint64_t seed) {
  grid_dimensions = launch.grid;
  block_dimensions = launch.block;
  release(&kernel_start_token);
  const std::uint64_t x = launch.grid.x;
  const std::uint64_t y = launch.grid.y;
  const std::uint64_t count = x * y * launch.grid.z;
  std::optional<Random> random;
  if (seed != 0) random.emplace(seed);
  const BlockOrder order(count, random);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t linear = order.at(i);
    const uint3 index{static_cast<unsigned int>(linear % x),
                      static_cast<unsigned int>(linear / x % y),
                      static_cast<unsigned int>(linear / (x * y))};
    if (!block_state().run(launch, index, random)) break;
  }
  acquire(&kernel_end_token);
}

}  // namespace cudet::emulation
