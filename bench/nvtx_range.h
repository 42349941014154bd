// A named range in the timeline of a profiler, where the NVTX header of the CUDA toolkit is there.
#pragma once

#if defined(CUDET_BENCH_WITH_NVTX)
#include <nvtx3/nvToolsExt.h>
#endif

namespace cudet::bench {

#if defined(CUDET_BENCH_WITH_NVTX)
inline constexpr bool kHasNvtx = true;
#else
inline constexpr bool kHasNvtx = false;
#endif

class NvtxRange {
 public:
  explicit NvtxRange([[maybe_unused]] const char* name) {
#if defined(CUDET_BENCH_WITH_NVTX)
    nvtxRangePushA(name);
#endif
  }
  ~NvtxRange() {
#if defined(CUDET_BENCH_WITH_NVTX)
    nvtxRangePop();
#endif
  }
  NvtxRange(const NvtxRange&) = delete;
  NvtxRange& operator=(const NvtxRange&) = delete;
};

}  // namespace cudet::bench
