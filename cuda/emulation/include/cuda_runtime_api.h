// Twin of CUDA's cuda_runtime_api.h: the host side of the runtime.
#pragma once

#include <cudet_emulation/keywords.h>
#include <cudet_emulation/runtime_api.h>
