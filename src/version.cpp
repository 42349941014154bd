#include <cudet/version.h>

namespace cudet {

int version() noexcept {
  return CUDET_VERSION;
}

bool built_with_cuda() noexcept {
#if defined(CUDET_WITH_CUDA)
  return true;
#else
  return false;
#endif
}

}  // namespace cudet
