# Installation: headers, library, CMake package and pkg-config file.
include(CMakePackageConfigHelpers)

set(cudet_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/cudet")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/cudet" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS cudet EXPORT cudet-targets)
install(
  EXPORT cudet-targets
  NAMESPACE cudet::
  DESTINATION "${cudet_package_dir}")

# A static library leaves the CUDA runtime to the link of the program, see src/CMakeLists.txt.
get_target_property(cudet_type cudet TYPE)
set(CUDET_NEEDS_CUDA_TOOLKIT OFF)
if(CUDET_ENABLE_CUDA AND cudet_type STREQUAL "STATIC_LIBRARY")
  set(CUDET_NEEDS_CUDA_TOOLKIT ON)
endif()
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/cudet-config.cmake.in" "${PROJECT_BINARY_DIR}/cudet-config.cmake"
  INSTALL_DESTINATION "${cudet_package_dir}"
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may break the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/cudet-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/cudet-config.cmake"
              "${PROJECT_BINARY_DIR}/cudet-config-version.cmake"
        DESTINATION "${cudet_package_dir}")

set(cudet_pc_cflags "")
set(cudet_pc_libs_private "")
if(cudet_type STREQUAL "STATIC_LIBRARY")
  set(cudet_pc_cflags " -DCUDET_STATIC")
  set(cudet_pc_libs_private "-lstdc++")
  if(CUDET_NEEDS_CUDA_TOOLKIT)
    set(cudet_pc_runtime "-lcudart_static -ldl -lrt")
    if(CMAKE_CUDA_RUNTIME_LIBRARY STREQUAL "Shared")
      set(cudet_pc_runtime "-lcudart")
    endif()
    string(APPEND cudet_pc_libs_private " -L${CUDAToolkit_LIBRARY_DIR} ${cudet_pc_runtime}")
  endif()
endif()
# Paths relative to the file itself, so that an installed tree may be moved.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY
           "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" OUTPUT_VARIABLE cudet_pc_include_dir)
configure_file("${PROJECT_SOURCE_DIR}/cmake/cudet.pc.in" "${PROJECT_BINARY_DIR}/cudet.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/cudet.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
