// What calls do that cannot get memory of the host: those that allocate are function try blocks.
#pragma once

#include <cudet/status.h>

#include <new>

namespace cudet {

inline Status out_of_host_memory(const char* operation) noexcept {
  return Status::error(StatusCode::out_of_memory, "%s: the memory of the host does not suffice",
                       operation);
}

}  // namespace cudet
