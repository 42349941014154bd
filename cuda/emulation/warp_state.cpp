#include "warp_state.h"

#include <algorithm>

namespace cudet::emulation {
namespace {

// What a shuffle returns when its source lane takes no part, where CUDA leaves the value undefined:
// a NaN, or -1.
constexpr std::uint64_t kUndefinedValue = ~std::uint64_t{0};

template <typename Visit>
void for_each_lane(unsigned int mask, Visit visit) {
  for (; mask != 0; mask &= mask - 1)
    visit(static_cast<unsigned int>(__builtin_ctz(mask)));
}

// The lane whose value a shuffle returns, by the rules of PTX's shfl.sync: only the low five bits
// of the parameter count, and a lane whose source lies outside its segment keeps its own value.
unsigned int source_lane(unsigned int lane, const WarpRequest& request) {
  const auto width = static_cast<unsigned int>(request.width);
  const unsigned int parameter = request.parameter % kWarpSize;
  const unsigned int first = lane / width * width;
  const unsigned int last = first + width - 1;
  switch (request.operation) {
    case WarpOperation::kShuffle:
      return first + parameter % width;
    case WarpOperation::kShuffleUp:
      return lane >= first + parameter ? lane - parameter : lane;
    case WarpOperation::kShuffleDown:
      return lane + parameter <= last ? lane + parameter : lane;
    default:
      return (lane ^ parameter) <= last ? lane ^ parameter : lane;
  }
}

}  // namespace

void Warp::begin(unsigned int existing) {
  existing_ = existing;
  ready = existing;
  meeting_count_ = 0;
}

bool Warp::meet(unsigned int lane, const WarpRequest& request) {
  requests_[lane] = request;
  unsigned int i = 0;
  while (i < meeting_count_ &&
         (meetings_[i].operation != request.operation || meetings_[i].mask != request.mask)) {
    ++i;
  }
  if (i == meeting_count_) meetings_[meeting_count_++] = {request.operation, request.mask, 0};
  meetings_[i].arrived |= 1u << lane;
  if (meetings_[i].arrived != request.mask) return false;
  complete(meetings_[i]);
  meetings_[i] = meetings_[--meeting_count_];
  return true;
}

void Warp::complete(const Meeting& meeting) {
  switch (meeting.operation) {
    case WarpOperation::kSync:
      return;
    case WarpOperation::kShuffle:
    case WarpOperation::kShuffleUp:
    case WarpOperation::kShuffleDown:
    case WarpOperation::kShuffleXor:
      return shuffle(meeting.mask);
    case WarpOperation::kMatchAny:
      return match(meeting.mask);
    default: {
      const std::uint64_t result = reduce(meeting);
      for_each_lane(meeting.mask, [&](unsigned int lane) { results_[lane] = result; });
    }
  }
}

void Warp::shuffle(unsigned int mask) {
  for_each_lane(mask, [&](unsigned int lane) {
    const unsigned int source = source_lane(lane, requests_[lane]);
    results_[lane] = (mask >> source & 1u) != 0 ? requests_[source].operand : kUndefinedValue;
  });
}

void Warp::match(unsigned int mask) {
  for_each_lane(mask, [&](unsigned int lane) {
    results_[lane] = 0;
    for_each_lane(mask, [&](unsigned int other) {
      if (requests_[other].operand == requests_[lane].operand) results_[lane] |= 1u << other;
    });
  });
}

std::uint64_t Warp::reduce(const Meeting& meeting) const {
  if (meeting.operation == WarpOperation::kBallot) {
    unsigned int ballot = 0;
    for_each_lane(meeting.mask, [&](unsigned int lane) {
      if (requests_[lane].operand != 0) ballot |= 1u << lane;
    });
    return ballot;
  }
  const auto combine = [&](std::uint32_t a, std::uint32_t b) -> std::uint32_t {
    const auto signed_a = static_cast<std::int32_t>(a);
    const auto signed_b = static_cast<std::int32_t>(b);
    switch (meeting.operation) {
      case WarpOperation::kReduceMinSigned:
        return static_cast<std::uint32_t>(std::min(signed_a, signed_b));
      case WarpOperation::kReduceMaxSigned:
        return static_cast<std::uint32_t>(std::max(signed_a, signed_b));
      case WarpOperation::kReduceMinUnsigned:
        return std::min(a, b);
      case WarpOperation::kReduceMaxUnsigned:
        return std::max(a, b);
      case WarpOperation::kReduceAnd:
        return a & b;
      case WarpOperation::kReduceOr:
        return a | b;
      case WarpOperation::kReduceXor:
        return a ^ b;
      default:  // both additions: they differ in type, not in bits
        return a + b;
    }
  };
  const auto first = static_cast<unsigned int>(__builtin_ctz(meeting.mask));
  auto result = static_cast<std::uint32_t>(requests_[first].operand);
  for_each_lane(meeting.mask & (meeting.mask - 1), [&](unsigned int lane) {
    result = combine(result, static_cast<std::uint32_t>(requests_[lane].operand));
  });
  return result;
}

const char* name_of(WarpOperation operation) {
  switch (operation) {
    case WarpOperation::kSync:
      return "__syncwarp";
    case WarpOperation::kShuffle:
      return "__shfl_sync";
    case WarpOperation::kShuffleUp:
      return "__shfl_up_sync";
    case WarpOperation::kShuffleDown:
      return "__shfl_down_sync";
    case WarpOperation::kShuffleXor:
      return "__shfl_xor_sync";
    case WarpOperation::kBallot:
      return "__ballot_sync, __any_sync or __all_sync";
    case WarpOperation::kMatchAny:
      return "__match_any_sync";
    case WarpOperation::kReduceAddSigned:
    case WarpOperation::kReduceAddUnsigned:
      return "__reduce_add_sync";
    case WarpOperation::kReduceMinSigned:
    case WarpOperation::kReduceMinUnsigned:
      return "__reduce_min_sync";
    case WarpOperation::kReduceMaxSigned:
    case WarpOperation::kReduceMaxUnsigned:
      return "__reduce_max_sync";
    case WarpOperation::kReduceAnd:
      return "__reduce_and_sync";
    case WarpOperation::kReduceOr:
      return "__reduce_or_sync";
    case WarpOperation::kReduceXor:
      return "__reduce_xor_sync";
  }
  return "unknown operation";
}

}  // namespace cudet::emulation
