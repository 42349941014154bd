// Warp operations: the *_sync intrinsics, in which the lanes named by a mask meet.
//
// `__activemask` is left out on purpose: what it returns is a matter of chance on a GPU, so a
// kernel that asks for it is wrong or slower than it need be.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <cudet_emulation/site.h>
#include <cudet_emulation/thread_index.h>

namespace cudet::emulation {

// One value for each intrinsic: lanes that meet must be at the same one.
enum class WarpOperation : std::uint8_t {
  kSync,
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kMatchAny,
  kReduceAddSigned,
  kReduceAddUnsigned,
  kReduceMinSigned,
  kReduceMinUnsigned,
  kReduceMaxSigned,
  kReduceMaxUnsigned,
  kReduceAnd,
  kReduceOr,
  kReduceXor,
};

// What a lane brings to a warp operation.
struct WarpRequest {
  WarpOperation operation;
  unsigned int mask;
  std::uint64_t operand;   // the lane's value, bit for bit
  unsigned int parameter;  // source lane, delta or lane mask of a shuffle
  int width;               // segment width of a shuffle
  Site site;
};

// Waits until all lanes named in the mask have come to the same operation; returns the lane's
// result.
std::uint64_t warp_operation(const WarpRequest& request);

template <typename T>
std::uint64_t to_operand(T value) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "warp operations exchange numbers of 4 or 8 bytes");
  std::uint64_t operand = 0;
  std::memcpy(&operand, &value, sizeof(T));
  return operand;
}

template <typename T>
T from_operand(std::uint64_t operand) {
  T value;
  std::memcpy(&value, &operand, sizeof(T));
  return value;
}

template <typename T>
T exchange(WarpOperation operation, unsigned int mask, T value, unsigned int parameter, int width,
           Site site) {
  return from_operand<T>(
      warp_operation({operation, mask, to_operand(value), parameter, width, site}));
}

inline unsigned int ballot(unsigned int mask, int predicate, Site site) {
  const std::uint64_t operand = predicate != 0;
  return static_cast<unsigned int>(
      warp_operation({WarpOperation::kBallot, mask, operand, 0, 32, site}));
}

}  // namespace cudet::emulation

inline void __syncwarp(unsigned int mask = 0xFFFFFFFFu,
                       cudet::emulation::Site site = cudet::emulation::Site::here()) {
  cudet::emulation::warp_operation(
      {cudet::emulation::WarpOperation::kSync, mask, 0, 0, warpSize, site});
}

#define CUDET_EMULATION_SHUFFLE(name, operation, parameter_type)                               \
  template <typename T>                                                                        \
  T name(unsigned int mask, T value, parameter_type parameter, int width = warpSize,           \
         cudet::emulation::Site site = cudet::emulation::Site::here()) {                       \
    return cudet::emulation::exchange(cudet::emulation::WarpOperation::operation, mask, value, \
                                      static_cast<unsigned int>(parameter), width, site);      \
  }

CUDET_EMULATION_SHUFFLE(__shfl_sync, kShuffle, int)
CUDET_EMULATION_SHUFFLE(__shfl_up_sync, kShuffleUp, unsigned int)
CUDET_EMULATION_SHUFFLE(__shfl_down_sync, kShuffleDown, unsigned int)
CUDET_EMULATION_SHUFFLE(__shfl_xor_sync, kShuffleXor, int)

inline unsigned int __ballot_sync(unsigned int mask, int predicate,
                                  cudet::emulation::Site site = cudet::emulation::Site::here()) {
  return cudet::emulation::ballot(mask, predicate, site);
}

inline int __any_sync(unsigned int mask, int predicate,
                      cudet::emulation::Site site = cudet::emulation::Site::here()) {
  return cudet::emulation::ballot(mask, predicate, site) != 0;
}

inline int __all_sync(unsigned int mask, int predicate,
                      cudet::emulation::Site site = cudet::emulation::Site::here()) {
  return cudet::emulation::ballot(mask, predicate, site) == mask;
}

template <typename T>
unsigned int __match_any_sync(unsigned int mask, T value,
                              cudet::emulation::Site site = cudet::emulation::Site::here()) {
  return static_cast<unsigned int>(
      cudet::emulation::warp_operation({cudet::emulation::WarpOperation::kMatchAny, mask,
                                        cudet::emulation::to_operand(value), 0, warpSize, site}));
}

#define CUDET_EMULATION_REDUCE(name, operation, type)                                              \
  inline type name(unsigned int mask, type value,                                                  \
                   cudet::emulation::Site site = cudet::emulation::Site::here()) {                 \
    return cudet::emulation::exchange(cudet::emulation::WarpOperation::operation, mask, value, 0u, \
                                      warpSize, site);                                             \
  }

CUDET_EMULATION_REDUCE(__reduce_add_sync, kReduceAddSigned, int)
CUDET_EMULATION_REDUCE(__reduce_add_sync, kReduceAddUnsigned, unsigned int)
CUDET_EMULATION_REDUCE(__reduce_min_sync, kReduceMinSigned, int)
CUDET_EMULATION_REDUCE(__reduce_min_sync, kReduceMinUnsigned, unsigned int)
CUDET_EMULATION_REDUCE(__reduce_max_sync, kReduceMaxSigned, int)
CUDET_EMULATION_REDUCE(__reduce_max_sync, kReduceMaxUnsigned, unsigned int)
CUDET_EMULATION_REDUCE(__reduce_and_sync, kReduceAnd, unsigned int)
CUDET_EMULATION_REDUCE(__reduce_or_sync, kReduceOr, unsigned int)
CUDET_EMULATION_REDUCE(__reduce_xor_sync, kReduceXor, unsigned int)

#undef CUDET_EMULATION_SHUFFLE
#undef CUDET_EMULATION_REDUCE
