# Fails unless the README shows the example that is compiled and run: examples/readme.cpp between its
# markers. Run with -D SOURCE_DIR=<root of the project>.

file(READ "${SOURCE_DIR}/examples/readme.cpp" example)
string(REGEX MATCH "// readme-begin\n(.*)// readme-end" found "${example}")
if(NOT found)
  message(FATAL_ERROR "examples/readme.cpp has no markers readme-begin and readme-end")
endif()
set(snippet "${CMAKE_MATCH_1}")
file(READ "${SOURCE_DIR}/README.md" readme)
string(FIND "${readme}" "```cpp\n${snippet}```" position)
if(position EQUAL -1)
  message(FATAL_ERROR "README.md does not show examples/readme.cpp as it is")
endif()
