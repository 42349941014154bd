#include "result.h"

namespace cudet::bench {
namespace {

double share(double amount, const Summary& time, double limit) {
  if (time.median <= 0.0 || limit <= 0.0) return 0.0;
  return amount / time.median / limit;
}

}  // namespace

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::timed:
      return "timed";
    case Outcome::checked:
      return "checked";
    case Outcome::skipped:
      return "skipped";
    case Outcome::failed:
      return "failed";
  }
  return "";
}

double share_of_bandwidth(const Result& result, const Limits& limits) {
  return share(result.compulsory_bytes, result.times.warm, limits.bytes_per_second);
}

double share_of_arithmetic(const Result& result, const Limits& limits) {
  return share(result.operations, result.times.warm, limits.operations_per_second);
}

}  // namespace cudet::bench
