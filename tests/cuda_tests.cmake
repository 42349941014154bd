# The device tests on a GPU. Without one the program says why and CTest reports its rows as skipped.
cudet_add_test_program(cudet_tests_cuda ${device_tests})
cudet_link_cuda_program(cudet_tests_cuda)

function(cudet_add_cuda_test name filter)
  add_test(NAME cuda.${name} COMMAND cudet_tests_cuda "--gtest_filter=${filter}")
  set_tests_properties(cuda.${name} PROPERTIES LABELS cuda SKIP_RETURN_CODE 77)
  if(CUDET_CUDART_DIR)
    # What executes kernels without a GPU is slow: these rows start first, and leave most random
    # problems to the emulated device.
    set_tests_properties(
      cuda.${name}
      PROPERTIES ENVIRONMENT "LD_LIBRARY_PATH=${CUDET_CUDART_DIR};CUDET_TEST_SCALE=0.1" COST 1000
                 TIMEOUT 1800)
  endif()
endfunction()

# One row a family, and one for all the rest, so that no test is left out.
set(families Nms Depthwise Focal Match Iou BoxRegression)
foreach(family IN LISTS families)
  string(TOLOWER ${family} name)
  cudet_add_cuda_test(${name} "*${family}*")
endforeach()
list(TRANSFORM families PREPEND "*")
list(TRANSFORM families APPEND "*")
list(JOIN families ":" families)
cudet_add_cuda_test(other "-${families}")
