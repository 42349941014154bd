// An array in host memory whose element type is known at run time: inputs and expected results.
#pragma once

#include "guarded_memory.h"

#include <cudet/tensor.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {

class HostTensor {
 public:
  /// Absent: tensor() gives an absent Tensor.
  HostTensor() = default;

  /// Poisoned elements with guard bytes on both sides, checked by the destructor. `byte_offset`
  /// moves the data off a 256-byte boundary.
  HostTensor(DataType type, std::vector<std::int64_t> shape, std::size_t byte_offset = 0);

  /// Elements converted to `type`, each with one rounding.
  static HostTensor of_reals(DataType type, std::vector<std::int64_t> shape,
                             const std::vector<float>& values);
  static HostTensor of_integers(DataType type, std::vector<std::int64_t> shape,
                                const std::vector<std::int64_t>& values);

  HostTensor(const HostTensor&) = default;
  HostTensor(HostTensor&&) = default;
  HostTensor& operator=(const HostTensor&) = default;
  HostTensor& operator=(HostTensor&&) = default;
  ~HostTensor() { check_guards(); }

  bool present() const { return present_; }
  DataType type() const { return type_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::size_t count() const { return count_; }
  std::size_t byte_count() const { return count_ * static_cast<std::size_t>(size_of(type_)); }

  /// View of the elements for a call; valid while this object is neither moved nor assigned to.
  Tensor tensor();
  /// The same, read-only.
  Tensor const_tensor() const;

  std::uint8_t* data();
  const std::uint8_t* data() const;

  float real(std::size_t index) const;
  std::int64_t integer(std::size_t index) const;
  void set_real(std::size_t index, float value);
  void set_integer(std::size_t index, std::int64_t value);
  std::vector<float> reals() const;
  std::vector<std::int64_t> integers() const;

  void poison();
  bool is_all_poison() const;

  /// Fails the test where a byte outside the elements has changed.
  void check_guards() const;

 private:
  struct alignas(kGuardBytes) Block {
    std::uint8_t bytes[kGuardBytes];
  };

  bool present_ = false;
  DataType type_ = DataType::float32;
  std::vector<std::int64_t> shape_;
  std::size_t count_ = 0;
  std::size_t byte_offset_ = 0;
  std::vector<Block> memory_;  ///< guard, byte_offset_, elements, guard
};

/// Same type, shape and bits; lists the first differences. Both absent is equal too.
testing::AssertionResult same_bits(const HostTensor& got, const HostTensor& expected);

}  // namespace cudet::test
