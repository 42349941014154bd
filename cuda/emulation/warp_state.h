// A warp of the block that runs: which lanes can go on, and who waits for whom at warp operations.
#pragma once

#include <array>
#include <cstdint>

#include <cudet_emulation/warp.h>

namespace cudet::emulation {

inline constexpr unsigned int kWarpSize = 32;

class Warp {
 public:
  // Forgets everything; `existing` are the lanes that the block has in this warp.
  void begin(unsigned int existing);

  // The lane comes to an operation. When all lanes that its mask names are at the same operation
  // with the same mask, computes the results of all of them and returns true.
  bool meet(unsigned int lane, const WarpRequest& request);

  const WarpRequest& request(unsigned int lane) const { return requests_[lane]; }
  std::uint64_t result(unsigned int lane) const { return results_[lane]; }
  unsigned int existing() const { return existing_; }

  unsigned int ready = 0;  // lanes that can run

 private:
  // Lanes that came to the same operation with the same mask.
  struct Meeting {
    WarpOperation operation;
    unsigned int mask;
    unsigned int arrived;
  };

  void complete(const Meeting& meeting);
  void shuffle(unsigned int mask);
  void match(unsigned int mask);
  std::uint64_t reduce(const Meeting& meeting) const;

  unsigned int existing_ = 0;
  std::array<WarpRequest, kWarpSize> requests_{};
  std::array<std::uint64_t, kWarpSize> results_{};
  std::array<Meeting, kWarpSize> meetings_{};
  unsigned int meeting_count_ = 0;
};

// The intrinsic's name.
const char* name_of(WarpOperation operation);

}  // namespace cudet::emulation
