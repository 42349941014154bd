# cudet_link_cuda_program(target): links a program that calls cudet and the CUDA runtime itself.
#
# A shared cudet holds a runtime of its own. With CUDET_CUDART_DIR its objects are linked once more,
# to a library without one, so that it and the program take the runtime that LD_LIBRARY_PATH has.
set(CUDET_CUDART_DIR
    ""
    CACHE PATH "Folder with a libcudart.so that the CUDA tests run with")

if(CUDET_CUDART_DIR)
  if(NOT CUDET_ENABLE_CUDA)
    message(FATAL_ERROR "CUDET_CUDART_DIR needs CUDET_ENABLE_CUDA=ON")
  endif()
  if(NOT EXISTS "${CUDET_CUDART_DIR}/libcudart.so")
    message(FATAL_ERROR "There is no libcudart.so in CUDET_CUDART_DIR, ${CUDET_CUDART_DIR}")
  endif()
  add_library(cudet_without_runtime SHARED EXCLUDE_FROM_ALL $<TARGET_OBJECTS:cudet>
                                                      $<TARGET_OBJECTS:cudet_host>)
  target_include_directories(cudet_without_runtime INTERFACE "${PROJECT_SOURCE_DIR}/include")
  set_target_properties(cudet_without_runtime PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(cudet_without_runtime PRIVATE CUDA::cudart)
endif()

function(cudet_link_cuda_program target)
  if(CUDET_CUDART_DIR)
    set_target_properties(${target} PROPERTIES CUDA_RUNTIME_LIBRARY Shared)
    target_link_libraries(${target} PRIVATE cudet_without_runtime CUDA::cudart)
  elseif(CMAKE_CUDA_RUNTIME_LIBRARY STREQUAL "Shared")
    target_link_libraries(${target} PRIVATE cudet::cudet CUDA::cudart)
  else()
    target_link_libraries(${target} PRIVATE cudet::cudet CUDA::cudart_static)
  endif()
endfunction()
