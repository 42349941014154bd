// Arrays in NumPy's .npy format, version 1.0
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): the files of
// tests/data. Little-endian, C order, element types float32, float64, int32, int64 and uint8.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace cudet::test {

class Array {
 public:
  /// Reads a file; throws std::runtime_error with the path where it is not such an array.
  static Array read(const std::string& path);

  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::int64_t size(std::size_t dimension) const { return shape_.at(dimension); }
  std::int64_t element_count() const;

  /// NumPy's spelling of the element type, for example "<f4".
  const std::string& dtype() const { return dtype_; }

  /// The elements; throws where T is not the type that the file holds.
  template <class T>
  std::vector<T> values() const {
    require_dtype(dtype_of(T()));
    std::vector<T> elements(bytes_.size() / sizeof(T));
    if (!bytes_.empty()) std::memcpy(elements.data(), bytes_.data(), bytes_.size());
    return elements;
  }

 private:
  static const char* dtype_of(float) { return "<f4"; }
  static const char* dtype_of(double) { return "<f8"; }
  static const char* dtype_of(std::int32_t) { return "<i4"; }
  static const char* dtype_of(std::int64_t) { return "<i8"; }
  static const char* dtype_of(std::uint8_t) { return "|u1"; }
  void require_dtype(const std::string& wanted) const;

  std::string path_;
  std::string dtype_;
  std::vector<std::int64_t> shape_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace cudet::test
