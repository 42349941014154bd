// cudaError_t: the codes that the emulated device returns or that its users compare with, with the
// values of the CUDA runtime.
#pragma once

// One line a code: name, value, what cudaGetErrorString says.
#define CUDET_EMULATION_ERRORS(define)                                                             \
  define(cudaSuccess, 0, "no error") define(cudaErrorInvalidValue, 1, "invalid argument") define(  \
      cudaErrorMemoryAllocation, 2, "out of memory") define(cudaErrorInitializationError, 3,       \
                                                            "initialization error")                \
      define(cudaErrorInvalidConfiguration, 9, "invalid configuration argument") define(           \
          cudaErrorInvalidDevicePointer, 17, "invalid device pointer")                             \
          define(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy") define( \
              cudaErrorInsufficientDriver, 35,                                                     \
              "driver version is insufficient for "                                                \
              "runtime version") define(cudaErrorInvalidDeviceFunction, 98,                        \
                                        "invalid device function") define(cudaErrorNoDevice, 100,  \
                                                                          "no device is detected") \
              define(cudaErrorInvalidDevice, 101, "invalid device ordinal") define(                \
                  cudaErrorNoKernelImageForDevice, 209, "no kernel image for this device")         \
                  define(cudaErrorInvalidResourceHandle, 400, "invalid resource handle") define(   \
                      cudaErrorIllegalState, 401,                                                  \
                      "the operation cannot be performed in the "                                  \
                      "present state") define(cudaErrorNotReady, 600, "not ready")                 \
                      define(cudaErrorIllegalAddress, 700, "illegal memory access") define(        \
                          cudaErrorLaunchOutOfResources, 701,                                      \
                          "too many resources requested for "                                      \
                          "launch") define(cudaErrorLaunchTimeout, 702, "the launch timed out")    \
                          define(cudaErrorAssert, 710, "device-side assert triggered") define(     \
                              cudaErrorMisalignedAddress, 716,                                     \
                              "misaligned address") define(cudaErrorLaunchFailure, 719,            \
                                                           "unspecified launch failure")           \
                              define(cudaErrorNotPermitted, 800,                                   \
                                     "operation not permitted") define(cudaErrorNotSupported, 801, \
                                                                       "operation not supported")  \
                                  define(cudaErrorStreamCaptureUnsupported, 900,                   \
                                         "not permitted while a stream is "                        \
                                         "capturing") define(cudaErrorStreamCaptureInvalidated,    \
                                                             901,                                  \
                                                             "capture was invalidated by an "      \
                                                             "earlier error")                      \
                                      define(cudaErrorStreamCaptureMerge, 902,                     \
                                             "would merge two independent captures")               \
                                          define(cudaErrorStreamCaptureUnmatched, 903,             \
                                                 "capture was not begun in this stream")           \
                                              define(cudaErrorStreamCaptureUnjoined, 904,          \
                                                     "captured work was not joined to the first "  \
                                                     "stream")                                     \
                                                  define(                                          \
                                                      cudaErrorStreamCaptureIsolation, 905,        \
                                                      "capture would depend on uncaptured work")   \
                                                      define(                                      \
                                                          cudaErrorStreamCaptureImplicit, 906,     \
                                                          "legacy stream would depend on a "       \
                                                          "capturing "                             \
                                                          "stream") define(cudaErrorCapturedEvent, \
                                                                           907,                    \
                                                                           "event was last "       \
                                                                           "recorded "             \
                                                                           "in a capturing "       \
                                                                           "stream")               \
                                                          define(                                  \
                                                              cudaErrorStreamCaptureWrongThread,   \
                                                              908,                                 \
                                                              "capture was begun by another "      \
                                                              "thread")                            \
                                                              define(cudaErrorUnknown, 999,        \
                                                                     "unknown error")

enum cudaError {
#define CUDET_EMULATION_ENUMERATOR(name, value, text) name = value,
  CUDET_EMULATION_ERRORS(CUDET_EMULATION_ENUMERATOR)
#undef CUDET_EMULATION_ENUMERATOR
};
typedef enum cudaError cudaError_t;
