// Shared memory: CUDET_SHARED_ARRAY, CUDET_SHARED and CUDET_DYNAMIC_SHARED.
//
// Every declaration has one storage a block, filled with 0xFF when the block first reaches it, since
// a GPU's shared memory starts with whatever was there. Arrays of elements that need no more than 8
// bytes of alignment lie on odd multiples of 8, so that a 16-byte access to an array of float is
// seen to be misaligned, as it may be on a GPU.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cudet::emulation {

// The last block that used a declaration, and where its storage lies in that block.
struct SharedSlot {
  std::uint64_t block = 0;
  void* address = nullptr;
};

void* shared_storage(SharedSlot& slot, std::size_t bytes, std::size_t alignment, const char* name);
void* dynamic_shared_storage();

}  // namespace cudet::emulation

#define CUDET_SHARED_ARRAY(type, name, count)                                      \
  static ::cudet::emulation::SharedSlot cudet_shared_slot_##name;                  \
  type(&name)[count] =                                                             \
      *static_cast<type(*)[count]>(::cudet::emulation::shared_storage(             \
          cudet_shared_slot_##name, sizeof(type[count]), alignof(type), #name))

#define CUDET_SHARED(type, name)                                                   \
  static ::cudet::emulation::SharedSlot cudet_shared_slot_##name;                  \
  type& name = *static_cast<type*>(::cudet::emulation::shared_storage(             \
      cudet_shared_slot_##name, sizeof(type), alignof(type), #name))

// `name` is a `type*` to the bytes that the launch asked for, aligned to 16 bytes.
#define CUDET_DYNAMIC_SHARED(type, name) \
  type* name = static_cast<type*>(::cudet::emulation::dynamic_shared_storage())
