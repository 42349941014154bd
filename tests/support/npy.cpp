#include "npy.h"

#include <cctype>
#include <cstddef>
#include <fstream>
#include <iterator>

namespace cudet::test {
namespace {

/// Text after `key` and its colon in the header, which is a Python dictionary.
std::string header_field(const std::string& path, const std::string& header,
                         const std::string& key) {
  const std::size_t found = header.find("'" + key + "':");
  if (found == std::string::npos) throw std::runtime_error(path + ": no " + key + " in the header");
  std::size_t begin = found + key.size() + 3;
  while (begin < header.size() && header[begin] == ' ')
    ++begin;
  return header.substr(begin);
}

std::size_t item_size(const std::string& dtype) {
  return static_cast<std::size_t>(dtype.back() - '0');
}

}  // namespace

Array Array::read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  const std::vector<char> content((std::istreambuf_iterator<char>(file)),
                                  std::istreambuf_iterator<char>());
  constexpr std::size_t kPrefix = 10;  // magic, version, length of the header
  if (content.size() < kPrefix || std::string(content.data(), 6) != "\x93NUMPY" ||
      content[6] != 1) {
    throw std::runtime_error(path + ": is not an .npy file of version 1.0");
  }
  const std::size_t header_size =
      static_cast<unsigned char>(content[8]) + 256u * static_cast<unsigned char>(content[9]);
  if (content.size() < kPrefix + header_size) throw std::runtime_error(path + ": header is cut");
  const std::string header(content.data() + kPrefix, header_size);

  Array array;
  array.path_ = path;
  const std::string descr = header_field(path, header, "descr");
  array.dtype_ = descr.substr(1, descr.find('\'', 1) - 1);
  const std::string& d = array.dtype_;
  if (d != "<f4" && d != "<f8" && d != "<i4" && d != "<i8" && d != "|u1") {
    throw std::runtime_error(path + ": element type " + d + " is not supported");
  }
  if (header_field(path, header, "fortran_order").rfind("False", 0) != 0) {
    throw std::runtime_error(path + ": is not in C order");
  }
  const std::string shape = header_field(path, header, "shape");
  for (std::size_t i = 1; i < shape.size() && shape[i] != ')'; ++i) {
    if (std::isdigit(static_cast<unsigned char>(shape[i])) == 0) continue;
    std::size_t digits = 0;
    array.shape_.push_back(std::stoll(shape.substr(i), &digits));
    i += digits - 1;
  }

  const auto begin = content.begin() + static_cast<std::ptrdiff_t>(kPrefix + header_size);
  array.bytes_.assign(begin, content.end());
  const std::size_t expected =
      static_cast<std::size_t>(array.element_count()) * item_size(array.dtype_);
  if (array.bytes_.size() != expected) {
    throw std::runtime_error(path + ": has " + std::to_string(array.bytes_.size()) +
                             " bytes of data, its header asks for " + std::to_string(expected));
  }
  return array;
}

std::int64_t Array::element_count() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape_)
    count *= size;
  return count;
}

void Array::require_dtype(const std::string& wanted) const {
  if (dtype_ != wanted) {
    throw std::runtime_error(path_ + ": holds " + dtype_ + ", the test asks for " + wanted);
  }
}

}  // namespace cudet::test
