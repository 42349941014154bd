# Decides whether the library holds CUDA kernels and enables the language if so.
include(CheckLanguage)

# Cache variables win over this default, so that nvcc is looked for only where it is not settled.
if(NOT DEFINED CUDET_ENABLE_CUDA)
  check_language(CUDA)
endif()
if(CMAKE_CUDA_COMPILER)
  set(cudet_has_nvcc ON)
else()
  set(cudet_has_nvcc OFF)
endif()
option(CUDET_ENABLE_CUDA "Build the CUDA kernels; needs nvcc" ${cudet_has_nvcc})

if(CUDET_ENABLE_CUDA)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "CUDET_ENABLE_CUDA is ON, but no CUDA compiler was found: put nvcc on PATH,"
                        " set CMAKE_CUDA_COMPILER, or configure with -DCUDET_ENABLE_CUDA=OFF")
  endif()
  include(CudetArchitectures)
  if(NOT CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA" OR CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.0)
    message(FATAL_ERROR "cudet needs nvcc 12.0 or newer, got ${CMAKE_CUDA_COMPILER_ID}"
                        " ${CMAKE_CUDA_COMPILER_VERSION}; -DCUDET_ENABLE_CUDA=OFF builds without")
  endif()
  find_package(CUDAToolkit REQUIRED)
endif()
