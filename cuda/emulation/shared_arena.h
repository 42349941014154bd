// The shared memory of the block that runs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <cudet_emulation/shared_memory.h>

#include "sanitizers.h"

namespace cudet::emulation {

inline constexpr std::size_t kSharedLimit = 48 * 1024;        // without opting in
inline constexpr std::size_t kSharedOptInLimit = 227 * 1024;  // dynamic and static together

class SharedArena {
 public:
  SharedArena();

  // Forgets the last block's arrays and lays out the dynamic ones.
  void begin_block(std::size_t dynamic_bytes);

  // The storage of a declaration in this block, or null where the arena has no room for it.
  void* storage(SharedSlot& slot, std::size_t bytes, std::size_t alignment);
  void* dynamic_storage() const { return dynamic_; }

  // Bytes that the arrays of this block take on a GPU, which knows no red zones.
  std::size_t static_bytes() const { return static_bytes_; }
  std::size_t dynamic_bytes() const { return dynamic_bytes_; }

  // Addresses that are fresh in every block and have no other use than to tell ThreadSanitizer what
  // is ordered; null without it.
  void* order_token(std::size_t index) {
    if (!kThreadSanitizer) return nullptr;
    tokens_used_ = true;
    return &(*order_tokens_)[index];
  }

 private:
  char* carve(std::size_t bytes, std::size_t alignment);
  void forget_accesses();

  char* base_;
  char* end_of_use_;
  std::uint64_t block_ = 0;  // serial number, never reused
  char* dynamic_ = nullptr;
  std::size_t dynamic_bytes_ = 0;
  std::size_t static_bytes_ = 0;

  using OrderTokens = std::array<void*, 2056>;  // for two barriers, a fence and all lanes twice
  std::unique_ptr<OrderTokens> order_tokens_;
  bool tokens_used_ = false;
};

}  // namespace cudet::emulation
