// Kernel errors: how they are put into words and kept until reset().
#pragma once

#include <string>

#include <cudet_emulation/error_codes.h>
#include <cudet_emulation/site.h>
#include <cudet_emulation/vector_types.h>

namespace cudet::emulation {

// Makes `error` the sticky error, if there is none yet, and prints the report to stderr.
void record_kernel_error(cudaError_t error, const std::string& report);

std::string describe(Site site);
std::string describe(const uint3& index);
std::string describe_mask(unsigned int mask);

}  // namespace cudet::emulation
