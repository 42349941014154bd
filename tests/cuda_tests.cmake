# The device tests on a GPU. Without one the program says why and CTest reports its rows as skipped.
set(CUDET_CUDART_DIR
    ""
    CACHE PATH "Folder with a libcudart that the CUDA tests run with instead of the toolkit's")
if(CUDET_CUDART_DIR AND NOT CMAKE_CUDA_RUNTIME_LIBRARY STREQUAL "Shared")
  message(FATAL_ERROR "CUDET_CUDART_DIR needs -DCMAKE_CUDA_RUNTIME_LIBRARY=Shared")
endif()

cudet_add_test_program(cudet_tests_cuda cudet::cudet ${device_tests})
if(CMAKE_CUDA_RUNTIME_LIBRARY STREQUAL "Shared")
  target_link_libraries(cudet_tests_cuda PRIVATE CUDA::cudart)
else()
  target_link_libraries(cudet_tests_cuda PRIVATE CUDA::cudart_static)
endif()

function(cudet_add_cuda_test name filter)
  add_test(NAME cuda.${name} COMMAND cudet_tests_cuda "--gtest_filter=${filter}")
  set_tests_properties(cuda.${name} PROPERTIES LABELS cuda SKIP_RETURN_CODE 77)
  if(CUDET_CUDART_DIR)
    set_tests_properties(cuda.${name} PROPERTIES ENVIRONMENT "LD_LIBRARY_PATH=${CUDET_CUDART_DIR}")
  endif()
endfunction()

# One row a family, and one for all the rest, so that no test is left out.
set(families BoxRegression Depthwise Focal Iou Match Nms)
foreach(family IN LISTS families)
  string(TOLOWER ${family} name)
  cudet_add_cuda_test(${name} "*${family}*")
endforeach()
list(TRANSFORM families PREPEND "*")
list(TRANSFORM families APPEND "*")
list(JOIN families ":" families)
cudet_add_cuda_test(other "-${families}")
