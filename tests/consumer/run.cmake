# Builds and runs the program of a user, as CTest does it:
#   cmake -D MODE=find_package|pkg_config|add_subdirectory -D CUDET_SOURCE_DIR=... ... -P run.cmake
# Everything happens in WORK_DIR, which is emptied first.

function(run)
  list(JOIN ARGN " " line)
  message(STATUS "${line}")
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${WORK_DIR}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE "${WORK_DIR}")
file(MAKE_DIRECTORY "${WORK_DIR}")
# A C++ user has no CUDA header on the include path.
foreach(variable IN ITEMS CPATH CPLUS_INCLUDE_PATH CUDACXX CUDA_PATH)
  unset(ENV{${variable}})
endforeach()

set(prefix "${WORK_DIR}/prefix")
if(MODE MATCHES "find_package|pkg_config")
  run("${CMAKE_COMMAND}" --install "${CUDET_BINARY_DIR}" --prefix "${prefix}")
  # The install must work wherever it is moved to.
  file(RENAME "${prefix}" "${prefix} moved")
  set(prefix "${prefix} moved")
endif()

if(MODE STREQUAL "pkg_config")
  file(GLOB_RECURSE pc_file "${prefix}/*/cudet.pc")
  cmake_path(GET pc_file PARENT_PATH pc_dir)
  set(ENV{PKG_CONFIG_PATH} "${pc_dir}")
  set(static "")
  if(CUDET_STATIC)
    set(static --static)
  endif()
  execute_process(
    COMMAND "${PKG_CONFIG}" ${static} --cflags --libs cudet
    OUTPUT_VARIABLE flags
    COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  cmake_path(GET pc_dir PARENT_PATH library_dir)
  run("${CXX}" -std=c++17 "${CUDET_SOURCE_DIR}/tests/consumer/main.cpp" -o consumer ${flags}
      "-Wl,-rpath,${library_dir}")
  run("${WORK_DIR}/consumer")
  return()
endif()

# No CUDA compiler, and where cudet needs none to be linked no CUDA toolkit either.
set(hide_cuda -DCMAKE_CUDA_COMPILER=NOTFOUND)
if(NOT CUDET_NEEDS_CUDA_TOOLKIT)
  list(APPEND hide_cuda -DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON)
endif()
run("${CMAKE_COMMAND}"
    --no-warn-unused-cli
    -S
    "${CUDET_SOURCE_DIR}/tests/consumer_${MODE}"
    -B
    build
    -G
    "${GENERATOR}"
    "-DCMAKE_CXX_COMPILER=${CXX}"
    "-DCMAKE_PREFIX_PATH=${prefix}"
    "-DEXPECTED_VERSION=${VERSION}"
    ${hide_cuda})
run("${CMAKE_COMMAND}" --build build)
run("${WORK_DIR}/build/consumer")
