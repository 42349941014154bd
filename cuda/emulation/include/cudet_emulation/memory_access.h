// Loads and stores that CUDA gives a cache hint. Here they check alignment, which a GPU enforces
// and an x86 CPU does not.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cudet_emulation/site.h>

namespace cudet::emulation {

// Reports cudaErrorMisalignedAddress and abandons the kernel.
[[noreturn]] void misaligned_access(const void* address, std::size_t alignment, Site site);

template <typename T>
void check_alignment(const T* address, Site site) {
  if (reinterpret_cast<std::uintptr_t>(address) % alignof(T) != 0) {
    misaligned_access(address, alignof(T), site);
  }
}

template <typename T>
T load_vector(const T* address, Site site = Site::here()) {
  check_alignment(address, site);
  return *address;
}

template <typename T>
void store_vector(T* address, T value, Site site = Site::here()) {
  check_alignment(address, site);
  *address = value;
}

}  // namespace cudet::emulation

#define CUDET_EMULATION_LOAD(name)                                                         \
  template <typename T>                                                                    \
  T name(const T* address, cudet::emulation::Site site = cudet::emulation::Site::here()) { \
    return cudet::emulation::load_vector(address, site);                                   \
  }

#define CUDET_EMULATION_STORE(name)                                                              \
  template <typename T>                                                                          \
  void name(T* address, T value, cudet::emulation::Site site = cudet::emulation::Site::here()) { \
    cudet::emulation::store_vector(address, value, site);                                        \
  }

CUDET_EMULATION_LOAD(__ldg)
CUDET_EMULATION_LOAD(__ldca)
CUDET_EMULATION_LOAD(__ldcg)
CUDET_EMULATION_LOAD(__ldcs)
CUDET_EMULATION_STORE(__stcg)
CUDET_EMULATION_STORE(__stcs)
CUDET_EMULATION_STORE(__stwb)

#undef CUDET_EMULATION_LOAD
#undef CUDET_EMULATION_STORE
