# The library as others get it, and what its kernels take of the machine.
find_package(Python3 COMPONENTS Interpreter REQUIRED)
find_package(PkgConfig)

get_target_property(cudet_type cudet TYPE)

function(cudet_add_consumer_test mode)
  add_test(
    NAME package.${mode}
    COMMAND
      "${CMAKE_COMMAND}" -D MODE=${mode} -D "CUDET_SOURCE_DIR=${PROJECT_SOURCE_DIR}" -D
      "CUDET_BINARY_DIR=${PROJECT_BINARY_DIR}" -D
      "WORK_DIR=${CMAKE_CURRENT_BINARY_DIR}/consumer_${mode}" -D "VERSION=${PROJECT_VERSION}" -D
      "CUDET_STATIC=$<STREQUAL:${cudet_type},STATIC_LIBRARY>" -D
      "CUDET_NEEDS_CUDA_TOOLKIT=${CUDET_NEEDS_CUDA_TOOLKIT}" -D "CXX=${CMAKE_CXX_COMPILER}" -D
      "GENERATOR=${CMAKE_GENERATOR}" -D "PKG_CONFIG=${PKG_CONFIG_EXECUTABLE}" -P
      "${CMAKE_CURRENT_SOURCE_DIR}/consumer/run.cmake")
  set_tests_properties(package.${mode} PROPERTIES LABELS package)
endfunction()

cudet_add_consumer_test(add_subdirectory)
# A cudet that needs a shared CUDA runtime leaves it to the program where that is found.
if(CUDET_INSTALL AND NOT CMAKE_CUDA_RUNTIME_LIBRARY STREQUAL "Shared")
  cudet_add_consumer_test(find_package)
  if(PKG_CONFIG_FOUND)
    cudet_add_consumer_test(pkg_config)
  endif()
endif()

if(cudet_type STREQUAL "SHARED_LIBRARY")
  add_test(NAME package.exports COMMAND "${PROJECT_SOURCE_DIR}/scripts/check_exports"
                                        "$<TARGET_FILE:cudet>")
  set_tests_properties(package.exports PROPERTIES LABELS package)
endif()

set(check_registers "${Python3_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/scripts/check_registers" --nvcc
                    "$<IF:$<BOOL:${CUDET_ENABLE_CUDA}>,${CMAKE_CUDA_COMPILER},>")
add_test(NAME resources.kernels COMMAND ${check_registers})
set_tests_properties(resources.kernels PROPERTIES LABELS resources SKIP_RETURN_CODE 77 PROCESSORS 2)
if(CUDET_ENABLE_CUDA)
  add_custom_target(
    check_registers_all
    COMMAND ${check_registers} --architectures all
    USES_TERMINAL VERBATIM)
endif()
