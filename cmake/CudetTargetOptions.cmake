# cudet_target_options(target): how every target of this project is compiled.
#
# All flags are private to the target: nothing reaches a program that links cudet, nor the project
# that includes it.

if(NOT CUDET_SANITIZER MATCHES "^(address|thread)?$")
  message(FATAL_ERROR "CUDET_SANITIZER must be empty, address or thread, got ${CUDET_SANITIZER}")
endif()
if(CUDET_SANITIZER AND CUDET_ENABLE_CUDA)
  message(FATAL_ERROR "A sanitizer build has no CUDA: configure with -DCUDET_ENABLE_CUDA=OFF")
endif()

function(cudet_target_options target)
  set_target_properties(
    ${target}
    PROPERTIES CXX_EXTENSIONS OFF
               CXX_VISIBILITY_PRESET hidden
               CUDA_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON
               POSITION_INDEPENDENT_CODE ON)
  target_compile_features(${target} PRIVATE cxx_std_17)

  set(cxx_flags
      -Wall
      -Wextra
      -Wshadow
      -Wconversion
      -Wsign-conversion
      # One rounding an operation: results are promised to the bit, on every host.
      -ffp-contract=off
      # Nobody reads the flags of the floating-point unit: conditions may become selections, which
      # vectorise.
      -fno-trapping-math)
  if(CUDET_WARNINGS_AS_ERRORS)
    list(APPEND cxx_flags -Werror)
  endif()
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${cxx_flags}>")

  if(CUDET_ENABLE_CUDA)
    target_compile_features(${target} PRIVATE cuda_std_17)
    set_target_properties(${target} PROPERTIES CUDA_EXTENSIONS OFF)
    set(cuda_flags
        -Xcompiler=-Wall,-Wextra,-ffp-contract=off
        # Architectures are compiled side by side, and compressed in the library.
        --threads=0
        -Xfatbin=--compress-all)
    if(CUDET_WARNINGS_AS_ERRORS)
      list(APPEND cuda_flags "SHELL:-Werror all-warnings" -Xcompiler=-Werror)
    endif()
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>")
  endif()

  if(CUDET_SANITIZER STREQUAL "address")
    # What is read through a null pointer, or one that has run over, is an error of memory anyway;
    # checks of pointers alone take a sixth of the time to compile.
    set(sanitizer_flags -fsanitize=address,undefined -fno-sanitize=null,pointer-overflow
                        -fno-sanitize-recover=all -fno-omit-frame-pointer)
  elseif(CUDET_SANITIZER STREQUAL "thread")
    set(sanitizer_flags -fsanitize=thread -fno-omit-frame-pointer)
  endif()
  if(CUDET_SANITIZER)
    target_compile_options(${target} PRIVATE ${sanitizer_flags})
    target_link_options(${target} PRIVATE ${sanitizer_flags})
  endif()
endfunction()
