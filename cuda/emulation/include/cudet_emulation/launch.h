// cudaLaunchKernelEx and cudaFuncSetAttribute. `<<<>>>` is not C++, so kernels are launched through
// these in both builds.
#pragma once

#include <functional>
#include <tuple>
#include <utility>

#include <cudet_emulation/runtime_types.h>

namespace cudet::emulation {

// `function` identifies the kernel; `thread_body` is what each thread runs.
cudaError_t launch_kernel(const cudaLaunchConfig_t& config, const void* function,
                          std::function<void()> thread_body);
cudaError_t set_function_attribute(const void* function, cudaFuncAttribute attribute, int value);

}  // namespace cudet::emulation

// The arguments are converted and copied here, at the launch, as CUDA does: what a captured or
// deferred kernel sees later are these copies.
template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  if (config == nullptr) return cudaErrorInvalidValue;
  return cudet::emulation::launch_kernel(
      *config, reinterpret_cast<const void*>(kernel),
      [kernel, copies = std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)] {
        std::apply(kernel, copies);
      });
}

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute attribute, int value) {
  return cudet::emulation::set_function_attribute(reinterpret_cast<const void*>(kernel), attribute,
                                                  value);
}
