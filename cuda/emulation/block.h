// The scheduler: runs the threads of one block as fibers and lets them meet.
//
// Everything happens on the host thread that launched. Threads of a warp are resumed back to back;
// the last one to come to a meeting point completes it for all and goes on without a switch.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <cudet_emulation/error_codes.h>
#include <cudet_emulation/shared_memory.h>
#include <cudet_emulation/site.h>
#include <cudet_emulation/vector_types.h>

#include "fiber.h"
#include "kernel_launch.h"
#include "random.h"
#include "sanitizers.h"
#include "shared_arena.h"
#include "warp_state.h"

namespace cudet::emulation {

class Block {
 public:
  // Runs one block to its end, its threads in an order drawn from `random`, if there is one. After
  // a kernel error, which it records, all threads of the block are unwound, and it returns false.
  bool run(const KernelLaunch& launch, uint3 index, std::optional<Random>& random);

  int fiber_count() const;
  int size() const { return static_cast<int>(thread_count_); }
  bool running() const { return current_ != nullptr; }

  // The rest is called by the threads of the block that runs.
  int barrier(bool predicate, Site site);
  std::uint64_t warp_operation(const WarpRequest& request);
  void fence();
  void* shared_storage(SharedSlot& slot, std::size_t bytes, std::size_t alignment,
                       const char* name);
  void* dynamic_shared_storage() { return arena_.dynamic_storage(); }

  // Records a kernel error at the current thread and unwinds it.
  [[noreturn]] void fail(cudaError_t error, const std::string& what);

 private:
  enum class State : std::uint8_t { kFresh, kRunning, kAtBarrier, kAtWarpOperation, kExited };

  struct Thread {
    Thread(Block* owner, unsigned int position);

    Block* block;
    unsigned int warp;
    unsigned int lane;
    uint3 index{};
    State state = State::kFresh;
    Site site{};  // where it waits
    void* race_context;
    Fiber fiber;
  };

  void begin(const KernelLaunch& launch, uint3 index, std::optional<Random>& random);
  void run_ready_threads();
  void resume(Thread& thread);
  void run_thread(Thread& thread);
  void wait(Thread& thread, State state, Site site);
  void record_error(cudaError_t error, const Thread& thread, const std::string& what);
  void* warp_token(const Thread& thread, const WarpRequest& request);

  // What to say when no thread can go on.
  void diagnose_stuck_block();
  std::string describe_wait(const Thread& thread) const;
  std::string describe_lane(const Thread& waiting, unsigned int lane) const;
  Thread& thread_at(unsigned int warp, unsigned int lane) {
    return *(*threads_)[warp * kWarpSize + lane];
  }
  const Thread& thread_at(unsigned int warp, unsigned int lane) const {
    return *(*threads_)[warp * kWarpSize + lane];
  }

  // A barrier; the result stands in a place of its own, since threads may come to the next barrier
  // while others have yet to read it.
  struct Barrier {
    unsigned int arrived = 0;
    int true_predicates = 0;
    int result = 0;
    std::uint64_t completed = 0;
    Site site{};
  };

  // The threads of the largest block yet. Under ThreadSanitizer successive blocks take turns
  // between two crews, since the sanitizer finds races of blocks only where their threads are not
  // the same.
  using Crew = std::vector<std::unique_ptr<Thread>>;
  std::array<Crew, kThreadSanitizer ? 2 : 1> crews_;
  Crew* threads_ = nullptr;  // of the block that runs

  const KernelLaunch* launch_ = nullptr;
  unsigned int thread_count_ = 0;
  unsigned int warp_count_ = 0;
  unsigned int exited_ = 0;
  std::array<Warp, kWarpSize> warps_;
  std::array<std::array<std::uint8_t, kWarpSize>, kWarpSize> warp_syncs_{};  // by leading lane
  std::array<std::uint8_t, kWarpSize> warp_order_{};
  std::array<std::uint8_t, kWarpSize> lane_order_{};
  Barrier barrier_;
  SharedArena arena_;
  Thread* current_ = nullptr;
  std::uint64_t blocks_run_ = 0;
  bool failed_ = false;
};

// What threadIdx, blockIdx, blockDim and gridDim refer to.
extern uint3 thread_index;
extern uint3 block_index;
extern dim3 block_dimensions;
extern dim3 grid_dimensions;

// The device runs one block at a time; this is its state.
Block& block_state();

// Tokens that order, for ThreadSanitizer, a kernel after what the host did before and before what
// it does after; the blocks of a kernel are not ordered among themselves.
extern char kernel_start_token;
extern char kernel_end_token;

}  // namespace cudet::emulation
