// Names of functions in this process, from the symbol tables of their files.
#pragma once

#include <string>

namespace cudet::emulation {

// The function's name as in its source, without parameters; its address if there is no symbol.
// dladdr alone would not do: it knows neither static functions nor hidden ones.
std::string symbol_name(const void* function);

}  // namespace cudet::emulation
