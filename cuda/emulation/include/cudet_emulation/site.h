// Where in the kernel's source a call stands.
#pragma once

namespace cudet::emulation {

struct Site {
  const char* file;
  int line;

  // As a default argument it names the caller's line, like std::source_location::current().
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

}  // namespace cudet::emulation
