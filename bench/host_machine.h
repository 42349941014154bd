// What gpu_bench knows of the host: its processor, its memory, its caches.
#pragma once

#include "device.h"

#include <cstddef>

namespace cudet::bench {

DeviceProperties host_properties();

/// Memory that the host can still give, in bytes.
std::size_t free_host_memory();

/// Removes these bytes from all caches of the processor. False where the processor has no
/// instruction for that.
bool evict_from_caches(void* memory, std::size_t bytes);

}  // namespace cudet::bench
