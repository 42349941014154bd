// Atomic operations on global and shared memory, relaxed as CUDA's are. All return the old value.
#pragma once

// Two macros a family: the operation, then the types that CUDA offers it for.
#define CUDET_EMULATION_FETCH(name, builtin, type)    \
  inline type name(type* address, type value) {       \
    return builtin(address, value, __ATOMIC_RELAXED); \
  }

#define CUDET_EMULATION_FETCH_INTEGERS(name, builtin) \
  CUDET_EMULATION_FETCH(name, builtin, int)           \
  CUDET_EMULATION_FETCH(name, builtin, unsigned int)  \
  CUDET_EMULATION_FETCH(name, builtin, unsigned long long)

CUDET_EMULATION_FETCH_INTEGERS(atomicAdd, __atomic_fetch_add)
CUDET_EMULATION_FETCH(atomicSub, __atomic_fetch_sub, int)
CUDET_EMULATION_FETCH(atomicSub, __atomic_fetch_sub, unsigned int)
CUDET_EMULATION_FETCH_INTEGERS(atomicAnd, __atomic_fetch_and)
CUDET_EMULATION_FETCH_INTEGERS(atomicOr, __atomic_fetch_or)
CUDET_EMULATION_FETCH_INTEGERS(atomicXor, __atomic_fetch_xor)
CUDET_EMULATION_FETCH_INTEGERS(atomicExch, __atomic_exchange_n)

#undef CUDET_EMULATION_FETCH
#undef CUDET_EMULATION_FETCH_INTEGERS

namespace cudet::emulation {

// Replaces the value by `update(old)`; returns the old one.
template <typename T, typename Update>
T atomic_update(T* address, Update update) {
  T old;
  __atomic_load(address, &old, __ATOMIC_RELAXED);
  T desired = update(old);
  while (!__atomic_compare_exchange(address, &old, &desired, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
    desired = update(old);
  }
  return old;
}

}  // namespace cudet::emulation

#define CUDET_EMULATION_UPDATE(name, type, expression)                                         \
  inline type name(type* address, type value) {                                                \
    return cudet::emulation::atomic_update(address, [value](type old) { return expression; }); \
  }

CUDET_EMULATION_UPDATE(atomicMin, int, value < old ? value : old)
CUDET_EMULATION_UPDATE(atomicMin, unsigned int, value < old ? value : old)
CUDET_EMULATION_UPDATE(atomicMin, long long, value < old ? value : old)
CUDET_EMULATION_UPDATE(atomicMin, unsigned long long, value < old ? value : old)
CUDET_EMULATION_UPDATE(atomicMax, int, value > old ? value : old)
CUDET_EMULATION_UPDATE(atomicMax, unsigned int, value > old ? value : old)
CUDET_EMULATION_UPDATE(atomicMax, long long, value > old ? value : old)
CUDET_EMULATION_UPDATE(atomicMax, unsigned long long, value > old ? value : old)
CUDET_EMULATION_UPDATE(atomicAdd, float, old + value)
CUDET_EMULATION_UPDATE(atomicAdd, double, old + value)
CUDET_EMULATION_UPDATE(atomicInc, unsigned int, old >= value ? 0 : old + 1)
CUDET_EMULATION_UPDATE(atomicDec, unsigned int, old == 0 || old > value ? value : old - 1)

#undef CUDET_EMULATION_UPDATE

inline float atomicExch(float* address, float value) {
  float old;
  __atomic_exchange(address, &value, &old, __ATOMIC_RELAXED);
  return old;
}

#define CUDET_EMULATION_COMPARE_AND_SWAP(type)                                     \
  inline type atomicCAS(type* address, type compare, type value) {                 \
    __atomic_compare_exchange_n(address, &compare, value, false, __ATOMIC_RELAXED, \
                                __ATOMIC_RELAXED);                                 \
    return compare;                                                                \
  }

CUDET_EMULATION_COMPARE_AND_SWAP(unsigned short)
CUDET_EMULATION_COMPARE_AND_SWAP(int)
CUDET_EMULATION_COMPARE_AND_SWAP(unsigned int)
CUDET_EMULATION_COMPARE_AND_SWAP(unsigned long long)

#undef CUDET_EMULATION_COMPARE_AND_SWAP
