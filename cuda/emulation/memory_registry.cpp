#include "memory_registry.h"

#include <cstdlib>
#include <cstring>
#include <iterator>

#include "sanitizers.h"

namespace cudet::emulation {
namespace {

constexpr std::size_t kAlignment = 256;  // what CUDA promises of cudaMalloc
constexpr std::size_t kGuard = 256;      // a multiple of the alignment
constexpr unsigned char kGuardByte = 0xA5;
constexpr int kFreshByte = 0xCB;  // memory that nobody wrote: a large negative number in any type

unsigned char* bytes_at(std::uintptr_t address) {
  return reinterpret_cast<unsigned char*>(address);
}

// The first byte that is no guard byte any more, or `count`.
std::size_t first_overwritten(const unsigned char* guard, std::size_t count) {
  std::size_t i = 0;
  while (i < count && guard[i] == kGuardByte)
    ++i;
  return i;
}

}  // namespace

void* MemoryRegistry::allocate(std::size_t bytes, cudaMemoryType type) {
  if (bytes > SIZE_MAX - 3 * kGuard) return nullptr;
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* const block = std::aligned_alloc(kAlignment, kGuard + rounded + kGuard);
  if (block == nullptr) return nullptr;
  const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(block) + kGuard;
  allocations_.emplace(address, Allocation{bytes, type});
  std::memset(bytes_at(address), kFreshByte, bytes);
  write_guards(address, bytes);
  expose_guards(address, bytes, false);
  return bytes_at(address);
}

bool MemoryRegistry::free(void* pointer, cudaMemoryType type, std::string& damage) {
  const auto found = allocations_.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (found == allocations_.end() || found->second.type != type) return false;
  damage = damage_of(found->first, found->second);
  expose_guards(found->first, found->second.bytes, true);
  std::free(bytes_at(found->first - kGuard));
  allocations_.erase(found);
  return true;
}

std::string MemoryRegistry::find_damage() {
  for (const auto& [address, allocation] : allocations_) {
    std::string damage = damage_of(address, allocation);
    if (damage.empty()) continue;
    expose_guards(address, allocation.bytes, true);
    write_guards(address, allocation.bytes);
    expose_guards(address, allocation.bytes, false);
    return damage;
  }
  return "";
}

MemoryRegistry::Location MemoryRegistry::locate(const void* pointer, std::size_t bytes) const {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return {};
  const auto& [start, allocation] = *std::prev(after);
  const std::size_t offset = address - start;
  if (offset >= allocation.bytes) return {};
  return {allocation.type, bytes > allocation.bytes - offset};
}

std::string MemoryRegistry::damage_of(std::uintptr_t address, const Allocation& allocation) {
  // With AddressSanitizer the guards are poisoned: it has stopped every write to them.
  if (kAddressSanitizer) return "";
  const std::string where =
      " of an allocation of " + std::to_string(allocation.bytes) + " bytes was overwritten";
  const std::size_t before = first_overwritten(bytes_at(address - kGuard), kGuard);
  if (before < kGuard) {
    return "memory " + std::to_string(kGuard - before) + " bytes before the start" + where;
  }
  const std::size_t after = first_overwritten(bytes_at(address + allocation.bytes), kGuard);
  if (after < kGuard) return "memory " + std::to_string(after) + " bytes past the end" + where;
  return "";
}

void MemoryRegistry::write_guards(std::uintptr_t address, std::size_t bytes) {
  std::memset(bytes_at(address - kGuard), kGuardByte, kGuard);
  std::memset(bytes_at(address + bytes), kGuardByte, kGuard);
}

// To AddressSanitizer. Its granules are 8 bytes, so a poisoned tail may start in the middle of one.
void MemoryRegistry::expose_guards(std::uintptr_t address, std::size_t bytes, bool exposed) {
  const auto change = exposed ? unpoison_memory : poison_memory;
  change(bytes_at(address - kGuard), kGuard);
  change(bytes_at(address + bytes), kGuard);
}

}  // namespace cudet::emulation
