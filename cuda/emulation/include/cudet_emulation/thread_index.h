// threadIdx, blockIdx, blockDim and gridDim: references to what the scheduler sets before it lets a
// thread run. They are variables and no macros, because cudaLaunchConfig_t has members of two of
// the names.
#pragma once

#include <cudet_emulation/vector_types.h>

extern const uint3& threadIdx;
extern const uint3& blockIdx;
extern const dim3& blockDim;
extern const dim3& gridDim;

inline constexpr int warpSize = 32;
