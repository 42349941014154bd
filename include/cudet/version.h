// Version of the cudet headers, following semantic versioning (https://semver.org).
#pragma once

#include <cudet/export.h>

#define CUDET_VERSION_MAJOR 0
#define CUDET_VERSION_MINOR 1
#define CUDET_VERSION_PATCH 0
#define CUDET_VERSION \
  (CUDET_VERSION_MAJOR * 10000 + CUDET_VERSION_MINOR * 100 + CUDET_VERSION_PATCH)

namespace cudet {

/// Version of the library that was linked, in the form of CUDET_VERSION. A program that finds it
/// different from the macro was compiled against the headers of another release.
CUDET_API int version() noexcept;

/// True where the library holds CUDA kernels; false where it was built without a CUDA compiler and
/// every device call answers StatusCode::unsupported.
CUDET_API bool built_with_cuda() noexcept;

}  // namespace cudet
