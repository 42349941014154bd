// The NMS family on the CPU, as the host side calls it.
#pragma once

#include "../nms_plan.h"

#include <cudet/nms.h>

namespace cudet::cpu {

/// nms(); arguments have been checked. Images are shared out over the threads, and the classes of
/// an image where there are fewer images than threads.
Status nms(const NmsShape& shape, const NmsOptions& options, const NmsInput& input,
           const NmsOutput& output, int threads);

}  // namespace cudet::cpu
