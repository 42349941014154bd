// What AddressSanitizer and ThreadSanitizer must be told about fibers. Empty without them.
//
// They are known by the build's macros CUDET_EMULATION_ADDRESS_SANITIZER and _THREAD_SANITIZER, since
// the device itself is compiled without either: what is looked for are the faults of kernels. The
// scheduler switches stacks and shares its variables among all threads of a block, which is no race
// of the kernel, and it takes half the time of a run that checks its every access.
#pragma once

#include <cstddef>

#ifdef CUDET_EMULATION_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef CUDET_EMULATION_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
// Exported by the sanitizer's runtime but declared in none of its headers.
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace cudet::emulation {

#ifdef CUDET_EMULATION_ADDRESS_SANITIZER
inline constexpr bool kAddressSanitizer = true;

inline void start_stack_switch(void** fake_stack, const void* bottom, std::size_t size) {
  __sanitizer_start_switch_fiber(fake_stack, bottom, size);
}
inline void finish_stack_switch(void* fake_stack, const void** bottom, std::size_t* size) {
  __sanitizer_finish_switch_fiber(fake_stack, bottom, size);
}
inline void poison_memory(const void* address, std::size_t bytes) {
  __asan_poison_memory_region(address, bytes);
}
inline void unpoison_memory(const void* address, std::size_t bytes) {
  __asan_unpoison_memory_region(address, bytes);
}
#else
inline constexpr bool kAddressSanitizer = false;

inline void start_stack_switch(void**, const void*, std::size_t) {}
inline void finish_stack_switch(void*, const void**, std::size_t*) {}
inline void poison_memory(const void*, std::size_t) {}
inline void unpoison_memory(const void*, std::size_t) {}
#endif

#ifdef CUDET_EMULATION_THREAD_SANITIZER
inline constexpr bool kThreadSanitizer = true;

inline void* create_race_context() {
  return __tsan_create_fiber(0);
}
inline void* current_race_context() {
  return __tsan_get_current_fiber();
}
// Without the flag every switch would order all that came before it, and no race were ever found.
inline void switch_race_context(void* context) {
  __tsan_switch_to_fiber(context, __tsan_switch_to_fiber_no_sync);
}
inline void release(void* token) {
  __tsan_release(token);
}
inline void acquire(void* token) {
  __tsan_acquire(token);
}

// While it lives, accesses of this thread do not count: memcpy and free are seen even when they are
// called from code that is compiled without the sanitizer.
class UnseenAccesses {
 public:
  UnseenAccesses() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~UnseenAccesses() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  UnseenAccesses(const UnseenAccesses&) = delete;
  UnseenAccesses& operator=(const UnseenAccesses&) = delete;
};
#else
inline constexpr bool kThreadSanitizer = false;

inline void* create_race_context() {
  return nullptr;
}
inline void* current_race_context() {
  return nullptr;
}
inline void switch_race_context(void*) {}
inline void release(void*) {}
inline void acquire(void*) {}

struct UnseenAccesses {
  UnseenAccesses() {}
};
#endif

}  // namespace cudet::emulation
