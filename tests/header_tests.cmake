# Every public header compiles alone, without CUDA. Built with all the rest; there is nothing to run.
file(GLOB headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
     "${PROJECT_SOURCE_DIR}/include/cudet/*.h")
if(NOT CUDET_HAVE_DLPACK)
  list(REMOVE_ITEM headers cudet/dlpack.h)
endif()

set(header_sources)
foreach(header IN LISTS headers)
  set(source "${CMAKE_CURRENT_BINARY_DIR}/header_tests/${header}.cpp")
  # Twice: a header must also guard itself.
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include <${header}>\n#include <${header}>\n")
  list(APPEND header_sources "${source}")
endforeach()
add_library(cudet_header_tests OBJECT ${header_sources})
cudet_target_options(cudet_header_tests)
target_link_libraries(cudet_header_tests PRIVATE cudet::cudet)
