#include "shared_arena.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include "sanitizers.h"

namespace cudet::emulation {
namespace {

constexpr std::size_t kArenaSize = 512 * 1024;  // shared memory and red zones
constexpr std::size_t kTokenArea = kThreadSanitizer ? SharedArena::kOrderTokens * sizeof(void*) : 0;
constexpr std::size_t kRedZone = 64;
constexpr int kPoison = 0xFF;  // a NaN as float, half or bfloat16, and -1 as an integer

// A system call of our own, since ThreadSanitizer takes the C library's mmap for a write.
char* map_pages(void* address, int flags) {
  const long mapped = syscall(SYS_mmap, address, kArenaSize, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0L);
  if (mapped == -1) throw std::bad_alloc();
  return reinterpret_cast<char*>(mapped);
}

std::size_t round_up(std::size_t bytes, std::size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

SharedArena::SharedArena() : base_(map_pages(nullptr, 0)), end_of_use_(base_ + kTokenArea) {
  poison_memory(base_, kArenaSize);
}

void SharedArena::begin_block(std::size_t dynamic_bytes) {
  poison_memory(base_, static_cast<std::size_t>(end_of_use_ - base_));
  if (kThreadSanitizer) {
    // The blocks share these addresses only here. Unmapping makes the sanitizer forget the accesses
    // of the last block, which are no race with those of the next.
    munmap(base_, kArenaSize);
    map_pages(base_, MAP_FIXED);
  }
  ++block_;
  end_of_use_ = base_ + kTokenArea;
  static_bytes_ = 0;
  dynamic_bytes_ = dynamic_bytes;
  dynamic_ = carve(dynamic_bytes, 16);
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
