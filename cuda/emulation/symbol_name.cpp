#include "symbol_name.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace cudet::emulation {
namespace {

template <typename T>
std::vector<T> read_array(std::ifstream& file, std::uint64_t offset, std::size_t count) {
  std::vector<T> values(count);
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(count * sizeof(T)));
  if (!file) values.clear();
  return values;
}

// The mangled name of the function that starts at `address` in a file loaded at `base`.
std::string find_symbol(const char* path, std::uintptr_t base, std::uintptr_t address) {
  std::ifstream file(path, std::ios::binary);
  const auto headers = read_array<Elf64_Ehdr>(file, 0, 1);
  if (headers.empty()) return "";
  const Elf64_Ehdr& header = headers[0];
  const std::uintptr_t value = header.e_type == ET_DYN ? address - base : address;
  const auto sections = read_array<Elf64_Shdr>(file, header.e_shoff, header.e_shnum);
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    const Elf64_Shdr& strings = sections[section.sh_link];
    const auto names = read_array<char>(file, strings.sh_offset, strings.sh_size);
    const auto symbols =
        read_array<Elf64_Sym>(file, section.sh_offset, section.sh_size / sizeof(Elf64_Sym));
    for (const Elf64_Sym& symbol : symbols) {
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_value == value &&
          symbol.st_name < names.size()) {
        return &names[symbol.st_name];
      }
    }
  }
  return "";
}

std::string demangle(const std::string& mangled) {
  int status = 0;
  char* const text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  if (text == nullptr) return mangled;
  std::string name(text);
  std::free(text);
  return name;
}

// Cuts the parameter list off: the last parenthesis that is not inside another or inside <>, so
// that
// "(anonymous namespace)::" and template arguments stay.
std::string without_parameters(const std::string& name) {
  if (name.empty() || name.back() != ')') return name;
  int depth = 0;
  for (std::size_t i = name.size(); i-- > 0;) {
    if (name[i] == ')') ++depth;
    if (name[i] == '(' && --depth == 0) return name.substr(0, i);
  }
  return name;
}

// Templates' names start with their return type, which for a kernel is void.
std::string without_return_type(const std::string& name) {
  constexpr const char kVoid[] = "void ";
  return name.rfind(kVoid, 0) == 0 ? name.substr(sizeof(kVoid) - 1) : name;
}

}  // namespace

std::string symbol_name(const void* function) {
  Dl_info info{};
  std::string mangled;
  if (dladdr(function, &info) != 0 && info.dli_fname != nullptr) {
    mangled = find_symbol(info.dli_fname, reinterpret_cast<std::uintptr_t>(info.dli_fbase),
                          reinterpret_cast<std::uintptr_t>(function));
  }
  if (!mangled.empty()) return without_return_type(without_parameters(demangle(mangled)));
  char text[32];
  std::snprintf(text, sizeof(text), "%p", function);
  return text;
}

}  // namespace cudet::emulation
