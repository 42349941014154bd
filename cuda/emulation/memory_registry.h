// Device memory and pinned host memory with guard bytes at both ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include <cudet_emulation/runtime_types.h>

namespace cudet::emulation {

class MemoryRegistry {
 public:
  // Null if the host has no memory. Zero bytes are no allocation.
  void* allocate(std::size_t bytes, cudaMemoryType type);

  // False if `pointer` is not the start of an allocation of this type. `damage` is set to what was
  // overwritten round it, if anything was.
  bool free(void* pointer, cudaMemoryType type, std::string& damage);

  // What was overwritten round any allocation, empty if nothing was; says each once.
  std::string find_damage();

  // What a range of addresses belongs to; unregistered if it exceeds its allocation.
  struct Location {
    cudaMemoryType type = cudaMemoryTypeUnregistered;
    bool exceeds = false;  // it starts in an allocation and ends beyond
  };
  Location locate(const void* pointer, std::size_t bytes) const;

  int count() const { return static_cast<int>(allocations_.size()); }

 private:
  struct Allocation {
    std::size_t bytes;
    cudaMemoryType type;
  };

  static std::string damage_of(std::uintptr_t address, const Allocation& allocation);
  static void write_guards(std::uintptr_t address, std::size_t bytes);
  static void expose_guards(std::uintptr_t address, std::size_t bytes, bool exposed);

  std::map<std::uintptr_t, Allocation> allocations_;
};

}  // namespace cudet::emulation
