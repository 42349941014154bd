// Conversion between Tensor and DLPack's DLTensor (https://dmlc.github.io/dlpack). Include it where
// <dlpack/dlpack.h> is on the include path; nothing else in cudet needs DLPack.
#pragma once

#include <cudet/tensor.h>

#include <dlpack/dlpack.h>

namespace cudet {

/// Makes `tensor` a view of `source`, which keeps the ownership and must outlive it.
/// Accepted are memory that this library can reach (CPU, CUDA, CUDA host and CUDA managed), one
/// lane, rank up to Tensor::kMaxRank, and float 16/32, bfloat 16, int 8/32/64 and uint 8. Errors:
/// invalid_argument or unsupported, naming what was found; `tensor` is then untouched.
inline Status from_dlpack(const DLTensor& source, Tensor* tensor) noexcept {
  if (tensor == nullptr) {
    return Status::error(StatusCode::invalid_argument, "from_dlpack: tensor must not be null");
  }
  switch (static_cast<int>(source.device.device_type)) {
    case kDLCPU:
    case kDLCUDA:
    case kDLCUDAHost:
    case 13:  // kDLCUDAManaged, which DLPack 0.6 does not declare yet
      break;
    default:
      return Status::error(StatusCode::unsupported,
                           "from_dlpack: device type must be CPU or CUDA memory, got %d",
                           static_cast<int>(source.device.device_type));
  }
  if (source.ndim < 0 || source.ndim > Tensor::kMaxRank) {
    return Status::error(StatusCode::unsupported, "from_dlpack: ndim must be 0 to %d, got %d",
                         Tensor::kMaxRank, static_cast<int>(source.ndim));
  }
  if (source.ndim > 0 && source.shape == nullptr) {
    return Status::error(StatusCode::invalid_argument, "from_dlpack: shape must not be null");
  }
  const int code = source.dtype.code;
  const int bits = source.dtype.bits;
  DataType type = DataType::float32;
  if (code == kDLFloat && bits == 32) {
    type = DataType::float32;
  } else if (code == kDLFloat && bits == 16) {
    type = DataType::float16;
  } else if (code == kDLBfloat && bits == 16) {
    type = DataType::bfloat16;
  } else if (code == kDLInt && bits == 32) {
    type = DataType::int32;
  } else if (code == kDLInt && bits == 64) {
    type = DataType::int64;
  } else if (code == kDLInt && bits == 8) {
    type = DataType::int8;
  } else if (code == kDLUInt && bits == 8) {
    type = DataType::uint8;
  } else {
    return Status::error(StatusCode::unsupported,
                         "from_dlpack: dtype must be float 16/32, bfloat 16, int 8/32/64 or uint 8, "
                         "got code %d with %d bits",
                         code, bits);
  }
  if (source.dtype.lanes != 1) {
    return Status::error(StatusCode::unsupported, "from_dlpack: lanes must be 1, got %d",
                         static_cast<int>(source.dtype.lanes));
  }
  void* data =
      source.data == nullptr ? nullptr : static_cast<char*>(source.data) + source.byte_offset;
  *tensor = Tensor(data, type, source.ndim, source.shape, source.strides);
  return Status();
}

/// Makes `target` describe `tensor` on `device`. Its shape and strides point into `tensor`, which
/// must outlive it. A read-only tensor is refused, for a DLTensor cannot say so.
inline Status to_dlpack(const Tensor& tensor, DLDevice device, DLTensor* target) noexcept {
  if (target == nullptr) {
    return Status::error(StatusCode::invalid_argument, "to_dlpack: target must not be null");
  }
  if (!tensor.present()) {
    return Status::error(StatusCode::invalid_argument, "to_dlpack: tensor must be present");
  }
  if (tensor.read_only()) {
    return Status::error(StatusCode::invalid_argument, "to_dlpack: tensor must be writable");
  }
  DLDataType type = {kDLFloat, static_cast<std::uint8_t>(size_of(tensor.type()) * 8), 1};
  switch (tensor.type()) {
    case DataType::float32:
    case DataType::float16:
      break;
    case DataType::bfloat16:
      type.code = kDLBfloat;
      break;
    case DataType::int32:
    case DataType::int64:
    case DataType::int8:
      type.code = kDLInt;
      break;
    case DataType::uint8:
      type.code = kDLUInt;
      break;
  }
  target->data = tensor.data();
  target->device = device;
  target->ndim = tensor.rank();
  target->dtype = type;
  target->shape = const_cast<std::int64_t*>(tensor.shape());
  target->strides = const_cast<std::int64_t*>(tensor.strides());
  target->byte_offset = 0;
  return Status();
}

}  // namespace cudet
