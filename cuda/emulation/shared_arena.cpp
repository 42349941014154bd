#include "shared_arena.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "sanitizers.h"

namespace cudet::emulation {
namespace {

constexpr std::size_t kArenaSize = 512 * 1024;  // shared memory and red zones
constexpr std::size_t kRedZone = 64;
constexpr int kPoison = 0xFF;  // a NaN as float, half or bfloat16, and -1 as an integer
constexpr std::size_t kPage = 4096;

char* map_pages(void* address, std::size_t bytes, int flags) {
  void* const mapped =
      mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(mapped);
}

std::size_t round_up(std::size_t bytes, std::size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

SharedArena::SharedArena() : base_(map_pages(nullptr, kArenaSize, 0)), end_of_use_(base_) {
  poison_memory(base_, kArenaSize);
}

void SharedArena::begin_block(std::size_t dynamic_bytes) {
  poison_memory(base_, static_cast<std::size_t>(end_of_use_ - base_));
  if (kThreadSanitizer) forget_accesses();
  ++block_;
  end_of_use_ = base_;
  static_bytes_ = 0;
  dynamic_bytes_ = dynamic_bytes;
  dynamic_ = dynamic_bytes == 0 ? nullptr : carve(dynamic_bytes, 16);
}

// The blocks share these addresses only here, so their accesses are no races. ThreadSanitizer
// forgets them where pages are mapped while it looks away, and what was ordered where memory is
// freed.
void SharedArena::forget_accesses() {
  const UnseenAccesses unseen;
  const auto used = static_cast<std::size_t>(end_of_use_ - base_);
  if (used != 0) map_pages(base_, round_up(used, kPage), MAP_FIXED);
  if (order_tokens_ == nullptr || tokens_used_) order_tokens_ = std::make_unique<OrderTokens>();
  tokens_used_ = false;
}

void* SharedArena::storage(SharedSlot& slot, std::size_t bytes, std::size_t alignment) {
  if (slot.block == block_) return slot.address;
  static_bytes_ = round_up(static_bytes_, alignment) + bytes;
  slot.address = carve(bytes, alignment);
  slot.block = slot.address == nullptr ? 0 : block_;
  return slot.address;
}

char* SharedArena::carve(std::size_t bytes, std::size_t alignment) {
  const auto base = reinterpret_cast<std::uintptr_t>(base_);
  const std::size_t used = static_cast<std::size_t>(end_of_use_ - base_) + kRedZone;
  // Odd multiples of 8 betray 16-byte accesses to arrays of smaller elements.
  const std::size_t offset =
      alignment <= 8 ? round_up(used, 16) + 8 : round_up(base + used, alignment) - base;
  const std::size_t end = round_up(offset + bytes, 8);
  if (bytes > kArenaSize || end + kRedZone > kArenaSize) return nullptr;
  end_of_use_ = base_ + end;
  char* const storage = base_ + offset;
  unpoison_memory(storage, bytes);
  const UnseenAccesses unseen;
  std::memset(storage, kPoison, bytes);
  return storage;
}

}  // namespace cudet::emulation
