// Twin of CUDA's cuda_runtime.h: the device language and the runtime, for the emulated device.
#pragma once

#include <cmath>
#include <cstdint>

#include <cuda_runtime_api.h>
#include <cudet_emulation/atomics.h>
#include <cudet_emulation/intrinsics.h>
#include <cudet_emulation/launch.h>
#include <cudet_emulation/memory_access.h>
#include <cudet_emulation/shared_memory.h>
#include <cudet_emulation/synchronization.h>
#include <cudet_emulation/thread_index.h>
#include <cudet_emulation/warp.h>
