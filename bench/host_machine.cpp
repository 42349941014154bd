#include "host_machine.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace cudet::bench {
namespace {

/// The value of the first line "key : value" of a file, empty where there is none.
std::string value_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || line.rfind(key, 0) != 0) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? std::string() : line.substr(begin);
  }
  return std::string();
}

/// A number of kibibytes of /proc/meminfo in bytes, 0 where it is not told.
std::size_t memory_info(const std::string& key) {
  return std::strtoull(value_of("/proc/meminfo", key).c_str(), nullptr, 10) * 1024;
}

#if defined(__x86_64__)

constexpr std::size_t kCacheLine = 64;

/// The newer instruction does not wait for the one before.
bool has_fast_flush() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_CLFLUSHOPT) != 0;
}

__attribute__((target("clflushopt"))) void flush_fast(char* start, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += kCacheLine)
    _mm_clflushopt(start + i);
}

void flush(const char* start, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += kCacheLine)
    _mm_clflush(start + i);
}

#endif

}  // namespace

DeviceProperties host_properties() {
  DeviceProperties properties;
  properties.name = value_of("/proc/cpuinfo", "model name");
  if (properties.name.empty()) properties.name = "unknown processor";
  properties.units = static_cast<int>(std::thread::hardware_concurrency());
  properties.clock_mhz = std::atof(value_of("/proc/cpuinfo", "cpu MHz").c_str());
  properties.memory_bytes = memory_info("MemTotal");
  return properties;
}

std::size_t free_host_memory() {
  const std::size_t bytes = memory_info("MemAvailable");
  return bytes > 0 ? bytes : static_cast<std::size_t>(-1);  // unknown: the allocation will tell
}

bool evict_from_caches(void* memory, std::size_t bytes) {
#if defined(__x86_64__)
  static const bool fast = has_fast_flush();
  char* const start = static_cast<char*>(memory);
  fast ? flush_fast(start, bytes) : flush(start, bytes);
  _mm_mfence();
  return true;
#else
  (void)memory;
  (void)bytes;
  return false;
#endif
}

}  // namespace cudet::bench
