// Device side of the NMS family, as the host side calls it.
#pragma once

#include <cudet/execution.h>
#include <cudet/nms.h>

#include "../src/nms_plan.h"

namespace cudet::device {

/// Enqueues nms() as planned; arguments have been checked and there is at least one image.
Status nms(const NmsPlan& plan, const NmsOptions& options, const NmsInput& input,
           const NmsOutput& output, const Execution& execution) noexcept;

}  // namespace cudet::device
