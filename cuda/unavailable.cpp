// The device side of a library that was built without a CUDA compiler: every call says so.
#include "iou.h"
#include "nms.h"

namespace cudet::device {
namespace {

Status unavailable(const char* operation) noexcept {
  return Status::error(StatusCode::unsupported, "%s: unsupported: built without CUDA", operation);
}

}  // namespace

Status iou_matrix(const IouMatrixOptions&, const IouMatrixInput&, const IouMatrixOutput&,
                  const Execution&) noexcept {
  return unavailable("iou_matrix");
}

Status nms(const NmsPlan&, const NmsOptions&, const NmsInput&, const NmsOutput&,
           const Execution&) noexcept {
  return unavailable("nms");
}

}  // namespace cudet::device
