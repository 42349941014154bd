# Enables CUDA with the architectures that the user chose by CMAKE_CUDA_ARCHITECTURES or CUDAARCHS,
# and otherwise with machine code for every major chip since Turing and PTX of the last for those
# to come. Fewer build faster: -DCMAKE_CUDA_ARCHITECTURES=native takes the GPU that is present.
if(DEFINED CMAKE_CUDA_ARCHITECTURES OR DEFINED ENV{CUDAARCHS})
  enable_language(CUDA)
else()
  # The list depends on the compiler's version, which is known only after this; the compiler is
  # tried with an architecture that all know.
  set(CMAKE_CUDA_ARCHITECTURES 75)
  enable_language(CUDA)

  set(CMAKE_CUDA_ARCHITECTURES
      75-real # T4, RTX 20 (Turing)
      80-real # A100, A30 (Ampere); its code runs on all 8.x
      86-real # A10, A40, RTX 30 (Ampere)
      89-real # L4, L40, RTX 40 (Ada)
      90-real # H100, H200, GH200 (Hopper)
  )
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
    list(APPEND CMAKE_CUDA_ARCHITECTURES 90-virtual)
  else()
    list(
      APPEND
      CMAKE_CUDA_ARCHITECTURES
      100-real # B100, B200, GB200 (Blackwell)
      120-real # RTX 50, RTX PRO 6000 (Blackwell)
      120-virtual # what comes after
    )
  endif()
endif()
