// A non-owning view of a dense array: pointer, element type, shape and strides.
#pragma once

#include <cudet/export.h>
#include <cudet/status.h>

#include <cstdint>
#include <initializer_list>
#include <type_traits>

// The 16-bit types of <cuda_fp16.h> and <cuda_bf16.h>, which need not be included here.
struct __half;
struct __nv_bfloat16;

namespace cudet {

enum class DataType : std::int32_t { float32, float16, bfloat16, int32, int64, uint8, int8 };

/// Name of the type as it is spelled in the enumeration, for example "float16".
CUDET_API const char* to_string(DataType type) noexcept;

/// Size of one element in bytes.
CUDET_API int size_of(DataType type) noexcept;

/// IEEE 754 binary16 and the upper half of a binary32 as bits: storage types for hosts without the
/// CUDA headers. They convert from float with one rounding to nearest even, and to float exactly.
struct float16 {
  std::uint16_t bits = 0;
  float16() = default;
  CUDET_API explicit float16(float value) noexcept;
  CUDET_API explicit operator float() const noexcept;
};
struct bfloat16 {
  std::uint16_t bits = 0;
  bfloat16() = default;
  CUDET_API explicit bfloat16(float value) noexcept;
  CUDET_API explicit operator float() const noexcept;
};

/// DataType of a C++ element type; the primary template is left undefined.
template <class T>
struct DataTypeOf;
// clang-format off
template <> struct DataTypeOf<float>         { static constexpr DataType value = DataType::float32; };
template <> struct DataTypeOf<float16>       { static constexpr DataType value = DataType::float16; };
template <> struct DataTypeOf<__half>        { static constexpr DataType value = DataType::float16; };
template <> struct DataTypeOf<bfloat16>      { static constexpr DataType value = DataType::bfloat16; };
template <> struct DataTypeOf<__nv_bfloat16> { static constexpr DataType value = DataType::bfloat16; };
template <> struct DataTypeOf<std::int32_t>  { static constexpr DataType value = DataType::int32; };
template <> struct DataTypeOf<std::int64_t>  { static constexpr DataType value = DataType::int64; };
template <> struct DataTypeOf<std::uint8_t>  { static constexpr DataType value = DataType::uint8; };
template <> struct DataTypeOf<std::int8_t>   { static constexpr DataType value = DataType::int8; };
// clang-format on

/// View of an array that somebody else owns, on the host or on a device; the view does not know
/// which. A default-constructed Tensor is *absent*: an optional input that is not given, or an
/// output that is not wanted. Strides count elements; the last dimension is the innermost one.
class Tensor {
 public:
  static constexpr int kMaxRank = 8;

  /// An absent tensor.
  Tensor() noexcept = default;

  /// A contiguous (row-major) tensor. The element type follows from the pointer; a pointer to const
  /// makes a view that is refused as an output. `data` may be null where the tensor has no
  /// elements.
  template <class T>
  Tensor(T* data, std::initializer_list<std::int64_t> shape) noexcept
      : Tensor(const_cast<std::remove_const_t<T>*>(data), DataTypeOf<std::remove_const_t<T>>::value,
               static_cast<int>(shape.size()), shape.begin(), nullptr, std::is_const_v<T>) {}

  /// A tensor of any type, rank 0 to kMaxRank and strides; strides == nullptr means contiguous. A
  /// rank out of range makes a view that every operation refuses.
  CUDET_API Tensor(void* data, DataType type, int rank, const std::int64_t* shape,
                   const std::int64_t* strides = nullptr, bool read_only = false) noexcept;

  bool present() const noexcept { return present_; }
  bool read_only() const noexcept { return read_only_; }
  void* data() const noexcept { return data_; }
  template <class T>
  T* data_as() const noexcept {
    return static_cast<T*>(data_);
  }
  DataType type() const noexcept { return type_; }
  int rank() const noexcept { return rank_; }
  std::int64_t size(int dimension) const noexcept { return shape_[dimension]; }
  std::int64_t stride(int dimension) const noexcept { return strides_[dimension]; }
  const std::int64_t* shape() const noexcept { return shape_; }
  const std::int64_t* strides() const noexcept { return strides_; }

  /// Product of the shape; 1 for rank 0; -1 where it does not fit 63 bits or a size is negative.
  CUDET_API std::int64_t element_count() const noexcept;

  /// True where elements lie row-major without gaps; strides of dimensions of size 1 do not count,
  /// and a tensor without elements is contiguous.
  CUDET_API bool is_contiguous() const noexcept;

 private:
  void* data_ = nullptr;
  DataType type_ = DataType::float32;
  std::int32_t rank_ = 0;
  bool present_ = false;
  bool read_only_ = false;
  std::int64_t shape_[kMaxRank] = {};
  std::int64_t strides_[kMaxRank] = {};
};

static_assert(std::is_trivially_copyable_v<Tensor>, "Tensor is passed by value to plans");

}  // namespace cudet
