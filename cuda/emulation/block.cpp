#include "block.h"

#include <cstring>
#include <exception>
#include <utility>

#include "errors.h"
#include "sanitizers.h"

namespace cudet::emulation {
namespace {

// Thrown through a thread's stack to unwind it after a kernel error.
struct KernelAbandoned {};

// Tokens of the block's order, in front of those of its warps.
enum OrderToken : std::size_t { kEvenBarrier, kOddBarrier, kBlockFence, kFirstWarpToken };

bool same_site(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

unsigned int low_bits(unsigned int count) { return count >= 32 ? ~0u : (1u << count) - 1; }

void draw_order(std::uint8_t* order, unsigned int count, std::optional<Random>& random) {
  for (unsigned int i = 0; i < count; ++i) order[i] = static_cast<std::uint8_t>(i);
  if (!random) return;
  for (unsigned int i = count; i > 1; --i) std::swap(order[i - 1], order[random->below(i)]);
}

}  // namespace

char kernel_start_token;
char kernel_end_token;

Block& block_state() {
  static Block& block = *new Block;  // never destroyed: its fibers never end
  return block;
}

Block::Thread::Thread(Block* owner, unsigned int position)
    : block(owner),
      warp(position / kWarpSize),
      lane(position % kWarpSize),
      race_contexts{create_race_context(), create_race_context()},
      fiber(
          [](void* argument) {
            auto* thread = static_cast<Thread*>(argument);
            thread->block->run_thread(*thread);
          },
          this) {}

bool Block::run(const KernelLaunch& launch, uint3 index, std::optional<Random>& random) {
  begin(launch, index, random);
  run_ready_threads();
  if (exited_ < thread_count_ && !failed_) diagnose_stuck_block();
  if (failed_) {
    for (unsigned int i = 0; i < thread_count_; ++i) {
      Thread& thread = *threads_[i];
      if (thread.state != State::kFresh && thread.state != State::kExited) resume(thread);
    }
  }
  current_ = nullptr;
  return !failed_;
}

void Block::begin(const KernelLaunch& launch, uint3 index, std::optional<Random>& random) {
  launch_ = &launch;
  block_index = index;
  thread_count_ = launch.block.x * launch.block.y * launch.block.z;
  warp_count_ = (thread_count_ + kWarpSize - 1) / kWarpSize;
  while (threads_.size() < thread_count_) {
    threads_.push_back(std::make_unique<Thread>(this, static_cast<unsigned int>(threads_.size())));
  }
  uint3 next{0, 0, 0};
  for (unsigned int i = 0; i < thread_count_; ++i) {
    threads_[i]->state = State::kFresh;
    threads_[i]->index = next;
    if (++next.x == launch.block.x) {
      next.x = 0;
      if (++next.y == launch.block.y) {
        next.y = 0;
        ++next.z;
      }
    }
  }
  for (unsigned int i = 0; i < warp_count_; ++i) {
    warps_[i].begin(low_bits(thread_count_ - i * kWarpSize));
  }
  draw_order(warp_order_.data(), warp_count_, random);
  draw_order(lane_order_.data(), kWarpSize, random);
  exited_ = 0;
  barrier_ = {};
  failed_ = false;
  ++blocks_run_;
  arena_.begin_block(launch.dynamic_shared_bytes);
}

void Block::run_ready_threads() {
  bool any_ran = true;
  while (any_ran) {
    any_ran = false;
    for (unsigned int i = 0; i < warp_count_; ++i) {
      Warp& warp = warps_[warp_order_[i]];
      while (warp.ready != 0) {
        any_ran = true;
        for (const unsigned int lane : lane_order_) {
          if ((warp.ready >> lane & 1u) == 0) continue;
          warp.ready &= ~(1u << lane);
          resume(thread_at(warp_order_[i], lane));
          if (failed_) return;
        }
      }
    }
  }
}

void Block::resume(Thread& thread) {
  current_ = &thread;
  thread.state = State::kRunning;
  thread_index = thread.index;
  // Neighbouring blocks are different threads to the race detector, so that it sees races of blocks.
  thread.fiber.resume(thread.race_contexts[blocks_run_ % 2]);
}

void Block::run_thread(Thread& thread) {
  acquire(&kernel_start_token);
  try {
    launch_->thread_body();
  } catch (const KernelAbandoned&) {
  } catch (const std::exception& exception) {
    record_error(cudaErrorLaunchFailure, thread, std::string("threw: ") + exception.what());
  }
  thread.state = State::kExited;
  ++exited_;
  release(&kernel_end_token);
}

void Block::wait(Thread& thread, State state, Site site) {
  thread.state = state;
  thread.site = site;
  thread.fiber.suspend();
  if (failed_) throw KernelAbandoned();
}

int Block::barrier(bool predicate, Site site) {
  Thread& thread = *current_;
  if (barrier_.arrived == 0) {
    barrier_.site = site;
  } else if (!same_site(barrier_.site, site)) {
    fail(cudaErrorLaunchFailure, "barrier divergence: it came to the barrier at " + describe(site) +
                                     " while others wait at the one at " +
                                     describe(barrier_.site));
  }
  void* const token =
      arena_.order_token(barrier_.completed % 2 == 0 ? kEvenBarrier : kOddBarrier);
  release(token);
  barrier_.true_predicates += predicate;
  if (++barrier_.arrived < thread_count_) {
    wait(thread, State::kAtBarrier, site);
  } else {
    barrier_.result = barrier_.true_predicates;
    barrier_.true_predicates = 0;
    barrier_.arrived = 0;
    ++barrier_.completed;
    for (unsigned int i = 0; i < warp_count_; ++i) warps_[i].ready = warps_[i].existing();
    warps_[thread.warp].ready &= ~(1u << thread.lane);
  }
  acquire(token);
  return barrier_.result;
}

std::uint64_t Block::warp_operation(const WarpRequest& request) {
  Thread& thread = *current_;
  const unsigned int own_bit = 1u << thread.lane;
  if ((request.mask & own_bit) == 0) {
    fail(cudaErrorLaunchFailure, std::string(name_of(request.operation)) + " at " +
                                     describe(request.site) + " with mask " +
                                     describe_mask(request.mask) + ", which omits the caller, lane " +
                                     std::to_string(thread.lane));
  }
  if (request.width < 1 || request.width > 32 || (request.width & (request.width - 1)) != 0) {
    fail(cudaErrorLaunchFailure, std::string(name_of(request.operation)) + " at " +
                                     describe(request.site) + " with width " +
                                     std::to_string(request.width) +
                                     ", which is no power of two up to 32");
  }
  void* const token = warp_token(thread, request);
  if (token != nullptr) release(token);
  Warp& warp = warps_[thread.warp];
  if (warp.meet(thread.lane, request)) {
    warp.ready |= request.mask & ~own_bit;
    if (token != nullptr) ++warp_syncs_[thread.warp][static_cast<unsigned int>(__builtin_ctz(request.mask))];
  } else {
    wait(thread, State::kAtWarpOperation, request.site);
  }
  if (token != nullptr) acquire(token);
  return warp.result(thread.lane);
}

// Of all warp operations only __syncwarp orders memory. Lanes that meet have one leading lane, which
// no other meeting of the moment has, and take turns between two tokens, so that who leaves late
// learns nothing of the next meeting.
void* Block::warp_token(const Thread& thread, const WarpRequest& request) {
  if (!kThreadSanitizer || request.operation != WarpOperation::kSync) return nullptr;
  const auto leader = static_cast<unsigned int>(__builtin_ctz(request.mask));
  const unsigned int turn = warp_syncs_[thread.warp][leader] % 2u;
  return arena_.order_token(kFirstWarpToken + (thread.warp * kWarpSize + leader) * 2 + turn);
}

void Block::fence() {
  void* const token = arena_.order_token(kBlockFence);
  release(token);
  acquire(token);
}

void* Block::shared_storage(SharedSlot& slot, std::size_t bytes, std::size_t alignment,
                            const char* name) {
  void* const storage = arena_.storage(slot, bytes, alignment);
  const std::size_t total = arena_.static_bytes() + arena_.dynamic_bytes();
  if (storage == nullptr || arena_.static_bytes() > kSharedLimit || total > launch_->shared_limit) {
    fail(cudaErrorLaunchOutOfResources,
         "too much shared memory: with '" + std::string(name) + "' " +
             std::to_string(arena_.static_bytes()) + " bytes static and " +
             std::to_string(arena_.dynamic_bytes()) + " bytes dynamic; the limit is " +
             std::to_string(kSharedLimit) + " static and " +
             std::to_string(launch_->shared_limit) + " together");
  }
  return storage;
}

void Block::fail(cudaError_t error, const std::string& what) {
  record_error(error, *current_, what);
  throw KernelAbandoned();
}

void Block::record_error(cudaError_t error, const Thread& thread, const std::string& what) {
  if (failed_) return;
  failed_ = true;
  record_kernel_error(error, "kernel '" + launch_->name + "', block " + describe(block_index) +
                                 ", thread " + describe(thread.index) + ": " + what);
}

void Block::diagnose_stuck_block() {
  for (unsigned int i = 0; i < thread_count_; ++i) {
    const Thread& waiting = *threads_[i];
    if (waiting.state != State::kAtBarrier) continue;
    for (unsigned int j = 0; j < thread_count_; ++j) {
      const Thread& other = *threads_[j];
      if (other.state == State::kAtBarrier) continue;
      return record_error(cudaErrorLaunchFailure, waiting,
                          "barrier divergence: it " + describe_wait(waiting) + ", but thread " +
                              describe(other.index) + " " + describe_wait(other));
    }
  }
  for (unsigned int i = 0; i < thread_count_; ++i) {
    const Thread& waiting = *threads_[i];
    if (waiting.state != State::kAtWarpOperation) continue;
    const WarpRequest& request = warps_[waiting.warp].request(waiting.lane);
    for (unsigned int lane = 0; lane < kWarpSize; ++lane) {
      if ((request.mask >> lane & 1u) == 0) continue;
      const std::string obstacle = describe_lane(waiting, lane);
      if (obstacle.empty()) continue;
      return record_error(cudaErrorLaunchFailure, waiting,
                          "warp divergence: it " + describe_wait(waiting) + ", but lane " +
                              std::to_string(lane) + " " + obstacle);
    }
  }
}

std::string Block::describe_wait(const Thread& thread) const {
  switch (thread.state) {
    case State::kAtBarrier:
      return "waits at the barrier at " + describe(thread.site);
    case State::kAtWarpOperation: {
      const WarpRequest& request = warps_[thread.warp].request(thread.lane);
      return std::string("waits at ") + name_of(request.operation) + " at " +
             describe(thread.site) + " with mask " + describe_mask(request.mask);
    }
    default:
      return "has exited";
  }
}

// What keeps a named lane from the operation that the other thread waits at; empty where nothing does.
std::string Block::describe_lane(const Thread& waiting, unsigned int lane) const {
  const Warp& warp = warps_[waiting.warp];
  if ((warp.existing() >> lane & 1u) == 0) return "does not exist in this block";
  const Thread& other = thread_at(waiting.warp, lane);
  if (other.state == State::kAtWarpOperation) {
    const WarpRequest& request = warp.request(waiting.lane);
    const WarpRequest& other_request = warp.request(lane);
    if (other_request.operation == request.operation && other_request.mask == request.mask) {
      return "";
    }
  }
  return describe_wait(other);
}

}  // namespace cudet::emulation
