// The shared memory of the block that runs.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cudet_emulation/shared_memory.h>

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

  // Addresses that are as fresh in every block as its shared memory, and have no other use than to
  // tell ThreadSanitizer what is ordered.
  void* order_token(std::size_t index) const { return base_ + index * sizeof(void*); }
  static constexpr std::size_t kOrderTokens = 2056;

 private:
  char* carve(std::size_t bytes, std::size_t alignment);

  char* base_;
  char* end_of_use_;
  std::uint64_t block_ = 0;  // serial number, never reused
  char* dynamic_ = nullptr;
  std::size_t dynamic_bytes_ = 0;
  std::size_t static_bytes_ = 0;
};

}  // namespace cudet::emulation
