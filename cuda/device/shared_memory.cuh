// Shared memory of a block, declared so that the emulated device can poison and guard it.
#pragma once

#include <cuda_runtime.h>

#if defined(__CUDACC__)
/// type name[count] in shared memory.
#define CUDET_SHARED_ARRAY(type, name, count) __shared__ type name[count]
/// One variable in shared memory.
#define CUDET_SHARED(type, name) __shared__ type name
/// A pointer to the bytes that the launch asked for; one name has one type throughout a file.
#define CUDET_DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif
